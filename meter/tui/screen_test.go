package tui

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"gomahi/internal/control"
	"gomahi/internal/testutil"
	"gomahi/meter"
)

// The tests run this binary again: as a guard, and as a tool that draws (see drawing).
func TestMain(m *testing.M) {
	if isGuard() {
		os.Exit(keep())
	}
	if what := os.Getenv("GOMAHI_TEST_DRAWING"); what != "" {
		drawing(what)
	}
	os.Exit(m.Run())
}

// drawing is a process with a Screen, whose command is a shell script, and which meets its end in some way.
func drawing(end string) {
	graphs := two(wave(20e6), wave(3e9))
	var broken atomic.Bool
	s, err := open(meter.Look{Layout: "top", Share: 40, Graphs: func() []meter.Graph {
		if broken.Load() {
			panic("injected")
		}
		return graphs
	}})
	if err != nil {
		panic(err)
	}
	files, err := s.Start()
	if err != nil {
		panic(err)
	}
	script := "echo TERM=$TERM; stty size; printf '\\033[?1003h\\033[?2004h'; read x; echo got $x; stty size; read y"
	switch end {
	case "exit":
		script += "; seq 1 9"
	case "ahead":
		script += "; sleep 1"
	}
	cmd := &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Stdin: files[0], Stdout: files[1], Stderr: files[2],
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true}}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	s.Started()
	switch end {
	case "panic":
		go func() {
			time.Sleep(time.Second)
			panic("injected")
		}()
	case "panic in drawing":
		time.Sleep(time.Second)
		broken.Store(true)
	case "panic in reading what is typed":
		s.do(func() { s.input.send = func([]byte) { panic("injected") } })
	case "panic in reading the pane":
		time.Sleep(time.Second)
		s.do(func() { close(s.output) })
		cmd.Process.Kill() // listen then closes it, too
		select {}
	case "panic in answering at the control socket":
		c, err := control.Listen("gm-test")
		if err != nil {
			panic(err)
		}
		c.Handle("GET /v1/stage", func(*control.Request) (any, error) { panic("injected") })
		c.Serve()
		time.Sleep(time.Second)
		go control.Dial(c.Path).Get("/v1/stage", nil)
	case "suspend":
		time.Sleep(time.Second)
		s.Suspend()
		fmt.Print("\r\nsuspended\r\n")
		time.Sleep(300 * time.Millisecond)
		s.Resume()
	}
	cmd.Wait()
	s.End()
	fmt.Println("ended")
	os.Exit(0)
}

// terminal is the user's, with such a process on it.
type terminal struct {
	*os.File
	slave *os.File
	cmd   *exec.Cmd
	seen  chan []byte
	all   bytes.Buffer
}

func startDrawing(t *testing.T, end string) (*terminal, unix.Termios) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80})
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	y := &terminal{File: master, slave: slave, seen: make(chan []byte, 10000), cmd: &exec.Cmd{Path: "/proc/self/exe", Args: os.Args[:1],
		Env: append(os.Environ(), "GOMAHI_TEST_DRAWING="+end, "XDG_RUNTIME_DIR="+testutil.SocketDir(t), "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"), Stdin: slave, Stdout: slave, Stderr: slave,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true}}}
	if err := y.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		y.cmd.Process.Kill()
		slave.Close()
		master.Close()
	})
	go func() {
		for {
			b := make([]byte, 4096)
			n, err := master.Read(b)
			if err != nil {
				return
			}
			y.seen <- b[:n]
		}
	}()
	return y, *before
}

// expect shows what has come so far to a pane of its own, as a person would see it, until that has a text.
func (y *terminal) expect(t *testing.T, p *pane, text string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !strings.Contains(p.emulator.String(), text) {
		select {
		case b := <-y.seen:
			y.all.Write(b)
			p.Write(b)
		case <-late:
			t.Fatalf("%q did not come, but:\n%s", text, p.emulator.String())
		}
	}
}

// asBefore says that the terminal is as it was: main screen, cursor, no modes, and the line discipline.
func (y *terminal) asBefore(t *testing.T, p *pane, before unix.Termios) {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(y.Fd()), unix.TCGETS)
	if err != nil || *now != before {
		t.Errorf("the terminal is\n%+v\nbut was\n%+v (%v)", now, before, err)
	}
	if p.emulator.IsAltScreen() || p.hidden {
		t.Errorf("alternate screen %v, cursor hidden %v", p.emulator.IsAltScreen(), p.hidden)
	}
	for m, on := range p.modes {
		for _, ours := range mirrored {
			if on && m == ours {
				t.Errorf("mode %v is still set", m)
			}
		}
	}
}

// A command next to graphs: it has a terminal of its own size and kind, hears what is typed, and is told of a new size; at
// the end what it showed last is there, and nothing else.
func TestScreen(t *testing.T) {
	y, before := startDrawing(t, "exit")
	p := newPane(80, 24, io.Discard)
	y.expect(t, p, "↓ downlink gm-meter")
	y.expect(t, p, "TERM=xterm-256color")
	y.expect(t, p, "15 80")
	y.Write([]byte("héllo\r"))
	y.expect(t, p, "got héllo")
	if !p.modes[mirrored[5]] || !p.wantsMouse() {
		t.Errorf("the user's terminal does not report the mouse: %v", p.modes)
	}
	y.Write([]byte("\x07?"))
	y.expect(t, p, "one graph alone")
	y.Write([]byte("x\x07z"))
	y.expect(t, p, "graph 1 of 2")
	y.Write([]byte("\x07l"))
	time.Sleep(200 * time.Millisecond)
	y.Write([]byte("world\r"))
	y.cmd.Wait()
	y.expect(t, p, "ended")
	y.asBefore(t, p, before)
	if got := p.emulator.String(); !strings.Contains(got, "got héllo\n15 80\n") || !strings.Contains(got, "8\n9\nended") || strings.Contains(got, "uplink") {
		t.Errorf("at the end:\n%s", got)
	}
}

// What the command has not read of what was typed, half lines and all, is for who reads the terminal next, without being
// shown again.
func TestTypedAhead(t *testing.T) {
	y, before := startDrawing(t, "ahead")
	p := newPane(80, 24, io.Discard)
	y.expect(t, p, "15 80")
	y.Write([]byte("a\rb\rnext\rha\u00fclf"))
	y.expect(t, p, "next")
	y.cmd.Wait()
	y.expect(t, p, "ended")
	y.asBefore(t, p, before)
	if n := strings.Count(p.emulator.String(), "ha\u00fclf"); n != 1 {
		t.Errorf("it is shown %d times:\n%s", n, p.emulator.String())
	}
	if b, _ := os.ReadFile("/proc/sys/dev/tty/legacy_tiocsti"); os.Geteuid() != 0 && strings.TrimSpace(string(b)) == "0" {
		testutil.Skip(t, "dev.tty.legacy_tiocsti is 0: nothing can be typed again")
	}
	raw := before
	raw.Lflag &^= unix.ICANON
	b := make([]byte, 100)
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 10
	unix.IoctlSetTermios(int(y.slave.Fd()), unix.TCSETS, &raw)
	n, err := unix.Read(int(y.slave.Fd()), b)
	if got := string(b[:max(0, n)]); got != "next\nha\u00fclf" || err != nil {
		t.Errorf("the next reader gets %q, %v", got, err)
	}
}

// Another size reaches the command.
func TestResize(t *testing.T) {
	y, before := startDrawing(t, "exit")
	p := newPane(80, 24, io.Discard)
	y.expect(t, p, "15 80")
	p.resize(120, 50)
	pty.Setsize(y.File, &pty.Winsize{Rows: 50, Cols: 120})
	time.Sleep(300 * time.Millisecond)
	y.Write([]byte("a\r"))
	y.expect(t, p, "30 120")
	y.Write([]byte("a\r"))
	y.cmd.Wait()
	y.expect(t, p, "ended")
	y.asBefore(t, p, before)
}

// A panic in whatever goroutine, or SIGKILL: the guard restores the terminal, and the last screen of the command, and what
// Go says of the panic, can be read.
func TestGuard(t *testing.T) {
	for _, row := range []struct {
		end  string
		kill os.Signal
		says string
	}{
		{"panic", nil, "panic: injected"},
		{"panic in drawing", nil, "panic: injected"},
		{"panic in reading what is typed", nil, "panic: injected"},
		{"panic in reading the pane", nil, "panic: close of closed channel"},
		{"panic in answering at the control socket", nil, "panic: injected"},
		{"killed", unix.SIGKILL, ""},
		{"aborted", unix.SIGABRT, "SIGABRT: abort"},
	} {
		t.Run(row.end, func(t *testing.T) {
			y, before := startDrawing(t, row.end)
			p := newPane(80, 500, io.Discard) // the whole traceback
			y.expect(t, p, "15 80")
			if row.kill != nil {
				y.cmd.Process.Signal(row.kill)
			} else {
				y.Write([]byte("a\r"))
			}
			late := time.AfterFunc(20*time.Second, func() { y.cmd.Process.Kill() })
			if err := y.cmd.Wait(); err == nil {
				t.Error("it ended well")
			}
			if !late.Stop() {
				t.Error("it did not end")
			}
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && (p.emulator.IsAltScreen() ||
				!strings.Contains(p.emulator.String(), "15 80\n") || !strings.Contains(p.emulator.String(), row.says)); {
				select {
				case b := <-y.seen:
					p.Write(b)
				case <-time.After(100 * time.Millisecond):
				}
			}
			time.Sleep(200 * time.Millisecond)
			y.asBefore(t, p, before)
			got := p.emulator.String()
			command, crash := strings.Index(got, "15 80\n"), strings.Index(got, row.says)
			if command < 0 || crash < 0 || row.says != "" && crash < command || strings.Contains(got, "downlink") {
				t.Errorf("on the screen is:\n%s", got)
			}
		})
	}
}

// What the guard prints does not mix with what a shell that was quicker has printed, and leaves its cursor alone.
func TestAbove(t *testing.T) {
	for _, row := range []struct {
		lines  []string
		screen string
		want   string
	}{
		{nil, "Killed\r\n$ ", "Killed\n$ X\n\n"},
		{[]string{"a", "last"}, "", "a\nlast\nX\n"},
		{[]string{"last words"}, "$ gm-meter\r\n", "$ gm-meter\nlast words\nX\n"},
		{[]string{"last words"}, "Killed\r\n$ ", "Killed\nlast words\n$ X\n"},
		{[]string{"last words"}, "$ gm-meter\r\nKilled\r\n\n$ typed", "Killed\n\nlast words\n$ typedX"},
		{[]string{"a", "a line of twenty one", "last"}, "1\r\n2\r\n3\r\n$ ", "a\na line of twenty one\nlast\n$ X"},
		{[]string{"a", "b", "c", "last"}, "1\r\n2\r\n3\r\n", "b\nc\nlast\nX"},
	} {
		p := newPane(20, 4, io.Discard)
		p.Write([]byte(row.screen + above(row.lines) + "X"))
		if got := p.emulator.String(); got != row.want {
			t.Errorf("%q after %q shows %q, want %q", row.lines, row.screen, got, row.want)
		}
	}
}

// In between the terminal is as before, and afterwards ours again.
func TestSuspend(t *testing.T) {
	y, before := startDrawing(t, "suspend")
	p := newPane(80, 24, io.Discard)
	y.expect(t, p, "15 80")
	y.expect(t, p, "suspended")
	y.asBefore(t, p, before)
	y.expect(t, p, "↓ downlink gm-meter")
	y.expect(t, p, "15 80") // though the command has written nothing since
	y.Write([]byte("a\rb\r"))
	y.cmd.Wait()
	y.expect(t, p, "ended")
	y.asBefore(t, p, before)
}

// The saved picture is well-formed and has every graph.
func TestSVG(t *testing.T) {
	s := simulated(t, 80, 24)
	v := newView(256, "top", 40)
	v.show(four(12e6))
	v.draw(s, until)
	var b bytes.Buffer
	if err := writeSVG(&b, s, area{0, 0, 80, 9}); err != nil {
		t.Fatal(err)
	}
	golden(t, "picture.svg", b.String())
}
