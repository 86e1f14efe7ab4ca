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
	back    bool   // the pane is scrolled back: keys that scroll are ours, and any other ends that

	key    func(byte)
	scroll func(scrolling) (back bool)
	send   func([]byte)
	mouse  func(mouse) // nil while no mouse is wanted
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
			default:
				in.back = in.scroll(scrollKeys[string(rest[:n])])
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
		case in.back:
			flush(i)
			from = i
			how, ours := scrollKeys[string(rest[:keyLength(rest)])]
			if !ours {
				how = forth
			}
			if in.back = in.scroll(how); ours {
				i += keyLength(rest)
				from = i
			}
		default:
			i++
		}
	}
	flush(len(b))
}

// scrolling is how far the pane is to be scrolled back: by so many lines, and so many of its heights.
type scrolling struct{ lines, pages int }

// forth is to where the command is, and wheel what a mouse's does.
var (
	forth = scrolling{lines: -remembered}
	wheel = map[int]scrolling{64: {lines: 3}, 65: {lines: -3}}
)

// scrollKeys are what xterm sends for Page Up and Page Down, the arrows, Home and End (ctlseqs, "PC-Style Function Keys").
var scrollKeys = map[string]scrolling{
	"\x1b[5~": {pages: 1}, "\x1b[6~": {pages: -1},
	"\x1b[A": {lines: 1}, "\x1bOA": {lines: 1}, "\x1b[B": {lines: -1}, "\x1bOB": {lines: -1},
	"\x1b[H": {lines: remembered}, "\x1bOH": {lines: remembered}, "\x1b[1~": {lines: remembered},
	"\x1b[F": forth, "\x1bOF": forth, "\x1b[4~": forth,
}

// keyLength is how many bytes a key sends: 1, or those of an escape sequence.
func keyLength(b []byte) int {
	if b[0] != 0x1b || len(b) == 1 {
		return 1
	}
	if b[1] == 'O' { // SS3, and what it shifts
		return min(3, len(b))
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
		switch m {
		case ansi.ModeMouseNormal:
			want = want || p.back > 0 // for the wheel
		case ansi.ModeMouseExtSgr:
			want = p.wantsMouse() || p.back > 0
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
