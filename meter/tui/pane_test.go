package tui

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

// What the user types goes to the command byte by byte, but for our keys and the mouse.
func TestInput(t *testing.T) {
	type row struct {
		name        string
		in          []string // reads
		mouse       bool
		sent, asked string
	}
	for _, r := range []row{
		{"text", []string{"hello\r"}, false, "hello\r", ""},
		{"keys", []string{"\x1b[A\x1bOP\x1b[1;5C\x1b", "\x03\x1a"}, false, "\x1b[A\x1bOP\x1b[1;5C\x1b\x03\x1a", ""},
		{"wide", []string{"日", "\xe6\x9c", "\xac"}, false, "日本", ""},
		{"ours", []string{"a\x07lb"}, false, "ab", "l"},
		{"ours, in two reads", []string{"a\x07", "lb"}, false, "ab", "l"},
		{"the prefix itself", []string{"a\x07\x07b"}, false, "a\x07b", ""},
		{"an arrow after the prefix", []string{"a\x07\x1b[Ab"}, false, "ab", "{1 0}{-1000 0}"},
		{"a key that does not scroll", []string{"a\x07\x1b[15~b"}, false, "ab", "{0 0}"},
		{"page up, and others from then on", []string{"a\x07\x1b[5~", "\x1b[5~", "\x1bOB\x1b[6~b\x1b[5~"}, false, "ab\x1b[5~", "{0 1}{0 1}{-1 0}{0 -1}{-1000 0}"},
		{"ours while scrolled back", []string{"\x07\x1b[5~\x07l\x1b[6~"}, false, "", "{0 1}l{0 -1}"},
		{"an arrow that does not scroll ends it", []string{"\x07\x1b[5~\x1b[D"}, false, "\x1b[D", "{0 1}{-1000 0}"},
		{"a paste with the prefix in it", []string{"\x1b[200~a\x07", "b\x1b[201~\x07l"}, false, "\x1b[200~a\x07b\x1b[201~", "l"},
		{"the mouse", []string{"a\x1b[<0;5;7Mb\x1b[<0;5;7m"}, true, "ab", "(0 4 6 false)(0 4 6 true)"},
		{"the mouse, in pieces", []string{"a\x1b[", "<65;5", "0;7", "M", "b"}, true, "ab", "(65 49 6 false)"},
		{"no mouse wanted", []string{"\x1b[<0;5;7M"}, false, "\x1b[<0;5;7M", ""},
		{"no mouse at all", []string{"\x1b[<0;5X\x1b[<;;M\x1b[<1;2;3;4M\x1b[<123456;1;1M"}, true, "\x1b[<0;5X\x1b[<;;M\x1b[<1;2;3;4M\x1b[<123456;1;1M", ""},
		{"escape with a mouse", []string{"\x1b", "x"}, true, "\x1bx", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			var sent, asked strings.Builder
			in := input{key: func(b byte) { asked.WriteByte(b) }, send: func(b []byte) { sent.Write(b) },
				scroll: func(how scrolling) bool { fmt.Fprint(&asked, how); return how != forth && how != scrolling{} }}
			if r.mouse {
				in.mouse = func(m mouse) {
					asked.WriteString(strings.NewReplacer("{", "(", "}", ")").Replace(fmt.Sprint(m)))
				}
			}
			for _, b := range r.in {
				in.feed([]byte(b))
			}
			if sent.String() != r.sent || asked.String() != r.asked {
				t.Errorf("sent %q, asked for %q; want %q and %q", sent.String(), asked.String(), r.sent, r.asked)
			}
		})
	}
}

// However the input is cut into reads, the command gets the same, and nothing is lost but what is ours.
func FuzzInput(f *testing.F) {
	f.Add([]byte("a\x07lb\x1b[<0;5;7Mc\x1b[200~\x07\x1b[201~"), uint(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		feed := func(pieces ...[]byte) string {
			var out strings.Builder
			in := input{key: func(k byte) { out.WriteString("<" + string(rune(k)) + ">") }, send: func(b []byte) { out.Write(b) },
				scroll: func(how scrolling) bool { return how.pages > 0 }}
			for _, p := range pieces {
				in.feed(p)
			}
			return out.String()
		}
		whole := feed(b)
		if !bytes.ContainsAny(b, "\x07\x1b") && whole != string(b) {
			t.Errorf("%q became %q", b, whole)
		}
		k := int(cut % uint(len(b)+1))
		if !bytes.ContainsRune(b, 0x1b) { // a sequence in two pieces is not recognized
			if got := feed(b[:k], b[k:]); got != whole {
				t.Errorf("%q, cut at %d: %q, want %q", b, k, got, whole)
			}
		}
	})
}

func TestModes(t *testing.T) {
	p := newPane(80, 24, io.Discard)
	defer p.close()
	now := map[ansi.DECMode]bool{}
	for _, row := range []struct{ name, writes, want string }{
		{"at first", "", ""},
		{"cursor keys", "\x1b[?1h\x1b=", "\x1b[?1h\x1b="},
		{"again", "\x1b[?1h\x1b=", ""},
		{"mouse in the old form", "\x1b[?1000h", "\x1b[?1000h\x1b[?1006h"},
		{"and in the new", "\x1b[?1006h", ""},
		{"paste and focus", "\x1b[?2004h\x1b[?1004h", "\x1b[?1004h\x1b[?2004h"},
		{"reset", "\x1bc", "\x1b[?1l\x1b>\x1b[?1000l\x1b[?1006l\x1b[?1004l\x1b[?2004l"},
	} {
		p.Write([]byte(row.writes))
		if got := string(p.mirror(now)); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestMouseReports(t *testing.T) {
	p := newPane(80, 24, io.Discard)
	defer p.close()
	p.Write([]byte("\x1b[?1000h"))
	for _, row := range []struct {
		m    mouse
		want string
	}{
		{mouse{0, 4, 6, false}, "\x1b[M %'"},
		{mouse{0, 4, 6, true}, "\x1b[M#%'"},
		{mouse{0, 300, 6, false}, ""},
	} {
		if got := string(p.report(row.m)); got != row.want {
			t.Errorf("%+v: %q, want %q", row.m, got, row.want)
		}
	}
	p.Write([]byte("\x1b[?1006h"))
	if got := string(p.report(mouse{65, 300, 6, false})); got != "\x1b[<65;301;7M" {
		t.Errorf("%q", got)
	}
}

// The pane asks and answers as a terminal.
func TestAnswers(t *testing.T) {
	r, w := io.Pipe()
	p := newPane(80, 24, w)
	defer p.close()
	go p.Write([]byte("\x1b[5;10H\x1b[6n"))
	b := make([]byte, 100)
	n, _ := r.Read(b)
	if got := string(b[:n]); got != "\x1b[5;10R" {
		t.Errorf("%q", got)
	}
}

// A pane is drawn with its colours, wide characters and cursor, and nothing beyond its area.
func TestPane(t *testing.T) {
	s := simulated(t, 30, 8)
	p := newPane(20, 5, io.Discard)
	defer p.close()
	for y := range 8 {
		for x := range 30 {
			s.Put(x, y, ".", themeFor(0).text)
		}
	}
	p.Write([]byte("plain \x1b[1;31mred\x1b[0m \x1b[38;5;200m200\x1b[0m\r\n日本語 \x1b[48;2;1;2;3mrgb\x1b[0m\r\n\x1b[7mreverse\x1b[m e\u0301\r\n" +
		"\x1b(0lqk\x1b(B\x1b[4;15H日本語"))
	p.draw(s, area{5, 2, 20, 5})
	golden(t, "pane", picture(s))
	if x, y, visible := s.GetCursor(); !visible || x != 5+19 || y != 2+3 {
		t.Errorf("cursor at %d,%d, %v", x, y, visible)
	}
	p.Write([]byte("\x1b[?25l"))
	p.draw(s, area{5, 2, 20, 5})
	s.Show()
	if _, _, visible := s.GetCursor(); visible {
		t.Error("the cursor is not hidden")
	}
}

// What has left a pane at the top can be looked at, and stays in sight while the command goes on to write.
func TestScrollback(t *testing.T) {
	s := simulated(t, 20, 3)
	p := newPane(20, 3, io.Discard)
	defer p.close()
	expect := func(name string, want ...string) {
		t.Helper()
		p.draw(s, area{0, 0, 20, 3})
		if d := cmp.Diff(want, strings.Split(picture(s), "\n")[:3]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	p.Write([]byte("1 é\r\n2\r\n3\r\n4\r\n5"))
	expect("at first", "3", "4", "5")
	p.scroll(1)
	expect("a line back", "2", "3", "4")
	p.Write([]byte("\r\n6"))
	expect("another was written", "2", "3", "4")
	p.scroll(100)
	expect("to the beginning", "1 é", "2", "3")
	if _, _, visible := s.GetCursor(); visible {
		t.Error("there is a cursor")
	}
	if p.scroll(-100) {
		t.Error("still scrolled back")
	}
	expect("to the end", "4", "5", "6")
	for i := range remembered + 10 {
		fmt.Fprintf(p, "\r\nline %d", i)
	}
	expect("as many as are remembered", "line 1007", "line 1008", "line 1009")
	p.scroll(5)
	expect("back from there", "line 1002", "line 1003", "line 1004")
	for i := range 100 {
		fmt.Fprintf(p, "\r\nmore %d", i)
	}
	expect("a hundred were written", "line 1002", "line 1003", "line 1004")
	p.scroll(-1000)
	expect("to the end again", "more 97", "more 98", "more 99")
	if n := p.emulator.ScrollbackLen(); n != remembered {
		t.Errorf("%d lines are remembered", n)
	}
	p.scroll(2)
	p.Write([]byte("\x1b[?1049h\x1b[Hfull"))
	expect("a full-screen program", "full", "", "")
	if p.scroll(1) {
		t.Error("a full-screen program is scrolled back")
	}
}

// The line of the cursor stays in sight when there is less room.
func TestShrunk(t *testing.T) {
	s := simulated(t, 20, 5)
	p := newPane(20, 5, io.Discard)
	defer p.close()
	p.Write([]byte("1\r\n2\r\n3\r\n4\r\n$ ab\b"))
	p.resize(18, 2)
	p.draw(s, area{0, 0, 18, 2})
	if d := cmp.Diff([]string{"4", "$ ab"}, strings.Split(picture(s), "\n")[:2]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if x, y, _ := s.GetCursor(); x != 3 || y != 1 {
		t.Errorf("cursor at %d,%d", x, y)
	}
	p.resize(20, 5)
	p.scroll(1)
	p.draw(s, area{0, 0, 20, 5})
	if d := cmp.Diff([]string{"3", "4", "$ ab", "", ""}, strings.Split(picture(s), "\n")[:5]); d != "" {
		t.Errorf("grown again, and scrolled back (-want +got):\n%s", d)
	}
}

// What is left at the end is the main screen's.
func TestLast(t *testing.T) {
	p := newPane(20, 5, io.Discard)
	defer p.close()
	p.Write([]byte("one\r\n\x1b[31mtwo\x1b[m 日本\r\n\r\n"))
	want := []string{"one", "\x1b[31mtwo\x1b[m 日本"}
	if d := cmp.Diff(want, p.last()); d != "" {
		t.Error(d)
	}
	p.Write([]byte("\x1b[?1049hfull screen"))
	if d := cmp.Diff(want, p.last()); d != "" {
		t.Errorf("after a full-screen program: %s", d)
	}
}

// Whatever the command writes, whatever the size, the pane can be drawn and nothing is out of its area.
func FuzzPane(f *testing.F) {
	for _, s := range []string{"hello\r\n", "\x1b[31mred\x1b[m", "\x1b[?1049h\x1b[2J\x1b[5;5H日本語", "\x1b[2;4r\x1b[5S\x1b[3L\x1b[9999b",
		"\x1b]0;title\x07", "\x1bP+q544e\x1b\\", "\x1b[6n\x1b[c\x1b[>c\x1b[?6n", "\x1b(0lqqk\x1b(B", "e\u0301\u200d\U0001F468\u200d\U0001F469",
		"\x1b[999;999H\x1b[999@\x1b[999P\x1b[?69h\x1b[3;2s", "\xff\xfe\x80\xc3"} {
		f.Add([]byte(s), uint8(20), uint8(5), uint8(10), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, w, h, w2, h2 uint8) {
		size := func(n uint8) int { return 1 + int(n%40) }
		p := newPane(size(w), size(h), io.Discard)
		defer p.close()
		s := simulated(t, 45, 44)
		p.emulator.Write(b) // past what would catch a panic
		p.draw(s, area{3, 2, size(w), size(h)})
		p.resize(size(w2), size(h2))
		p.emulator.Write(b)
		s.Clear()
		p.scroll(int(w))
		p.draw(s, area{3, 2, size(w2), size(h2)})
		s.Show()
		cells, cw, ch := s.GetContents()
		for y := range ch {
			for x := range cw {
				in := x >= 3 && y >= 2 && x < 3+size(w2) && y < 2+size(h2)
				for _, r := range cells[y*cw+x].Runes {
					if unicode.IsControl(r) {
						t.Fatalf("%q at %d,%d would be written to the terminal", r, x, y)
					}
				}
				if r := cells[y*cw+x].Runes; !in && len(r) > 0 && r[0] != ' ' {
					t.Fatalf("%q at %d,%d, outside the pane of %dx%d", string(r), x, y, size(w2), size(h2))
				}
			}
		}
		p.last()
	})
}

// After what real programs wrote (recorded with TERM=xterm-256color on 80x24) the pane shows what tmux 3.3 shows.
func TestSessions(t *testing.T) {
	for _, name := range []string{"bash", "vim", "less", "top", "htop"} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile("testdata/sessions/" + name)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile("testdata/sessions/" + name + ".screen")
			if err != nil {
				t.Fatal(err)
			}
			for _, piece := range []int{len(b), 1000, 7} {
				p := newPane(80, 24, io.Discard)
				for rest := b; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
					p.Write(rest[:min(piece, len(rest))])
				}
				s := simulated(t, 80, 24)
				p.draw(s, area{0, 0, 80, 24})
				text := strings.Join(strings.Split(picture(s), "\n")[:24], "\n")
				if d := cmp.Diff(strings.TrimRight(string(want), "\n"), strings.TrimRight(text, "\n")); d != "" {
					t.Errorf("written %d bytes at a time (-tmux +pane):\n%s", piece, d)
				}
				p.close()
			}
		})
	}
}
