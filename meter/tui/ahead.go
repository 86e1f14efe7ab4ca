package tui

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What the user has typed ahead, and the command has not read when it ends, is for who reads the terminal next: a shell.

// unread takes back what has been typed to the command's terminal, of which this is the master's end, and has not been
// read.
func unread(master *os.File) (typed []byte) {
	fd := -1
	withFD(master, func(m int) {
		if n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC); errno == 0 {
			fd = int(n)
		}
	})
	if fd < 0 {
		return nil
	}
	defer unix.Close(fd)
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil
	}
	t.Lflag &^= unix.ICANON // so that half a line can be read, too
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, t) != nil {
		return nil
	}
	return available(fd, moment)
}

// moment is how long the kernel may take to hand on what was written to the other end of a terminal.
const moment = 5 * time.Millisecond

// available reads what there is, or will be after a while.
func available(fd int, wait time.Duration) (all []byte) {
	b := make([]byte, 4096)
	for waited := false; ; {
		n, err := unix.Read(fd, b)
		switch {
		case n > 0:
			all = append(all, b[:n]...)
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && !waited:
			time.Sleep(wait)
			waited = true
		default:
			return all
		}
	}
}

// retype makes the terminal's next reader get bytes as if they were typed now, but neither shown again nor taken for signals:
// they have been. Where the kernel does not allow it (the sysctl dev.tty.legacy_tiocsti, to who is not root) they are lost.
func (t *tty) retype(b []byte) {
	fd := t.fd()
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil || len(b) == 0 {
		return
	}
	silent := *was
	silent.Lflag &^= unix.ECHO | unix.ECHONL | unix.ISIG
	silent.Iflag &^= unix.ICRNL | unix.INLCR | unix.IGNCR | unix.IXON
	unix.IoctlSetTermios(fd, unix.TCSETS, &silent)
	defer unix.IoctlSetTermios(fd, unix.TCSETS, was)
	for i := range b {
		if unix.IoctlSetString(fd, unix.TIOCSTI, string(b[i:i+1])) != nil {
			return
		}
	}
}

// withFD calls do with a file's descriptor, which File.Fd would make blocking.
func withFD(f *os.File, do func(fd int)) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) { do(int(fd)) })
}
