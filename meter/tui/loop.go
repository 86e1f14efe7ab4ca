package tui

import (
	"runtime"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"gomahi/meter"
)

// listen passes on what the command writes.
func (s *Screen) listen() {
	defer close(s.output)
	for range cap(s.spent) {
		s.spent <- make([]byte, 32<<10)
	}
	for {
		b := <-s.spent
		n, err := s.master.Read(b[:cap(b)])
		if n > 0 {
			s.output <- b[:n]
		}
		if err != nil {
			return // EIO when nobody has it open any more
		}
	}
}

// run draws, and sorts what is typed, until it is told to end.
func (s *Screen) run() {
	runtime.LockOSThread()
	unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness)
	defer close(s.ended)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	var drawn time.Time
	var soon <-chan time.Time
	for {
		select {
		case b, ok := <-s.output:
			if !ok {
				s.output = nil
				break
			}
			s.take(b)
			if soon == nil {
				soon = time.After(max(0, soonest-time.Since(drawn)))
			}
			continue
		case b := <-s.keys:
			s.input.feed(b)
		case <-s.winch:
			s.tty.resized()
			continue
		case f := <-s.ask:
			f()
		case <-s.stop:
			return
		case <-s.events: // it may have another size
			s.shown = shown{}
		case <-soon:
		case <-tick.C:
			s.view.show(s.Graphs())
		}
		soon = nil
		if s.away {
			continue
		}
		s.draw()
		drawn = time.Now()
	}
}

// shown is what the picture of the pane depends on, beside what the command writes.
type shown struct {
	written uint64 // how much that is
	place   area
	back    int
	help    bool // covers it
}

// take has the pane take what the command has written.
func (s *Screen) take(b []byte) {
	s.written += uint64(len(b))
	s.guard.Write(b)
	s.pane.Write(b)
	s.spent <- b
}

func (s *Screen) draw() {
	s.view.prefix, s.view.back = s.input.prefix && !s.view.help, 0
	if s.pane != nil {
		s.view.back = s.pane.back
	}
	place := s.view.draw(s.screen, meter.Clock())
	if s.pane == nil {
		s.screen.HideCursor()
		s.screen.Show()
		return
	}
	if place.w > 0 && place.h > 0 {
		if place != s.place {
			s.place = place
			s.sized()
		}
		now := shown{s.written, place, s.pane.back, s.view.help}
		if now != s.shown || s.view.help {
			s.pane.draw(s.screen, place)
			s.shown = now
		}
		if s.view.help {
			w, h := s.screen.Size()
			s.view.drawHelp(s.screen, area{0, 0, w, h})
		}
	} else {
		s.screen.HideCursor()
		s.shown = shown{}
	}
	if s.pane.title != s.title {
		s.title = s.pane.title
		s.screen.SetTitle(ansi.Strip(s.title))
	}
	s.screen.Show()
	if b := s.pane.mirror(s.modes); len(b) > 0 {
		s.tty.Write(b)
	}
	s.input.back = s.pane.back > 0
	s.input.mouse = nil
	if s.pane.wantsMouse() || s.input.back {
		s.input.mouse = s.clicked
	}
}

// scroll shows what has left the pane at the top, and says whether it is still shown.
func (s *Screen) scroll(how scrolling) bool {
	if s.view.help {
		s.view.help = false
		return false
	}
	if s.pane == nil {
		return false
	}
	return s.pane.scroll(how.lines + how.pages*max(1, s.place.h-1))
}

// clicked passes the mouse on to the command, in its own cells.
func (s *Screen) clicked(m mouse) {
	if s.input.back {
		s.input.back = s.scroll(wheel[m.button])
		return
	}
	if p := s.place; m.x >= p.x && m.y >= p.y && m.x < p.x+p.w && m.y < p.y+p.h && s.view.layout != "full" {
		m.x, m.y = m.x-p.x, m.y-p.y
		s.to.Write(s.pane.report(m))
	}
}

func (s *Screen) key(k byte) {
	if s.view.alone && k == 3 { // Ctrl-C
		k = 'q'
	}
	save, quit := s.view.key(k, meter.Clock())
	s.input.prefix = s.view.help // which any key ends
	if save {
		s.view.said = s.save(time.Now())
	}
	if quit {
		close(s.quit)
	}
}

// do has run do something in between, and waits for it.
func (s *Screen) do(f func()) {
	done := make(chan struct{})
	select {
	case s.ask <- func() { f(); close(done) }:
		<-done
	case <-s.ended:
	}
}
