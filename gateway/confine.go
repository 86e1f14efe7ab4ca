package gateway

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// deafen makes the process stay when the terminal tells the command in its foreground to end or stop.
func deafen() {
	signal.Ignore(unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGHUP, unix.SIGPIPE)
}

// shed closes the descriptors that were inherited, but for the first three and those to keep. Go's own close on exec, so
// none of them was.
func shed(keep ...int) {
	inherited := func(fd int) bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0 && fd > 2 && !slices.Contains(keep, fd)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && inherited(fd) {
			unix.Close(fd)
		}
	}
	for fd := 3; err != nil && fd < 1024; fd++ {
		if inherited(fd) {
			unix.Close(fd)
		}
	}
}

// confine gives up, in all threads and for good, what serving does not need: privileges, files, and most system calls.
// What the kernel is too old for is left out.
func confine() error {
	if err := dropPrivileges(); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	if err := landlocked(); err != nil {
		return fmt.Errorf("giving up files: %w", err)
	}
	if !seccomp.Supported() {
		return nil
	}
	if err := seccomp.LoadFilter(filter()); err != nil {
		return fmt.Errorf("giving up system calls: %w", err)
	}
	return nil
}

// dropPrivileges empties the sets of capabilities, after which no program can get any either.
func dropPrivileges() error {
	if err := inAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return err
	}
	if err := inAllThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return err
	}
	for c := uintptr(0); ; c++ {
		err := inAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
		if err == unix.EINVAL || err == unix.EPERM { // there is no such capability, or we have none to drop them with
			break
		}
		if err != nil {
			return err
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return inAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])))
}

func inAllThreads(trap, a, b uintptr) error {
	if _, _, errno := psx.Syscall6(trap, a, b, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// landlocked denies every access to files, connections to the abstract sockets and signals to the processes of others,
// and to listen. To connect is allowed.
func landlocked() error {
	c := landlock.V8
	c.HandledAccessNet = landlocksys.AccessNetBindTCP
	return c.BestEffort().Restrict()
}

// allowed are the system calls of Go's runtime and of ours. Which of them there are depends on the architecture.
var allowed = []string{
	"brk", "clock_gettime", "clock_nanosleep", "close", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
	"eventfd2", "exit", "exit_group", "fcntl", "futex", "getpid", "getrandom", "gettid", "gettimeofday", "madvise", "mincore",
	"munmap", "nanosleep", "poll", "ppoll", "read", "readv", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sched_getaffinity", "sched_yield", "set_robust_list", "sigaltstack", "tgkill", "write", "writev",
	"connect", "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
}

// allowedWith are system calls that are allowed with some arguments alone.
func allowedWith() []seccomp.NameWithConditions {
	const (
		first  = 0
		second = 1
		third  = 2
	)
	when := func(name string, argument uint32, is seccomp.Operation, values ...uint64) (out []seccomp.NameWithConditions) {
		for _, v := range values {
			out = append(out, seccomp.NameWithConditions{Name: name,
				Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: is, Value: v}}})
		}
		return out
	}
	return slices.Concat(
		when("socket", first, seccomp.Equal, unix.AF_INET, unix.AF_INET6),
		when("ioctl", second, seccomp.Equal, unix.SIOCINQ, unix.SIOCOUTQ, unix.SIOCGIFINDEX),
		when("clone", first, seccomp.BitsSet, unix.CLONE_THREAD),
		when("mmap", third, seccomp.BitsNotSet, unix.PROT_EXEC),
		when("mprotect", third, seccomp.BitsNotSet, unix.PROT_EXEC),
		when("prctl", first, seccomp.Equal, unix.PR_SET_VMA),
	)
}

// filter denies the rest with EPERM, so that it fails as for want of privilege. A C library tries clone3 first, of which
// the flags are out of sight, and clone if there is none.
func filter() seccomp.Filter {
	names := allowed
	if a, err := arch.GetInfo(""); err == nil {
		names = slices.DeleteFunc(slices.Clone(allowed), func(n string) bool { _, ok := a.SyscallNames[n]; return !ok })
	}
	return seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: names, NamesWithCondtions: allowedWith()},
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
		},
	}}
}
