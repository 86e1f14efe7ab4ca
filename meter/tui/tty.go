package tui

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/gdamore/tcell/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// tty is the user's terminal. To tcell it is one that nobody types on: what is typed is read past it (input.go), so that
// the command gets it as it is.
type tty struct {
	*os.File
	was    *term.State // before us
	resize func()
	quiet  chan struct{} // closed when tcell is to stop reading
	lock   sync.Mutex
}

// openTTY opens the terminal of this process. Its state must be noted before anything changes it.
func openTTY() (*tty, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0) // so that a read can be given up
	if err != nil {
		return nil, err
	}
	t := &tty{File: f}
	t.was, err = term.GetState(t.fd())
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// fd is the descriptor, left as it is: File.Fd would make it blocking.
func (t *tty) fd() (fd int) {
	if err := withFD(t.File, func(n int) { fd = n }); err != nil {
		return -1
	}
	return fd
}

// Close is tcell's, which is done before we are.
func (t *tty) Close() error { return nil }

// Start is tcell's: the terminal becomes raw.
func (t *tty) Start() error {
	t.lock.Lock()
	t.quiet = make(chan struct{})
	t.lock.Unlock()
	_, err := term.MakeRaw(t.fd())
	return err
}

// Stop makes it what it was.
func (t *tty) Stop() error { return term.Restore(t.fd(), t.was) }

// Drain ends Read.
func (t *tty) Drain() error {
	t.lock.Lock()
	defer t.lock.Unlock()
	close(t.quiet)
	return nil
}

func (t *tty) Read([]byte) (int, error) {
	t.lock.Lock()
	quiet := t.quiet
	t.lock.Unlock()
	<-quiet
	return 0, io.EOF
}

// NotifyResize is told by resized.
func (t *tty) NotifyResize(cb func()) {
	t.lock.Lock()
	t.resize = cb
	t.lock.Unlock()
}

// resized tells tcell of another size.
func (t *tty) resized() {
	t.lock.Lock()
	cb := t.resize
	t.lock.Unlock()
	if cb != nil {
		cb()
	}
}

// WindowSize is in cells.
func (t *tty) WindowSize() (s tcell.WindowSize, err error) {
	s.Width, s.Height, err = term.GetSize(t.fd())
	if err == nil && (s.Width == 0 || s.Height == 0) {
		s.Width, s.Height = 80, 24 // a serial line, which does not know
	}
	return s, err
}

// typed reads what the user types until the terminal is closed or its deadline passes.
func (t *tty) typed(to func([]byte)) error {
	b := make([]byte, 4096)
	for {
		n, err := t.File.Read(b)
		if n > 0 {
			to(append([]byte(nil), b[:n]...))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
