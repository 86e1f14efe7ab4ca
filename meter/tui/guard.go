package tui

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// guardName is what the process is called that puts the terminal right when ours has died without doing so: of a panic in
// whatever goroutine, of SIGKILL, of the kernel's want of memory.
const guardName = "gm-guard"

// restoring leaves the alternate screen and every mode that tcell or the command may have set.
const restoring = "\x1b[?2026l\x1b[?9001l\x1b[<u\x1b[>4;0m\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l" +
	"\x1b[?1l\x1b>\x1b(B\x1b[0m\x1b[0 q\x1b[?7h\x1b[?25h\x1b[?1049l"

// IsGuard says whether this process was started to be a guard. A program that opens a Screen calls Guard first if so.
func IsGuard() bool { return len(os.Args) == 2 && os.Args[0] == guardName }

// Guard waits for the end of who started it, who kills it if all is well. Else it restores the terminal, and then shows
// what Go had to say about a crash: on the screen that is gone it would be gone too.
func Guard() (status int) {
	signal.Ignore(unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGTSTP, unix.SIGTTOU, unix.SIGTTIN)
	os.WriteFile("/proc/self/comm", []byte(guardName), 0)
	was, err := hex.DecodeString(os.Args[1])
	if err != nil {
		return 2
	}
	var t unix.Termios
	if _, err := binary.Decode(was, binary.NativeEndian, &t); err != nil {
		return 2
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 1
	}
	crash, _ := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	io.Copy(io.Discard, os.Stdin)
	io.WriteString(tty, restoring)
	unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &t)
	os.Stderr.Write(crash)
	return 0
}

// guard is the guard, to who started it.
type guard struct {
	cmd *exec.Cmd
	end *os.File
}

// startGuard has a guard for the terminal in its present state.
func startGuard(t *tty) (*guard, error) {
	state, err := unix.IoctlGetTermios(t.fd(), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	b, err := binary.Append(nil, binary.NativeEndian, state)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	g := &guard{end: w, cmd: &exec.Cmd{Path: "/proc/self/exe", Args: []string{guardName, hex.EncodeToString(b)},
		Stdin: r, Stdout: os.Stdout, Stderr: os.Stderr}}
	err = g.cmd.Start()
	r.Close()
	if err == nil {
		err = debug.SetCrashOutput(w, debug.CrashOptions{})
	}
	if err != nil {
		g.stop()
		return nil, fmt.Errorf("starting what restores the terminal: %w", err)
	}
	return g, nil
}

// stop is for when the terminal is as it was.
func (g *guard) stop() {
	debug.SetCrashOutput(nil, debug.CrashOptions{})
	if g.cmd.Process != nil {
		g.cmd.Process.Kill()
		g.cmd.Wait()
	}
	g.end.Close()
}
