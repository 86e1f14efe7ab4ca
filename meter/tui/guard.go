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
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gomahi/meter"
)

// guardName is what the process is called that puts the terminal right when ours has died without doing so: of a panic in
// whatever goroutine, of SIGKILL, of the kernel's want of memory.
const guardName = "gm-guard"

// restoring leaves the alternate screen and every mode that tcell or the command may have set.
const restoring = "\x1b[?2026l\x1b[?9001l\x1b[<u\x1b[>4;0m\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l" +
	"\x1b[?1l\x1b>\x1b(B\x1b[0m\x1b[0 q\x1b[?7h\x1b[?25h\x1b[?1049l"

// Main runs a program that draws, or in a process that it has started to be one, its guard.
func Main(run func(meter.Drawer) (status int)) {
	if isGuard() {
		os.Exit(keep())
	}
	os.Exit(run(Drawer{}))
}

func isGuard() bool { return len(os.Args) == 2 && os.Args[0] == guardName }

// The guard's descriptors of the tape and the terminal. It has the terminal from the start: /dev/tty is gone with a process
// that led its session.
const taped, guarded = 3, 4

// keep waits for the end of who started it, who kills it if all is well. Else it restores the terminal, and then shows the
// last screen of the command, and what Go had to say about a crash: on the screen that is gone it would be gone too.
func keep() (status int) {
	signal.Ignore(unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	os.WriteFile("/proc/self/comm", []byte(guardName), 0)
	was, err := hex.DecodeString(os.Args[1])
	if err != nil {
		return 2
	}
	var t unix.Termios
	if _, err := binary.Decode(was, binary.NativeEndian, &t); err != nil {
		return 2
	}
	tty := os.NewFile(guarded, "terminal")
	crash := make([]byte, 1<<20)
	n, _ := os.Stdin.Read(crash) // from the start of a crash: once it is over, a shell takes what it finds for the usual state
	if now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err == nil && now.Lflag&unix.ISIG == 0 {
		unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &t) // else a shell that was quicker has set what it needs
	}
	rest, _ := io.ReadFull(os.Stdin, crash[n:])
	io.Copy(io.Discard, os.Stdin)
	io.WriteString(tty, restoring) // not before: what Go says of its crash it says to the terminal as well
	io.WriteString(tty, above(replay(os.NewFile(taped, "tape"))))
	os.Stderr.Write(crash[:n+rest])
	return 0
}

// above prints lines above that of the cursor, and leaves it where it was in its own: the shell may have prompted by now.
func above(lines []string) string {
	n := len(lines)
	if n == 0 {
		return ""
	}
	down, up := strings.Repeat("\x1bD", n), fmt.Sprintf("\x1b[%dA", n) // what ESC D scrolls off is kept by the terminal
	return down + up + "\x1b7\r" + fmt.Sprintf("\x1b[%dL", n) + strings.Join(lines, "\x1b[m\r\n") + "\x1b[m\x1b8" + down
}

// show prints a screen's lines.
func show(to io.Writer, lines []string) {
	if len(lines) > 0 {
		io.WriteString(to, strings.Join(lines, "\x1b[m\r\n")+"\x1b[m\r\n")
	}
}

// guard is the guard, to who started it.
type guard struct {
	*tape
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
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0) // that of t must stay as it is: not blocking
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	tape, err := newTape()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		tape.Close()
		return nil, err
	}
	g := &guard{tape: tape, end: w, cmd: &exec.Cmd{Path: "/proc/self/exe", Args: []string{guardName, hex.EncodeToString(b)},
		Stdin: r, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{tape.File, tty},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}} // so that what is sent to our process group does not end it
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
	g.tape.Close()
}
