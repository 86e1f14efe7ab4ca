package tui

import (
	"fmt"
	"time"

	"github.com/gdamore/tcell/v2"

	"gomahi/meter"
)

// graph is one of those on the screen.
type graph struct {
	meter.Graph
	history meter.History
	values  []value
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
	labels  = 6 // columns of the axis's labels
	minPlot = 3 // rows worth an axis
	twoRows = 5 // rows worth two for what is said
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
	f, top := g.look(w, n)
	ax := axisFor(g.What, top, log)
	rows := g.head(s, a, t, f)
	plot := area{a.x + left, a.y + rows, n, a.h - rows}
	if plot.h > minPlot {
		plot.h--
		timeAxis(s, area{plot.x, plot.y + plot.h, plot.w, 1}, t, w.span)
	}
	if plot.h < 1 {
		return
	}
	if left > 0 {
		g.labels(s, area{a.x, plot.y, left, plot.h}, t, ax)
	}
	for i, v := range g.values {
		g.column(s, plot, i, v, ax, t)
	}
}

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
	lost := ""
	if f.dropped > 0 && g.Linked && g.What == meter.Rate {
		lost = fmt.Sprintf("  × %d dropped", f.dropped)
	}
	name := g.Direction
	if g.What == meter.Delay {
		name += " delay"
	}
	arrow := "↑ "
	if g.Direction == "downlink" {
		arrow = "↓ "
	}
	style := t.of(g.Direction).Bold(true)
	x := put(s, a.x, a.y, a.w, arrow+name, style)
	forms := []string{
		fmt.Sprintf("now %s  mean %s  peak %s %s", of(f.now), of(f.mean), figure(f.peak, u), u.name),
		fmt.Sprintf("now %s  mean %s", whole(f.now), whole(f.mean)),
		whole(f.now),
	}
	figures := func(y, from int, fit string) {
		end := put(s, from, y, a.x+a.w-from, fit, t.text)
		put(s, end, y, a.x+a.w-end, lost, t.drops)
	}
	if a.h >= twoRows && length(forms[0])+length(lost)+length(" "+g.Title)+2 > a.x+a.w-x {
		put(s, x, a.y, a.x+a.w-x, " "+g.Title, t.faint)
		figures(a.y+1, a.x, forms[0])
		return 2
	}
	for i, fit := range forms {
		if at := a.x + a.w - length(fit) - length(lost); at > x || i == len(forms)-1 {
			at = max(at, x+1)
			put(s, x, a.y, at-x-1, " "+g.Title, t.faint)
			figures(a.y, at, fit)
			break
		}
	}
	return 1
}

func length(s string) int { return len([]rune(s)) }

func timeAxis(s tcell.Screen, a area, t *theme, span time.Duration) {
	put(s, a.x, a.y, a.w, ago(span), t.faint)
	if a.w >= 40 {
		half := ago(span / 2)
		put(s, a.x+a.w/2-len(half)/2, a.y, a.w, half, t.faint)
	}
	put(s, a.x+a.w-3, a.y, 3, "now", t.faint)
}

// labels writes the axis: its top, its middle and its bottom, as far as there is room.
func (g *graph) labels(s tcell.Screen, a area, t *theme, ax axis) {
	at := func(row int, part float64) {
		l := ax.label(g.What, part)
		put(s, a.x+max(0, a.w-1-len([]rune(l))), a.y+row, a.w-1, l, t.faint)
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

var blocks = []string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// column draws one: what departed as a filled block on the capacity, arrivals beyond it as a line, drops as a mark at the
// top.
func (g *graph) column(s tcell.Screen, plot area, i int, v value, ax axis, t *theme) {
	steps := 8 * plot.h
	main, capacity, arrivals := ax.level(v.main, steps), ax.level(v.capacity, steps), ax.level(v.arrivals, steps)
	style := t.of(g.Direction)
	for row := range plot.h {
		below := 8 * (plot.h - 1 - row)
		part := func(level int) int { return min(max(0, level-below), 8) }
		m, c := part(main), part(capacity)
		line := arrivals > main && arrivals > below && arrivals <= below+8
		x, y := plot.x+i, plot.y+row
		text, look := " ", t.text
		switch {
		case m > 0:
			text, look = blocks[m], style
			if m < 8 && c == 8 && !t.shaded {
				look = over(style, t.capacity)
			}
		case line:
			text, look = []string{"▁", "─", "▔"}[min(2, (arrivals-below-1)/3)], t.arrivals
			if c == 8 && !t.shaded {
				look = over(look, t.capacity)
			}
		case t.shaded && c >= 4:
			text, look = "░", t.capacity
		case !t.shaded && c > 0:
			text, look = blocks[c], t.capacity
		}
		if row == 0 && v.dropped > 0 && g.Linked && g.What == meter.Rate {
			text, look = "×", t.drops
		}
		s.Put(x, y, text, look)
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
