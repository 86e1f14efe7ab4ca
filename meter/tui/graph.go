package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"gomahi/meter"
)

// graph is one of those on the screen.
type graph struct {
	meter.Graph
	history meter.History
	values  []value
	first   int64 // the number of the first of these columns
}

func newGraph(g meter.Graph) *graph {
	return &graph{Graph: g, history: meter.History{Source: g.Source}}
}

// value is what one column shows: rates in bit/s, delays in seconds.
type value struct {
	main, arrivals, capacity float64
	dropped                  uint64
}

// figures are what a graph says in words, of what is on the screen: now is of the last second.
type figures struct {
	now, mean, peak float64
	dropped         uint64
}

// window is the time that a graph shows.
type window struct {
	span, now time.Duration
}

// look gets the values of n columns, the last of which has now in it, and what they come to.
func (g *graph) look(w window, n int) (f figures, top float64) {
	width := max(meter.Bin, (w.span+time.Duration(n)*meter.Bin-1)/time.Duration(n)/meter.Bin*meter.Bin)
	last := int64(w.now / width)
	first := last - int64(n) + 1
	columns := g.history.Columns(width, first, n)
	g.first = first
	g.values = g.values[:0]
	var sum, recent meter.Sum
	var whole, while time.Duration // that these two are of
	var delays time.Duration
	with := 0 // columns in which something departed
	for i, c := range columns {
		begin, end := time.Duration(first+int64(i))*width, min(w.now, time.Duration(first+int64(i)+1)*width)
		begin = min(max(begin, g.Since), end)
		lasted := end - begin
		sum.Add(c)
		whole += lasted
		if w.now-end < time.Second {
			recent.Add(c)
			while += lasted
		}
		v := value{dropped: c.Dropped}
		if g.What == meter.Delay {
			v.main = c.Delay.Seconds()
			if c.Departed > 0 {
				delays += c.Delay
				with++
			}
		} else {
			lasted = max(lasted, min(width, 100*time.Millisecond))
			v.main, v.arrivals, v.capacity = rate(c.Departed, lasted), rate(c.Arrived, lasted), rate(c.Capacity, lasted)
			if !g.Linked {
				v.arrivals, v.capacity = 0, 0
			}
		}
		f.peak = max(f.peak, v.main)
		top = max(top, v.main, v.arrivals, v.capacity)
		g.values = append(g.values, v)
	}
	f.dropped = sum.Dropped
	if g.What == meter.Delay {
		f.now, f.mean = recent.Delay.Seconds(), delays.Seconds()/float64(max(1, with))
	} else {
		f.now, f.mean = rate(recent.Departed, while), rate(sum.Departed, whole)
	}
	return f, top
}

func rate(bytes uint64, lasted time.Duration) float64 {
	if lasted <= 0 {
		return 0
	}
	return 8 * float64(bytes) / lasted.Seconds()
}

// area is a rectangle of the screen.
type area struct{ x, y, w, h int }

const (
	labels   = 6 // columns of the axis's labels
	minPlot  = 3 // rows worth a row for the time, and for drops
	twoRows  = 5 // rows worth two for what is said
	perCell  = 2 // columns of the graph in one of the screen
	dotsHigh = 4 // of a cell
)

// draw fills an area with the graph.
func (g *graph) draw(s tcell.Screen, a area, t *theme, w window, log bool) {
	left := labels
	if a.w < 4*labels {
		left = 0
	}
	n := a.w - left
	if n < 1 || a.h < 1 {
		return
	}
	f, top := g.look(w, perCell*n)
	ax := axisFor(g.What, top, log)
	rows := g.head(s, a, t, f)
	plot := area{a.x + left, a.y + rows, n, a.h - rows}
	timed := plot.h > minPlot
	if timed {
		plot.h--
		u := ""
		if left > 0 {
			u = ax.name
		}
		timeAxis(s, area{a.x, plot.y + plot.h, a.w, 1}, left, t, w.span, u)
	}
	if plot.h < 1 {
		return
	}
	marks := plot.y
	if plot.h > minPlot && g.drops() { // else they stand in the graph's own first row
		plot.y, plot.h = plot.y+1, plot.h-1
	}
	if left > 0 {
		g.labels(s, area{a.x, plot.y, left, plot.h}, t, ax, timed)
	}
	for i := range n {
		g.cells(s, plot, i, ax, t)
	}
	if g.drops() {
		g.marks(s, area{plot.x, marks, n, 1}, t)
	}
}

// drops says whether the graph shows them.
func (g *graph) drops() bool { return g.Linked && g.What == meter.Rate }

// head says what the graph is of, and its figures, in one row or two, and returns how many.
func (g *graph) head(s tcell.Screen, a area, t *theme, f figures) int {
	u := unitOf(g.What, max(f.now, f.mean, f.peak))
	// Figures that are small against the peak have a unit of their own.
	of := func(v float64) string {
		if own := unitOf(g.What, v); v > 0 && own != u {
			return figure(v, own) + " " + own.name
		}
		return figure(v, u)
	}
	whole := func(v float64) string {
		own := unitOf(g.What, v)
		return figure(v, own) + " " + own.name
	}
	lost, many := "", ""
	if f.dropped > 0 && g.drops() {
		lost, many = fmt.Sprintf("  × %d dropped", f.dropped), fmt.Sprintf(" ×%d", f.dropped)
	}
	arrow, direction := "↑ ", g.Direction+" "
	if g.Direction == "downlink" {
		arrow = "↓ "
	}
	what := ""
	if g.What == meter.Delay {
		what = "delay "
	}
	full := fmt.Sprintf("now %s  mean %s  peak %s %s", of(f.now), of(f.mean), figure(f.peak, u), u.name)
	style := t.of(g.Direction).Bold(true)
	put := func(x, y, w int, text string, style tcell.Style) int { return put(s, x, y, w, text, style) }
	if a.h >= twoRows && length(arrow+direction+what+g.Title+" "+full+lost) > a.w {
		x := put(a.x, a.y, a.w, arrow+direction+what, style)
		put(x, a.y, a.x+a.w-x, cut(g.Title, a.x+a.w-x), t.faint)
		if length(full+lost) > a.w {
			lost = many
		}
		x = put(a.x, a.y+1, a.w, cut(full, a.w), t.text)
		put(x, a.y+1, a.x+a.w-x, lost, t.drops)
		return 2
	}
	tool, _, _ := strings.Cut(g.Title, " ")
	two := fmt.Sprintf("now %s  mean %s", whole(f.now), whole(f.mean))
	three := fmt.Sprintf("%s/%s/%s %s", figure(f.now, u), figure(f.mean, u), figure(f.peak, u), u.name)
	one := whole(f.now)
	forms := []struct{ name, title, figures, lost string }{ // from what says all to what fits anywhere
		{arrow + direction + what, g.Title, full, lost},
		{arrow + direction + what, g.Title, two, lost},
		{arrow + what, g.Title, three, many},
		{arrow + what, tool, three, many},
		{arrow + what, tool, one, many},
		{arrow + what, "", one, many},
		{arrow + what, "", one, ""},
		{arrow, "", one, ""},
	}
	for i, form := range forms {
		at := a.x + a.w - length(form.figures+form.lost)
		if at < a.x+length(form.name+form.title)+1 && i < len(forms)-1 {
			continue
		}
		x := put(a.x, a.y, a.w, form.name, style)
		if form.title != "" {
			put(x, a.y, at-x-1, cut(g.Title, at-x-1), t.faint)
		}
		at = max(at, x)
		x = put(at, a.y, a.x+a.w-at, form.figures, t.text)
		put(x, a.y, a.x+a.w-x, form.lost, t.drops)
		break
	}
	return 1
}

func length(s string) int { return len([]rune(s)) }

// cut is as much of a text as there is room for.
func cut(s string, w int) string {
	if length(s) <= w {
		return s
	}
	return string([]rune(s)[:max(0, w-1)]) + "…"
}

// timeAxis writes the times, and in front of them what the labels above count in.
func timeAxis(s tcell.Screen, a area, left int, t *theme, span time.Duration, unit string) {
	put(s, a.x+max(0, left-1-len(unit)), a.y, a.w, unit, t.faint)
	begin := left
	if unit != "" {
		begin++
	}
	put(s, a.x+begin, a.y, a.w-begin, ago(span), t.faint)
	if w := a.w - left; w >= 40 {
		half := ago(span / 2)
		put(s, a.x+left+w/2-len(half)/2, a.y, w, half, t.faint)
	}
	put(s, a.x+a.w-3, a.y, 3, "now", t.faint)
}

// labels writes the axis: its top, its middle and its bottom, as far as there is room. They say their unit if nothing below
// does.
func (g *graph) labels(s tcell.Screen, a area, t *theme, ax axis, said bool) {
	at := func(row int, part float64) {
		l := ax.label(g.What, part, said)
		put(s, a.x+max(0, a.w-1-length(l)), a.y+row, a.w-1, l, t.faint)
	}
	at(0, 1)
	if a.h >= 2 {
		at(a.h-1, 0)
	}
	if a.h >= 5 && a.h%2 == 1 {
		at(a.h/2, 0.5)
	}
	for y := range a.h {
		put(s, a.x+a.w-1, a.y+y, 1, "│", t.faint)
	}
}

// cells draws one column of the screen, two of the graph's: what departed is filled, the capacity beyond it a pattern, and
// arrivals beyond it a line. A column looks the same in either half of a cell, so that it keeps its shape as time goes on.
func (g *graph) cells(s tcell.Screen, plot area, i int, ax axis, t *theme) {
	steps := dotsHigh * plot.h
	var main, capacity, arrivals [perCell]int
	for k := range perCell {
		v := g.values[perCell*i+k]
		main[k], capacity[k], arrivals[k] = ax.level(v.main, steps), ax.level(v.capacity, steps), ax.level(v.arrivals, steps)
	}
	for row := range plot.h {
		below := dotsHigh * (plot.h - 1 - row)
		var filled, line, pattern uint8
		for k := range perCell {
			for dot := range dotsHigh {
				bit, level := braille[k][dot], below+dot+1
				switch {
				case level <= main[k]:
					filled |= bit
				case level == arrivals[k]:
					line |= bit
				case level == capacity[k], level < capacity[k] && (g.first+int64(perCell*i+k+level))%2 == 0:
					pattern |= bit
				}
			}
		}
		dots, look := filled|line|pattern, t.capacity
		switch {
		case filled != 0:
			look = t.of(g.Direction)
		case line != 0:
			dots, look = line, t.arrivals
		}
		s.Put(plot.x+i, plot.y+row, t.glyph(dots, filled|line == 0), look)
	}
}

// marks has a mark where packets were dropped, for columns in pairs that stay pairs as time goes on.
func (g *graph) marks(s tcell.Screen, a area, t *theme) {
	for i := range a.w {
		dropped := uint64(0)
		for k := range perCell {
			if n := perCell*i + k + int(g.first&1); n < len(g.values) {
				dropped += g.values[n].dropped
			}
		}
		if dropped > 0 {
			s.Put(a.x+i, a.y, "×", t.drops)
		}
	}
}

// put writes text, at most w columns of it, and returns where it ends.
func put(s tcell.Screen, x, y, w int, text string, style tcell.Style) int {
	for end := x + w; text != "" && x < end; {
		var n int
		text, n = s.Put(x, y, text, style)
		if n == 0 {
			break
		}
		x += n
	}
	return x
}
