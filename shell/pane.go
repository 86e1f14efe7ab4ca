package shell

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Terminal is one of the command's own, between it and the user's. The command then has a session of its own, whose
// first process is our init: so it can be stopped as a job of the shell that started us, and its stops are ours.
type Terminal interface {
	// Start takes the user's terminal, and returns the command's standard files; the first is its terminal.
	Start() ([3]*os.File, error)
	// Started says that the command has them.
	Started()
	// Suspend gives the user's terminal back before this process stops, and Resume takes it again.
	Suspend()
	Resume()
	// End gives it back for good, when the command has ended.
	End()
}

// takeTerminal makes the command's descriptors: ours, or those of a terminal of its own.
func (c *container) takeTerminal() (files []uintptr, err error) {
	if c.Terminal == nil {
		return []uintptr{0, 1, 2}, nil
	}
	own, err := c.Terminal.Start()
	if err != nil {
		return nil, err
	}
	for _, f := range own {
		files = append(files, f.Fd())
	}
	c.pause = func() {
		c.Terminal.Suspend()
		runtime.LockOSThread()
		unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // this very thread, so that it does not go on meanwhile
		runtime.UnlockOSThread()
		c.Terminal.Resume()
	}
	return files, nil
}

// endTerminal may be called twice.
func (c *container) endTerminal() {
	if c.Terminal != nil {
		c.Terminal.End()
		c.Terminal = nil
	}
}
