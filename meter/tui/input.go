package tui

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/charmbracelet/x/ansi"
)

const prefixKey = 'G' & 0x1f // Ctrl-G

// An input sorts what the user's terminal sends: our keys, the mouse, and the rest, which goes to the command byte by byte.
type input struct {
	held    []byte // the beginning of a mouse report
	pasting bool   // text, in which the prefix is none
	prefix  bool   // the next byte is ours
	always  bool   // every byte is ours: there is no command

	key   func(byte)
	send  func([]byte)
	mouse func(mouse) // nil while no mouse is wanted
}

// mouse is a report: button as xterm has it, cell from 0.
type mouse struct {
	button, x, y int
	release      bool
}

var (
	mouseStart = []byte("\x1b[<")
	pasteStart = []byte(ansi.BracketedPasteStart)
	pasteEnd   = []byte(ansi.BracketedPasteEnd)
)

func (in *input) feed(b []byte) {
	b = append(in.held, b...)
	in.held = nil
	from := 0
	flush := func(to int) {
		if to > from {
			in.send(b[from:to])
		}
	}
	for i := 0; i < len(b); {
		rest := b[i:]
		switch {
		case in.prefix || in.always:
			flush(i)
			n := keyLength(rest)
			in.prefix = false
			switch {
			case rest[0] == prefixKey && !in.always:
				in.send(rest[:1])
			case n == 1:
				in.key(rest[0])
			}
			i += n
			from = i
		case bytes.HasPrefix(rest, pasteStart):
			in.pasting = true
			i += len(pasteStart)
		case bytes.HasPrefix(rest, pasteEnd):
			in.pasting = false
			i += len(pasteEnd)
		case rest[0] == prefixKey && !in.pasting:
			flush(i)
			in.prefix = true
			i++
			from = i
		case in.mouse != nil && !in.pasting && len(rest) > 1 && bytes.HasPrefix(mouseStart, rest[:min(len(rest), 3)]):
			m, n := parseMouse(rest)
			flush(i)
			if n == 0 { // more is to come
				in.held = bytes.Clone(rest)
				return
			}
			if n > 0 {
				in.mouse(m)
				i += n
				from = i
			} else {
				from = i
				i++
			}
		default:
			i++
		}
	}
	flush(len(b))
}

// keyLength is how many bytes a key sends: 1, or those of an escape sequence.
func keyLength(b []byte) int {
	if b[0] != 0x1b || len(b) == 1 {
		return 1
	}
	_, _, n, _ := ansi.DecodeSequence(b, ansi.NormalState, nil)
	return max(1, n)
}

// parseMouse reads a report in xterm's SGR form (ctlseqs, "Extended coordinates"). It returns its length, 0 if its end is
// not there yet, and -1 if it is none.
func parseMouse(b []byte) (m mouse, n int) {
	if len(b) < len(mouseStart) {
		return m, 0
	}
	var v [3]int
	k, digits := 0, 0
	for n = len(mouseStart); n < len(b); n++ {
		switch c := b[n]; {
		case c >= '0' && c <= '9' && digits < 5:
			v[k] = 10*v[k] + int(c-'0')
			digits++
		case c == ';' && k < 2 && digits > 0:
			k, digits = k+1, 0
		case (c == 'M' || c == 'm') && k == 2 && digits > 0:
			return mouse{v[0], v[1] - 1, v[2] - 1, c == 'm'}, n + 1
		default:
			return m, -1
		}
	}
	return m, 0
}

// report is how the command wants to hear of the mouse, in its own cells; nil if it does not.
func (p *pane) report(m mouse) []byte {
	if p.modes[ansi.ModeMouseExtSgr] {
		final := "M"
		if m.release {
			final = "m"
		}
		return fmt.Appendf(nil, "\x1b[<%d;%d;%d%s", m.button, m.x+1, m.y+1, final)
	}
	const most = 255 - 32 - 1 // that a byte can say
	if m.x > most || m.y > most {
		return nil
	}
	if m.release {
		m.button = m.button&^3 | 3
	}
	return []byte{0x1b, '[', 'M', byte(32 + m.button), byte(33 + m.x), byte(33 + m.y)}
}

// wantsMouse says whether the command asked for the mouse.
func (p *pane) wantsMouse() bool {
	return p.modes[ansi.ModeMouseX10] || p.modes[ansi.ModeMouseNormal] || p.modes[ansi.ModeMouseButtonEvent] || p.modes[ansi.ModeMouseAnyEvent]
}

// mirror is what puts the user's terminal from one set of modes into that of the pane. Its mouse always reports in the SGR
// form, whose coordinates have no end.
func (p *pane) mirror(now map[ansi.DECMode]bool) (out []byte) {
	for _, m := range mirrored {
		want := p.modes[m]
		if m == ansi.ModeMouseExtSgr {
			want = p.wantsMouse()
		}
		if want == now[m] {
			continue
		}
		now[m] = want
		switch {
		case m == ansi.ModeNumericKeypad && want:
			out = append(out, "\x1b="...)
		case m == ansi.ModeNumericKeypad:
			out = append(out, "\x1b>"...)
		default:
			out = append(out, "\x1b[?"+strconv.Itoa(int(m))...)
			out = append(out, map[bool]byte{true: 'h', false: 'l'}[want])
		}
	}
	return out
}
