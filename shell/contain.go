package shell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is what a contained command's first process is called. It is this program again: the kernel kills everything
// in a PID namespace together with its first process, and that one dies with us.
const initName = "gm-init"

const statusLen = 12 // a wait status and its time

// IsInit says whether this process was started to be the first of a PID namespace. A program that calls Run calls
// Init first if so.
func IsInit() bool { return len(os.Args) > 3 && os.Args[0] == initName && os.Getpid() == 1 }

// Init gives the namespace its own /proc, runs the command, passes signals on to it, reaps what is left by others, and
// tells each status of the command, with its time, on a pipe. Its arguments are the pipe's descriptor, the command's path and its argv.
func Init() (status int) {
	fail := func(doing string, err error) int {
		fmt.Fprintf(os.Stderr, "%s: error: %s: %v\n", initName, doing, err)
		return StatusFailed
	}
	pipe, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fail("reading arguments", err)
	}
	unix.CloseOnExec(pipe)
	rename(initName)
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", flags, ""); err != nil {
		return fail("mounting the container's own /proc", fmt.Errorf("%w\n%s: hint: without --contain (gm-sandbox: with "+
			"--no-contain) it is not needed; in Docker, --security-opt systempaths=unconfined allows it", err, initName))
	}
	signals, err := catchSignals()
	if err != nil {
		return fail("catching signals", err)
	}
	var pid int
	onThread(func() {
		pid, err = start(os.Args[2], os.Args[3:], os.Environ(), syscall.SysProcAttr{})
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", initName, err)
		return StatusCannotRun
	}
	go func() {
		for s := range signals {
			if !s.kernel {
				unix.Kill(pid, s.signal)
			}
		}
	}()
	err = await(-1, pid, func(s unix.WaitStatus) {
		b := binary.NativeEndian.AppendUint32(nil, uint32(s))
		unix.Write(pipe, binary.NativeEndian.AppendUint64(b, uint64(monotonic())))
	})
	if err != nil {
		return fail("serving the command", err)
	}
	return 0
}

// rename calls this process so in what ps shows: it was started as /proc/self/exe.
func rename(name string) { os.WriteFile("/proc/self/comm", []byte(name), 0) }

// startContained starts an init from the calling thread, and that the command.
func (c *container) startContained(argv, env []string) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], 0); err != nil {
		return err
	}
	unix.CloseOnExec(pipe[0])
	argv = append([]string{initName, fmt.Sprint(pipe[1]), c.Path}, argv...)
	c.late = true
	var err error
	c.pid, err = start("/proc/self/exe", argv, env, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS})
	unix.Close(pipe[1])
	if errors.Is(err, unix.ENOSPC) {
		return errors.New("cannot contain the command: too many PID namespaces, one within the other\nhint: the kernel " +
			"has at most 32; use --contain on the outermost level alone")
	}
	if err != nil {
		return fmt.Errorf("containing the command: %w", errors.Unwrap(err))
	}
	go func() {
		r := os.NewFile(uintptr(pipe[0]), "statuses")
		var b [statusLen]byte
		ended := false
		for {
			if _, err := io.ReadFull(r, b[:]); err != nil {
				break
			}
			e := event{status: unix.WaitStatus(binary.NativeEndian.Uint32(b[:])), at: int64(binary.NativeEndian.Uint64(b[4:]))}
			ended = !e.status.Stopped()
			c.told <- e
		}
		err := await(c.pid, c.pid, func(s unix.WaitStatus) {
			if !s.Stopped() && !ended {
				c.tell(s) // the init did not get so far, or was killed
			}
		})
		if err != nil && !ended {
			c.told <- event{err: err}
		}
	}()
	return nil
}
