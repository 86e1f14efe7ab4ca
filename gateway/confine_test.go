package gateway

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// What the gateway does not need it cannot do, on any thread; what it needs it can.
func TestConfine(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	if err := confine(); err != nil {
		t.Fatal(err)
	}
	file := t.Name() // nothing by that name
	for name, try := range map[string]func() error{
		"execve":       func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"fork":         func() error { return errnoOf(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0) },
		"open":         func() error { _, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0); return err },
		"open, write":  func() error { _, err := unix.Open(file, unix.O_WRONLY|unix.O_CREAT, 0o600); return err },
		"stat":         func() error { return unix.Stat("/", new(unix.Stat_t)) },
		"mkdir":        func() error { return unix.Mkdir(file, 0o700) },
		"mount":        func() error { return unix.Mount("none", "/", "tmpfs", 0, "") },
		"ptrace":       func() error { return unix.PtraceAttach(os.Getppid()) },
		"kill":         func() error { return unix.Kill(os.Getppid(), unix.Signal(0)) },
		"bpf":          func() error { return errnoOf(unix.SYS_BPF, 0, 0, 0) },
		"unshare":      func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"setns":        func() error { return unix.Setns(0, unix.CLONE_NEWNET) },
		"unix socket":  func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"netlink":      func() error { _, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0); return err },
		"packets":      func() error { _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); return err },
		"raw sockets":  func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP); return err },
		"listen":       func() error { _, err := net.Listen("tcp4", "127.0.0.1:0"); return err },
		"bind":         func() error { _, err := net.ListenPacket("udp4", "127.0.0.1:0"); return err },
		"TUN's ioctls": func() error { return unix.IoctlSetInt(0, unix.TUNSETPERSIST, 1) },
		"code": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		},
		"setuid": func() error { return errnoOf(unix.SYS_SETUID, 0, 0, 0) },
	} {
		for range 4 { // threads
			var err error
			var wg sync.WaitGroup
			wg.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				err = try()
			})
			wg.Wait()
			if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err == nil {
		_, err = c.Write([]byte("confined"))
	}
	if err != nil {
		t.Errorf("connecting: %v", err)
	}
	if _, err := routes.RouteGet(net.IPv4(127, 0, 0, 1)); err != nil {
		t.Errorf("asking for a route: %v", err)
	}
}

func errnoOf(trap, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall(trap, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

// Of the descriptors that were inherited, those that are known stay.
func TestShed(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	open := func(flags int) int {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	keep, inherited, ours := open(0), open(0), open(unix.O_CLOEXEC)
	shed(keep)
	for fd, want := range map[int]error{0: nil, 1: nil, 2: nil, keep: nil, inherited: unix.EBADF, ours: nil} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != want {
			t.Errorf("descriptor %d: %v, want %v", fd, err, want)
		}
	}
}
