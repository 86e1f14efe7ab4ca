package tui

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/gdamore/tcell/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"gomahi/meter"
)

const (
	frame    = 100 * time.Millisecond // from one picture to the next
	soonest  = 10 * time.Millisecond  // and at least this, when the command writes
	niceness = 10                     // of the thread that draws: packets go first
	settle   = 50 * time.Millisecond  // without output, after which a command that has ended has said all
)

// A Screen divides the user's terminal between graphs and the command, which has a pseudo-terminal of its own. It is a
// shell.Terminal.
type Screen struct {
	meter.Look
	tty    *tty
	screen tcell.Screen
	view   *view
	guard  *guard
	winch  chan os.Signal
	keys   chan []byte
	events chan tcell.Event
	ask    chan func()
	quit   chan struct{} // closed when the user has had enough

	pane          *pane // nil if there is no command
	place         area  // the pane's
	shown         shown // of it
	master, slave *os.File
	to            *queue
	output        chan []byte
	spent         chan []byte
	written       uint64                // bytes of it
	modes         map[ansi.DECMode]bool // that the user's terminal is in
	title         string
	input         input
	away          bool   // the terminal is not ours
	late          []byte // what was typed when run had ended
	stop, ended   chan struct{}
	quiet         chan struct{} // closed when nothing is read from the terminal any more
}

// Drawer is a meter.Drawer.
type Drawer struct{}

// Usable says whether this process has a terminal to draw on: standard input and output are.
func (Drawer) Usable() bool {
	return term.IsTerminal(0) && term.IsTerminal(1) && os.Getenv("TERM") != "" && os.Getenv("TERM") != "dumb"
}

// Open prepares a Screen. The terminal stays as it is until Start.
func (Drawer) Open(l meter.Look) (meter.Terminal, error) { return open(l) }

func open(l meter.Look) (*Screen, error) {
	t, err := openTTY()
	if err != nil {
		return nil, fmt.Errorf("opening the terminal: %w", err)
	}
	s := &Screen{Look: l, tty: t, winch: make(chan os.Signal, 1), keys: make(chan []byte), events: make(chan tcell.Event),
		ask: make(chan func()), quit: make(chan struct{}), modes: map[ansi.DECMode]bool{},
		stop: make(chan struct{}), ended: make(chan struct{}), quiet: make(chan struct{})}
	if s.screen, err = tcell.NewTerminfoScreenFromTty(t); err != nil {
		t.File.Close()
		return nil, fmt.Errorf("drawing on a terminal of the kind %q: %w", os.Getenv("TERM"), err)
	}
	return s, nil
}

// Start takes the terminal, and returns the standard files of the command: the first is its terminal. TERM in this
// process's environment becomes that of the command.
func (s *Screen) Start() (files [3]*os.File, err error) {
	if s.master, s.slave, err = pty.Open(); err != nil {
		return files, fmt.Errorf("making a pseudo-terminal: %w", err)
	}
	if err := s.engage(); err != nil {
		return files, err
	}
	s.to = newQueue(s.master)
	w, h := s.screen.Size()
	_, _, s.place = divide(w, h, s.view.layout, s.view.share)
	if s.place.w == 0 {
		s.place.w, s.place.h = w, h
	}
	s.pane = newPane(s.place.w, s.place.h, s.to)
	s.sized()
	s.input.send = func(b []byte) { s.to.Write(b) }
	s.output, s.spent = make(chan []byte), make(chan []byte, 2)
	s.setTerm()
	go s.listen()
	go s.run()
	files = [3]*os.File{s.slave, s.slave, s.slave}
	if !term.IsTerminal(2) {
		files[2] = os.Stderr
	}
	return files, nil
}

// Started says that the command has its files.
func (s *Screen) Started() { s.slave.Close() }

// engage takes the user's terminal.
func (s *Screen) engage() (err error) {
	if s.guard, err = startGuard(s.tty); err != nil {
		return err
	}
	for r, instead := range fallbacks {
		s.screen.RegisterRuneFallback(r, instead)
	}
	if err := s.screen.Init(); err != nil {
		s.guard.stop()
		s.guard = nil
		return fmt.Errorf("taking the terminal: %w", err)
	}
	s.plainKeys()
	s.view = newView(s.screen.Colors(), s.Layout, s.Share)
	s.view.theme.coarse = strings.HasPrefix(os.Getenv("TERM"), "linux")
	s.view.show(s.Graphs())
	s.input.key, s.input.scroll = s.key, s.scroll
	signal.Notify(s.winch, unix.SIGWINCH)
	go func() {
		for e := s.screen.PollEvent(); e != nil; e = s.screen.PollEvent() {
			select {
			case s.events <- e:
			case <-s.ended:
				return
			}
		}
	}()
	go func() {
		defer close(s.quiet)
		s.tty.typed(func(b []byte) {
			select {
			case s.keys <- b:
			case <-s.ended:
				s.late = append(s.late, b...)
			}
		})
	}()
	return nil
}

// fallbacks are for locales without UTF-8.
var fallbacks = func() map[rune]string {
	all := map[rune]string{'▀': "'", '▄': ".", '█': "#", '░': ":", '│': "|", '×': "x", '↑': "^", '↓': "v", '…': "~"}
	for dots := 1; dots < 256; dots++ {
		all[brailleStart+rune(dots)] = ascii(uint8(dots))
	}
	return all
}()

// plainKeys takes back what tcell has asked the terminal for: keys are to come as a program that asks for nothing has them.
func (s *Screen) plainKeys() {
	s.tty.Write([]byte("\x1b[?9001l\x1b[<u\x1b[>4;0m\x1b[?1l\x1b>"))
	clear(s.modes)
}

// setTerm names the terminal that the pane is, with the colours that the user's has.
func (s *Screen) setTerm() {
	name := "xterm"
	if s.screen.Colors() == 0 || s.screen.Colors() >= 256 {
		name = "xterm-256color"
	}
	os.Setenv("TERM", name)
	if s.screen.Colors() > 256 {
		os.Setenv("COLORTERM", "truecolor")
	} else {
		os.Unsetenv("COLORTERM")
	}
	os.Unsetenv("LINES")
	os.Unsetenv("COLUMNS")
}

// sized tells the command of its size.
func (s *Screen) sized() {
	s.pane.resize(s.place.w, s.place.h)
	s.guard.sized(s.place.w, s.place.h)
	pty.Setsize(s.master, &pty.Winsize{Rows: uint16(s.place.h), Cols: uint16(s.place.w)})
}

// release gives the terminal back.
func (s *Screen) release() {
	for m, on := range s.modes {
		switch {
		case on && m == ansi.ModeNumericKeypad:
			s.tty.Write([]byte("\x1b>"))
		case on:
			fmt.Fprintf(s.tty, "\x1b[?%dl", int(m))
		}
	}
	s.screen.SetCursorStyle(tcell.CursorStyleDefault)
}

// Suspend gives the terminal back for a while: this process is about to stop.
func (s *Screen) Suspend() {
	s.do(func() {
		s.release()
		s.away = true // tcell could not draw
		s.screen.Suspend()
	})
}

// Resume takes it again.
func (s *Screen) Resume() {
	s.do(func() {
		s.screen.Resume()
		s.away, s.shown = false, shown{} // tcell has forgotten it
		s.plainKeys()
		s.tty.resized()
	})
}

// End is called when the command has ended: it gives the terminal back for good, and prints on it what the command's showed
// last.
func (s *Screen) End() {
	if s.guard == nil {
		s.tty.File.Close()
		return
	}
	s.drain()
	s.finish()
	show(s.tty, s.pane.last())
	s.tty.retype(s.ahead())
	s.pane.close()
	s.master.Close()
	s.guard.stop()
	s.tty.File.Close()
}

// ahead is what was typed and nobody has read, when nothing is read or drawn any more.
func (s *Screen) ahead() []byte {
	s.input.feed(s.late)
	rest := s.to.close() // before what is in the terminal is taken
	return append(unread(s.master), rest...)
}

// finish ends drawing, and makes the terminal what it was.
func (s *Screen) finish() {
	s.do(func() {
		s.tty.SetReadDeadline(time.Now())
		s.release()
		signal.Stop(s.winch)
	})
	close(s.stop)
	<-s.ended
	<-s.quiet
	if s.pane != nil { // still raw: what comes from now on is the next reader's
		s.late = append(s.late, available(s.tty.fd(), 0)...)
	}
	s.screen.Fini()
}

// drain waits for the last of the command's output.
func (s *Screen) drain() {
	over := false
	for end := time.Now().Add(time.Second); !over && time.Now().Before(end); {
		s.do(func() {
			for {
				select {
				case b, ok := <-s.output:
					if !ok {
						s.output, over = nil, true
						return
					}
					s.take(b)
				case <-time.After(settle):
					over = true
					return
				}
			}
		})
	}
}

// Watch draws graphs alone, until the user quits or over is closed.
func (Drawer) Watch(l meter.Look, over <-chan struct{}) error {
	s, err := open(l)
	if err != nil {
		return err
	}
	defer s.tty.File.Close()
	if err := s.engage(); err != nil {
		return err
	}
	s.view.layout, s.view.alone, s.input.always = "full", true, true
	s.input.send = func([]byte) {}
	go s.run()
	select {
	case <-s.quit:
	case <-over:
	}
	s.finish()
	s.guard.stop()
	return nil
}
