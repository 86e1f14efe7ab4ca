package tui

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"gomahi/meter"
)

var update = flag.Bool("update", false, "write the golden screens anew")

const second = time.Second

// scripted is a Source that says what happened in every tenth millisecond; nothing does in the others.
type scripted func(ms int64) meter.Sum

// until is when a scripted history ends: the now of most tests.
const until = 700 * second

func (s scripted) Columns(width time.Duration, first int64, into []meter.Sum) int {
	n := int64(width / time.Millisecond)
	for i := range into {
		into[i] = meter.Sum{}
		for k := (first + int64(i)) * n; k < (first+int64(i)+1)*n; k++ {
			if k >= 0 && k%10 == 0 && k < int64(until/time.Millisecond) {
				into[i].Add(s(k))
			}
		}
	}
	return len(into)
}

// simulated is a screen, and what it shows.
func simulated(t testing.TB, w, h int) tcell.SimulationScreen {
	t.Helper()
	s := tcell.NewSimulationScreen("UTF-8")
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Fini)
	s.SetSize(w, h)
	return s
}

// picture is what a screen shows, and below it a letter for each cell's style.
func picture(s tcell.SimulationScreen) string {
	s.Show()
	cells, w, h := s.GetContents()
	var text, look strings.Builder
	letters := map[string]byte{}
	var legend []string
	for y := range h {
		var line, styles []byte
		for x := range w {
			c := cells[y*w+x]
			line = append(line, string(c.Runes)...)
			fg, bg, attr := c.Style.Decompose()
			name := fmt.Sprintf("%v on %v, %d", fg, bg, attr)
			if _, ok := letters[name]; !ok {
				letters[name] = byte('a' + len(letters))
				legend = append(legend, fmt.Sprintf("%c is %s", letters[name], name))
			}
			styles = append(styles, letters[name])
		}
		text.WriteString(strings.TrimRight(string(line), " ") + "\n")
		look.Write(append(styles, '\n'))
	}
	return text.String() + "\n" + look.String() + "\n" + strings.Join(legend, "\n") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// wave is a rate that goes up and down, in bytes per millisecond.
func wave(most float64) scripted {
	return func(ms int64) meter.Sum {
		n := uint64(most / 800 * (1 - math.Cos(float64(ms)/5000)) / 2)
		return meter.Sum{Arrived: n, Departed: n}
	}
}

// loaded is a link of a rate, whose load goes beyond it now and then.
func loaded(rate float64) scripted {
	capacity := uint64(rate / 800)
	return func(ms int64) meter.Sum {
		in := uint64(rate / 800 * (0.6 + 0.8*math.Sin(float64(ms)/4000)))
		if math.Sin(float64(ms)/4000) < -0.7 {
			in = 0
		}
		s := meter.Sum{Arrived: in, Departed: min(in, capacity), Capacity: capacity}
		if in > capacity {
			s.Delay = time.Duration(ms%4000) * 10 * time.Microsecond
			if ms%2000 < 3 {
				s.Dropped = 1
			}
		}
		return s
	}
}

func quiet(int64) meter.Sum { return meter.Sum{} }

func two(up, down scripted) []meter.Graph {
	return []meter.Graph{
		{Title: "gm-meter", Direction: "uplink", What: meter.Rate, Source: &up},
		{Title: "gm-meter", Direction: "downlink", What: meter.Rate, Source: &down},
	}
}

func four(rate float64) []meter.Graph {
	up, down := loaded(rate), loaded(rate/10)
	title := "gm-link 12Mbps 1.2Mbps"
	return []meter.Graph{
		{Title: title, Direction: "uplink", What: meter.Rate, Linked: true, Source: &up},
		{Title: title, Direction: "downlink", What: meter.Rate, Linked: true, Source: &down},
		{Title: title, Direction: "uplink", What: meter.Delay, Linked: true, Source: &up},
		{Title: title, Direction: "downlink", What: meter.Delay, Linked: true, Source: &down},
	}
}

func TestScreens(t *testing.T) {
	steady := func(rate float64) scripted {
		return func(int64) meter.Sum { return meter.Sum{Departed: uint64(rate / 800)} }
	}
	for _, row := range []struct {
		name          string
		w, h, colours int
		graphs        []meter.Graph
		change        func(*view)
	}{
		{"empty", 80, 24, 256, two(quiet, quiet), nil},
		{"waves 80x24", 80, 24, 256, two(wave(20e6), wave(3e9)), nil},
		{"waves of 8 colours", 80, 24, 8, two(wave(20e6), wave(3e9)), nil},
		{"waves without colour", 80, 24, 0, two(wave(20e6), wave(3e9)), nil},
		{"waves in all colours", 80, 24, 1 << 24, two(wave(20e6), wave(3e9)), nil},
		{"saturated", 80, 24, 256, two(steady(1e9), steady(1e9)), nil},
		{"slow", 80, 24, 256, two(steady(32e3), steady(8e3)), nil},
		{"gaps", 80, 24, 256, two(func(ms int64) meter.Sum {
			if ms/5000%2 == 0 {
				return meter.Sum{}
			}
			return meter.Sum{Departed: 15000}
		}, steady(1e6)), nil},
		{"link 80x24", 80, 24, 256, four(12e6), nil},
		{"link 200x50", 200, 50, 256, four(12e6), nil},
		{"link 300x80", 300, 80, 256, four(12e6), nil},
		{"link without colour", 120, 40, 0, four(12e6), nil},
		{"tiny", 30, 8, 256, four(12e6), nil},
		{"too small", 30, 4, 256, four(12e6), nil},
		{"many", 80, 24, 256, append(append(four(12e6), four(1e6)...), four(1e5)...), nil},
		{"bottom", 80, 24, 256, four(12e6), func(v *view) { v.layout = "bottom" }},
		{"left", 120, 24, 256, four(12e6), func(v *view) { v.layout = "left" }},
		{"right", 120, 24, 256, four(12e6), func(v *view) { v.layout = "right" }},
		{"full", 80, 24, 256, four(12e6), func(v *view) { v.layout = "full" }},
		{"zoom", 80, 24, 256, four(12e6), func(v *view) { v.zoom = 3 }},
		{"logarithmic", 80, 24, 256, two(wave(20e6), wave(3e9)), func(v *view) { v.log = true }},
		{"ten seconds", 80, 24, 256, four(12e6), func(v *view) { v.span = 10 * second }},
		{"ten minutes", 80, 24, 256, four(12e6), func(v *view) { v.span = 600 * second }},
		{"help", 80, 24, 256, four(12e6), func(v *view) { v.help = true }},
		{"help without a command", 80, 24, 256, four(12e6), func(v *view) { v.help, v.alone, v.layout = true, true, "full" }},
		{"prefix", 80, 24, 256, four(12e6), func(v *view) { v.prefix = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := simulated(t, row.w, row.h)
			v := newView(row.colours, "top", 40)
			v.show(row.graphs)
			if row.change != nil {
				row.change(v)
			}
			v.draw(s, until)
			golden(t, row.name, picture(s))
		})
	}
}

// While paused the picture stays, and afterwards it is that of now.
func TestPause(t *testing.T) {
	s := simulated(t, 80, 24)
	v := newView(256, "top", 40)
	v.show(two(wave(20e6), wave(3e9)))
	at := func(now time.Duration) string {
		v.draw(s, now)
		return picture(s)
	}
	v.key('p', until)
	paused := at(700 * second)
	if later := at(705 * second); later != paused {
		t.Error(cmp.Diff(paused, later))
	}
	v.key('p', until+5*second)
	if at(until+5*second) == paused {
		t.Error("nothing moves after the pause")
	}
}

func TestKeys(t *testing.T) {
	v := newView(256, "top", 40)
	v.show(two(quiet, quiet))
	for _, row := range []struct{ keys, want string }{
		{"", "top 40 1m0s log=false zoom=0 paused=0s help=false"},
		{"l", "bottom 40 1m0s log=false zoom=0 paused=0s help=false"},
		{"llll", "top 40 1m0s log=false zoom=0 paused=0s help=false"},
		{"zz", "top 40 1m0s log=false zoom=2 paused=0s help=false"},
		{"z", "top 40 1m0s log=false zoom=0 paused=0s help=false"},
		{"++++++", "top 40 10m0s log=false zoom=0 paused=0s help=false"},
		{"--------", "top 40 10s log=false zoom=0 paused=0s help=false"},
		{"y", "top 40 10s log=true zoom=0 paused=0s help=false"},
		{"p", "top 40 10s log=true zoom=0 paused=7s help=false"},
		{"p?", "top 40 10s log=true zoom=0 paused=0s help=true"},
		{"y", "top 40 10s log=true zoom=0 paused=0s help=false"},
		{">>><", "top 50 10s log=true zoom=0 paused=0s help=false"},
		{"<<<<<<<<<<<<", "top 10 10s log=true zoom=0 paused=0s help=false"},
		{"#~", "top 10 10s log=true zoom=0 paused=0s help=false"},
	} {
		for _, k := range []byte(row.keys) {
			if save, quit := v.key(k, 7*second); save || quit {
				t.Errorf("%q saves or quits", row.keys)
			}
		}
		got := fmt.Sprintf("%s %d %v log=%v zoom=%d paused=%v help=%v", v.layout, v.share, v.span, v.log, v.zoom, v.paused, v.help)
		if got != row.want {
			t.Errorf("%q: %s, want %s", row.keys, got, row.want)
		}
	}
	if save, _ := v.key('s', 0); !save {
		t.Error("s does not save")
	}
	if _, quit := v.key('q', 0); quit {
		t.Error("q quits though there is a command")
	}
	v.alone, v.layout, v.share = true, "full", 40
	v.key('l', 0)
	v.key('>', 0)
	if v.layout != "full" || v.share != 40 {
		t.Errorf("%s, %d %% though there is no command", v.layout, v.share)
	}
	if _, quit := v.key('q', 0); !quit {
		t.Error("q does not quit where there is no command")
	}
}

// Whatever the size, nothing is drawn outside its area, and no two areas overlap.
func TestAreas(t *testing.T) {
	for _, layout := range meter.Layouts {
		for w := 1; w < 130; w += 7 {
			for h := 1; h < 60; h += 3 {
				for _, share := range []int{10, 40, 90} {
					graphs, bar, pane := divide(w, h, layout, share)
					all := append(grid(graphs, 5), bar, pane)
					used := make([]bool, w*h)
					for _, a := range all {
						for y := a.y; y < a.y+a.h; y++ {
							for x := a.x; x < a.x+a.w; x++ {
								if x < 0 || y < 0 || x >= w || y >= h || used[y*w+x] {
									t.Fatalf("%s, %d%% of %dx%d: cell %d,%d of %+v", layout, share, w, h, x, y, all)
								}
								used[y*w+x] = true
							}
						}
					}
					if layout != "full" && (pane.w < min(w, paneColumns) || pane.h < min(h, paneRows)) {
						t.Fatalf("%s, %d%% of %dx%d: the command has %+v", layout, share, w, h, pane)
					}
				}
			}
		}
	}
}

func TestAxis(t *testing.T) {
	for _, row := range []struct {
		what      string
		peak      float64
		log       bool
		top       float64
		unit, mid string
	}{
		{meter.Rate, 0, false, 1e3, "kbit/s", "0.5"},
		{meter.Rate, 12e6, false, 15e6, "Mbit/s", "7.5"},
		{meter.Rate, 15e6, false, 15e6, "Mbit/s", "7.5"},
		{meter.Rate, 999e3, false, 1e6, "Mbit/s", "0.5"},
		{meter.Rate, 4.2e9, false, 5e9, "Gbit/s", "2.5"},
		{meter.Rate, 12e6, true, 1e8, "Mbit/s", "1"},
		{meter.Rate, 1e8, true, 1e8, "Mbit/s", "1"},
		{meter.Rate, 1e9, true, 1e9, "Gbit/s", "10M"},
		{meter.Rate, 1e4, true, 1e4, "kbit/s", "100b"},
		{meter.Delay, 1, true, 1, "s", "10ms"},
		{meter.Delay, 0.0123, false, 0.015, "ms", "7.5"},
		{meter.Delay, 2.5, false, 3, "s", "1.5"},
		{meter.Delay, 0, false, 1e-6, "us", "0.5"},
	} {
		a := axisFor(row.what, row.peak, row.log)
		if math.Abs(a.top/row.top-1) > 1e-9 || a.name != row.unit || a.label(row.what, 0.5, true) != row.mid {
			t.Errorf("%+v: top %g %s, middle %s", row, a.top, a.name, a.label(row.what, 0.5, true))
		}
	}
	a := axisFor(meter.Rate, 15e6, false)
	for _, row := range []struct {
		v    float64
		want int
	}{{0, 0}, {1, 1}, {7.5e6, 40}, {15e6, 80}, {20e6, 80}} {
		if got := a.level(row.v, 80); got != row.want {
			t.Errorf("%g is at %d of 80, want %d", row.v, got, row.want)
		}
	}
	if got := axisFor(meter.Rate, 1e8, true).level(1e6, 80); got != 40 {
		t.Errorf("a hundredth is at %d of 80 on a logarithmic scale, want 40", got)
	}
}

// As time goes on, a column moves by half a cell, and its dots stay what they are; marks of drops keep their distances.
func TestScrolling(t *testing.T) {
	const w, h = 40, 12
	s := simulated(t, w, h)
	g := newGraph(four(12e6)[0])
	th := themeFor(256)
	width := 60 * second / (perCell * (w - labels))
	width = (width + meter.Bin - 1).Truncate(meter.Bin)
	// The dots of each column, from the bottom, and where the marks are.
	look := func(now time.Duration) (columns []string, marks []int) {
		s.Clear()
		g.draw(s, area{0, 0, w, h}, &th, window{60 * second, now}, false)
		for x := labels; x < w; x++ {
			for k := range perCell {
				dots := ""
				for y := h - 2; y >= 3; y-- {
					text, _, _ := s.Get(x, y)
					r, _ := utf8.DecodeRuneInString(text)
					for _, bit := range braille[k] {
						dots += map[bool]string{true: "#", false: "."}[r > brailleStart && uint8(r-brailleStart)&bit != 0]
					}
				}
				columns = append(columns, dots)
			}
			if text, _, _ := s.Get(x, 2); text == "×" {
				marks = append(marks, x)
			}
		}
		return columns, marks
	}
	now := (until - 5*second).Truncate(width) - 1 // a column has just ended
	before, marks := look(now)
	if !strings.Contains(strings.Join(before, ""), "#") || len(marks) < 3 {
		t.Fatalf("there is nothing to see: %q, marks at %v", before, marks)
	}
	first := g.first
	for range 7 {
		now += width
		columns, later := look(now)
		if first++; g.first != first {
			t.Fatalf("the first column is %d, want %d", g.first, first)
		}
		// A line and the capacity give way to what else is in their cell: only what is filled is the same to the dot.
		for i := range columns[:len(columns)-2] {
			if a, b := strings.Index(before[i+1]+".", "."), strings.Index(columns[i]+".", "."); a != b {
				t.Fatalf("column %d had %d dots, and has %d:\n%s\n%s", first+int64(i), a, b, before[i+1], columns[i])
			}
		}
		shift := marks[len(marks)-1] - later[len(later)-1]
		for i := range later {
			if k := len(marks) - len(later) + i; k >= 0 && marks[k]-later[i] != shift {
				t.Errorf("marks were at %v, and are at %v", marks, later)
			}
		}
		before, marks = columns, later
	}
}

// Where there is no braille, what comes closest.
func TestGlyphs(t *testing.T) {
	for _, row := range []struct {
		name           string
		dots           uint8
		pattern        bool
		braille, halfs string
		letter         string
	}{
		{"nothing", 0, false, " ", " ", " "},
		{"full", 0xff, false, "⣿", "█", "#"},
		{"the lowest left", braille[0][0], false, "⡀", "▄", "."},
		{"the highest right", braille[1][3], false, "⠈", "▀", "."},
		{"the lower half", 0xe4, false, "⣤", "▄", ":"},
		{"capacity", 0x6a, true, "⡪", "░", ":"},
	} {
		fine, rough := theme{}, theme{coarse: true}
		if a, b, c := fine.glyph(row.dots, row.pattern), rough.glyph(row.dots, row.pattern), ascii(row.dots); a != row.braille || b != row.halfs || c != row.letter {
			t.Errorf("%s: %q, %q, %q", row.name, a, b, c)
		}
	}
}

// The figures are those of what is shown.
func TestFigures(t *testing.T) {
	step := scripted(func(ms int64) meter.Sum {
		if ms < 690_000 {
			return meter.Sum{}
		}
		return meter.Sum{Departed: 10000, Delay: 3 * time.Millisecond, Dropped: uint64(ms / 10 % 2)}
	})
	g := newGraph(meter.Graph{What: meter.Rate, Linked: true, Source: &step})
	for _, n := range []int{30, 75, 200} {
		f, _ := g.look(window{60 * second, until}, n)
		if math.Abs(f.now-8e6) > 1 || math.Abs(f.peak-8e6) > 1 || math.Abs(f.mean/(8e6/6)-1) > 0.05 || f.dropped != 500 {
			t.Errorf("%d columns: %+v", n, f)
		}
	}
	g.Since = 690 * second // before there was nothing to be in the mean
	if f, _ := g.look(window{60 * second, until}, 75); math.Abs(f.mean/8e6-1) > 0.02 {
		t.Errorf("since the start: %+v", f)
	}
	g.What = meter.Delay
	if f, _ := g.look(window{60 * second, until}, 75); f.now != 0.003 || f.peak != 0.003 || math.Abs(f.mean-0.003) > 1e-9 {
		t.Errorf("delay: %+v", f)
	}
}

func BenchmarkDraw(b *testing.B) {
	s := simulated(b, 200, 50)
	v := newView(1<<24, "top", 40)
	var graphs []meter.Graph
	for range 2 {
		d := &meter.Direction{Counter: meter.NewCounter(0)}
		d.Counter.SwitchOn()
		graphs = append(graphs, meter.Graph{Direction: "uplink", What: meter.Rate, Linked: true, Source: d},
			meter.Graph{Direction: "uplink", What: meter.Delay, Linked: true, Source: d})
	}
	v.show(graphs)
	now := meter.Clock()
	b.ReportAllocs()
	for b.Loop() {
		now += 100 * time.Millisecond
		v.draw(s, now)
		s.Show()
	}
}
