package shell

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"

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
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", flags, ""); err != nil {
		return fail("mounting the container's own /proc", err)
	}
	signals, err := catchSignals()
	if err != nil {
		return fail("catching signals", err)
	}
	var pid int
	onThread(func() {
		pid, err = start(os.Args[2], os.Args[3:], os.Environ(), 0)
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
