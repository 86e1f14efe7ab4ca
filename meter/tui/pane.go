package tui

import (
	"fmt"
	"image/color"
	"io"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/gdamore/tcell/v2"
)

// A pane is the screen of the command: what it writes goes through a terminal emulator.
type pane struct {
	emulator *vt.Emulator
	modes    map[ansi.Mode]bool // of those in mirrored
	hidden   bool               // the cursor
	cursor   tcell.CursorStyle
	title    string
	answers  io.Writer

	back  int // by how many lines it is scrolled back
	lines int // that have left it at the top, when it was drawn
}

// mirrored are the modes that change what the user's terminal sends: it is put into them too, and what it sends then goes
// to the command as it is.
var mirrored = []ansi.DECMode{
	ansi.ModeCursorKeys,
	ansi.ModeNumericKeypad,
	ansi.ModeMouseX10,
	ansi.ModeMouseNormal,
	ansi.ModeMouseButtonEvent,
	ansi.ModeMouseAnyEvent,
	ansi.ModeMouseExtSgr,
	ansi.ModeFocusEvent,
	ansi.ModeBracketedPaste,
}

// remembered is how many lines that have left a pane at the top can be scrolled back to; and so that what is in sight stays
// there, how many while that is done.
const (
	remembered = 1000
	insight    = 10 * remembered
)

// newPane makes a pane whose answers to the command's questions go to w, which must not wait for the command.
func newPane(w, h int, answers io.Writer) *pane {
	p := &pane{answers: answers}
	p.emulate(w, h)
	return p
}

// emulate begins anew, with an empty screen.
func (p *pane) emulate(w, h int) {
	p.emulator, p.modes, p.hidden = vt.NewEmulator(w, h), map[ansi.Mode]bool{}, false
	p.emulator.SetScrollbackSize(remembered)
	p.back, p.lines = 0, 0
	p.emulator.SetCallbacks(vt.Callbacks{
		EnableMode:       func(m ansi.Mode) { p.modes[m] = true },
		DisableMode:      func(m ansi.Mode) { p.modes[m] = false },
		CursorVisibility: func(visible bool) { p.hidden = !visible },
		CursorStyle: func(s vt.CursorStyle, steady bool) {
			p.cursor = tcell.CursorStyleBlinkingBlock + 2*tcell.CursorStyle(s)
			if steady {
				p.cursor++
			}
		},
		Title: func(s string) { p.title = s },
	})
	// Margins beyond the screen are not checked (DECSTBM, DECSLRM).
	p.emulator.RegisterCsiHandler('r', func(params ansi.Params) bool { return limit(params, p.emulator.Height()) })
	p.emulator.RegisterCsiHandler('s', func(params ansi.Params) bool { return limit(params, p.emulator.Width()) })
	go io.Copy(p.answers, p.emulator)
}

// limit makes parameters no more than a size, and leaves what they are for to the emulator's own handler.
func limit(params ansi.Params, size int) (handled bool) {
	for i, v := range params {
		if n := v.Param(0); n > size {
			params[i] = ansi.Param(size)
		}
	}
	return false
}

func (p *pane) close() { hangUp(p.emulator) }

// hangUp ends who reads an emulator's answers. Its own Close is not for when somebody does.
func hangUp(e *vt.Emulator) { e.InputPipe().(io.Closer).Close() }

// Write has the emulator take what the command writes. Should that be its end, a new one takes its place: a command must
// not be able to end us.
func (p *pane) Write(b []byte) (int, error) {
	defer func() {
		if recover() != nil {
			old := p.emulator
			p.emulate(old.Width(), old.Height())
			hangUp(old)
		}
	}()
	return p.emulator.Write(b)
}

// resize keeps the line of the cursor in sight: the emulator would cut off what is at the bottom. Full-screen programs draw
// all of theirs again.
func (p *pane) resize(w, h int) {
	e := p.emulator
	if w == e.Width() && h == e.Height() {
		return
	}
	if at := e.CursorPosition(); at.Y >= h && !e.IsAltScreen() {
		fmt.Fprintf(p, "\x1b[r\x1b[%dS\x1b[%d;%dH", at.Y-h+1, h, at.X+1)
	}
	e.Resize(w, h)
}

// scroll goes back by so many lines, or forth, as far as there are any, and says whether the pane is then scrolled back.
func (p *pane) scroll(by int) bool {
	p.back = min(max(0, p.back+by), p.emulator.ScrollbackLen())
	if p.emulator.IsAltScreen() { // what has left it is of what was before
		p.back = 0
	}
	if p.back > 0 {
		p.emulator.SetScrollbackSize(insight)
	} else {
		p.emulator.SetScrollbackSize(remembered)
	}
	return p.back > 0
}

// cell is what is to be drawn at a place.
func (p *pane) cell(x, y int) *uv.Cell {
	if y < p.back {
		return p.emulator.ScrollbackCellAt(x, p.emulator.ScrollbackLen()-p.back+y)
	}
	return p.emulator.CellAt(x, y-p.back)
}

// draw copies the pane into its area, and puts the cursor where it has its own.
func (p *pane) draw(s tcell.Screen, a area) {
	n := p.emulator.ScrollbackLen()
	if p.back > 0 {
		p.scroll(n - p.lines) // the same lines stay in sight
	}
	p.lines = n
	for y := range a.h {
		for x := 0; x < a.w; {
			text, style, w := " ", tcell.StyleDefault, 1
			if c := p.cell(x, y); c != nil {
				style = p.style(&c.Style)
				if c.Content != "" {
					text = c.Content
				}
				w = max(1, c.Width)
			}
			if x+w > a.w {
				text, w = " ", 1
			}
			if _, n := s.Put(a.x+x, a.y+y, text, style); n > a.w-x { // the libraries differ
				s.Put(a.x+x, a.y+y, " ", style)
			}
			x += w
		}
	}
	at := p.emulator.CursorPosition()
	if p.hidden || p.back > 0 || at.X >= a.w || at.Y >= a.h {
		s.HideCursor()
		return
	}
	s.SetCursorStyle(p.cursor)
	s.ShowCursor(a.x+at.X, a.y+at.Y)
}

// attributes, as the two libraries have them.
var attributes = []struct {
	uv uint8
	tc tcell.AttrMask
}{
	{uv.AttrBold, tcell.AttrBold},
	{uv.AttrFaint, tcell.AttrDim},
	{uv.AttrItalic, tcell.AttrItalic},
	{uv.AttrBlink, tcell.AttrBlink},
	{uv.AttrReverse, tcell.AttrReverse},
	{uv.AttrStrikethrough, tcell.AttrStrikeThrough},
}

func (p *pane) style(c *uv.Style) tcell.Style {
	s := tcell.StyleDefault
	if c.IsZero() {
		return s
	}
	var mask tcell.AttrMask
	for _, a := range attributes {
		if c.Attrs&a.uv != 0 {
			mask |= a.tc
		}
	}
	s = s.Attributes(mask).Foreground(p.colour(c.Fg)).Background(p.colour(c.Bg))
	if c.Underline != uv.UnderlineNone {
		s = s.Underline(tcell.UnderlineStyle(c.Underline))
	}
	if c.Attrs&uv.AttrConceal != 0 {
		s = s.Foreground(p.colour(c.Bg))
	}
	return s
}

func (p *pane) colour(c color.Color) tcell.Color {
	switch c := c.(type) {
	case nil:
		return tcell.ColorDefault
	case ansi.BasicColor:
		return tcell.PaletteColor(int(c))
	case ansi.IndexedColor:
		return tcell.PaletteColor(int(c))
	}
	r, g, b, _ := c.RGBA()
	return tcell.NewRGBColor(int32(r>>8), int32(g>>8), int32(b>>8))
}

// last is what the pane shows, or would if a full-screen program had not hidden it, as text with escape sequences, a line
// each; the lines below the last that has something are left out.
func (p *pane) last() (lines []string) {
	p.Write([]byte("\x1b[?1049l"))
	w, h := p.emulator.Width(), p.emulator.Height()
	b := uv.NewScreenBuffer(w, h)
	for y := range h {
		for x := range w {
			if c := p.emulator.CellAt(x, y); c != nil && c.Width > 0 {
				b.SetCell(x, y, c)
			}
		}
	}
	for y := range h {
		lines = append(lines, b.Line(y).Render())
	}
	for len(lines) > 0 && ansi.Strip(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
