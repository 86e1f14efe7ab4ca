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

// initName is what the first process of a contained command, or of one with a terminal of its own, is called. It is this
// program again: the kernel kills everything in a PID namespace together with its first process, and that one dies with us.
const initName = "gm-init"

// initWays are what an init has to do, its first argument: a PID namespace, a session with a terminal, or both.
const (
	initContains = 1 << iota
	initLeads
)

const statusLen = 12 // a wait status and its time

// IsInit says whether this process was started to be an init. A program that calls Run calls Init first if so.
func IsInit() bool { return len(os.Args) > 4 && os.Args[0] == initName }

// Init gives a PID namespace its own /proc, runs the command, in the foreground of its terminal if it has one of its own,
// passes signals on to it, reaps what is left by others, and tells each status of the command, with its time, on a pipe.
// Its arguments are what it has to do, the pipe's descriptor, the command's path and its argv.
func Init() (status int) {
	fail := func(doing string, err error) int {
		fmt.Fprintf(os.Stderr, "%s: error: %s: %v\n", initName, doing, err)
		return StatusFailed
	}
	ways, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fail("reading arguments", err)
	}
	pipe, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return fail("reading arguments", err)
	}
	unix.CloseOnExec(pipe)
	rename(initName)
	if err := mountProc(ways); err != nil {
		return fail("mounting the container's own /proc", fmt.Errorf("%w\n%s: hint: without --contain (gm-sandbox: with "+
			"--no-contain) it is not needed; in Docker, --security-opt systempaths=unconfined allows it", err, initName))
	}
	signals, err := catchSignals()
	if err != nil {
		return fail("catching signals", err)
	}
	var sys syscall.SysProcAttr
	if ways&initLeads != 0 {
		sys.Setpgid, sys.Foreground = true, true
	}
	var pid int
	onThread(func() {
		pid, err = start(os.Args[3], os.Args[4:], os.Environ(), sys)
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", initName, err)
		return StatusCannotRun
	}
	go func() {
		for s := range signals {
			if s.signal == unix.SIGCONT && ways&initLeads != 0 {
				unix.Kill(-pid, s.signal) // all that its terminal stopped
			} else if !s.kernel {
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

// mountProc makes /proc that of the PID namespace, if there is a new one.
func mountProc(ways int) error {
	if ways&initContains == 0 {
		return nil
	}
	return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// rename calls this process so in what ps shows: it was started as /proc/self/exe.
func rename(name string) { os.WriteFile("/proc/self/comm", []byte(name), 0) }

// startContained starts an init from the calling thread, and that the command.
func (c *container) startContained(files []uintptr, argv, env []string) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], 0); err != nil {
		return err
	}
	unix.CloseOnExec(pipe[0])
	ways := 0
	var sys syscall.SysProcAttr
	if c.Contain {
		ways, sys.Cloneflags = initContains, unix.CLONE_NEWPID|unix.CLONE_NEWNS
	}
	if c.Terminal != nil {
		ways, sys.Setsid, sys.Setctty = ways|initLeads, true, true
		c.own = true
		defer c.Terminal.Started()
	}
	argv = append([]string{initName, fmt.Sprint(ways), fmt.Sprint(pipe[1]), c.Path}, argv...)
	c.late = true
	var err error
	c.pid, err = startWith(files, "/proc/self/exe", argv, env, sys)
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
