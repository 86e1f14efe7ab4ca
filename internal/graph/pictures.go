package graph

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Throughput draws, for each bin, the capacity as an area and what arrived and departed as lines, and marks drops.
func Throughput(logs []*Log) *Picture {
	p := newPicture(logs, "throughput (Mbits/s)")
	p.legend = make(table, len(logs))
	several := len(logs) > 1
	for i, l := range logs { // all areas lie below all lines
		f := l.Figures()
		c := cell{words: "capacity unknown", mark: func(draw.Canvas) {}}
		if l.Opportunities.N > 0 {
			hue := faint(hues[0], 64)
			if several {
				hue = faint(hues[i], 34)
			}
			c = cell{p.area(l.steps(func(b *bin) int64 { return b.capacity }), hue), mean("capacity", f.Capacity)}
		}
		p.legend[i] = row{printable(l.Name), []cell{c}}
	}
	for i, l := range logs {
		f := l.Figures()
		in, out, lost := hues[0], hues[1], dropRed
		wide, dashes := vg.Length(2.5), []vg.Length(nil)
		if several {
			in, out, lost = faint(hues[i], 190), hues[i], hues[i]
			wide, dashes = 1, []vg.Length{3, 2}
		}
		cells := &p.legend[i].cells
		*cells = append(*cells,
			cell{p.line(l.steps(func(b *bin) int64 { return b.ingress }), wide, in, dashes), mean("ingress", f.Ingress)},
			cell{p.line(l.steps(func(b *bin) int64 { return b.egress }), 1.5, out, nil), mean("egress", f.Throughput)},
			p.drops(l, lost))
	}
	return p
}

// Delay draws the signal delay as a line and, over it, every packet's queueing delay as a point at its arrival, and marks
// drops.
func Delay(logs []*Log) *Picture {
	p := newPicture(logs, "delay (ms)")
	several := len(logs) > 1
	for i, l := range logs { // all lines lie below all points
		hue := hues[1]
		if several {
			hue = faint(hues[i], 120)
		}
		var points plotter.XYs
		for _, s := range l.signal() {
			points = append(points, plotter.XY{X: s.after.Seconds(), Y: inMs(s.value + s.until - s.after)},
				plotter.XY{X: s.until.Seconds(), Y: inMs(s.value)})
			p.left = min(p.left, s.after.Seconds()) // arrivals may have been left out
		}
		f := l.Figures()
		c := cell{p.line(points, 1, hue, nil), percentile("signal delay", f.Signal)}
		p.legend = append(p.legend, row{printable(l.Name), []cell{{words: percentile("queueing delay", f.Queueing)}, c}})
	}
	for i, l := range logs {
		hue, lost := hues[0], dropRed
		if several {
			hue, lost = hues[i], hues[i]
		}
		points := make(plotter.XYs, len(l.delivered))
		for k, d := range l.delivered {
			points[k] = plotter.XY{X: d.sent.Seconds(), Y: inMs(d.delay)}
		}
		cells := &p.legend[i].cells
		(*cells)[0].mark = p.points(points, hue)
		*cells = append(*cells, p.drops(l, lost))
	}
	return p
}

// percentile is a distribution's in a legend.
func percentile(what string, d *Delays) string {
	if d == nil {
		return what + " unknown"
	}
	return fmt.Sprintf("%s (95th percentile %.0f ms)", what, d.P95)
}

// steps are the rates of all bins from the first to the last, in Mbit/s over s, each as wide as its bin. A bin is as
// long as the others even when the log begins or ends within it.
func (l *Log) steps(bytes func(*bin) int64) plotter.XYs {
	var out plotter.XYs
	keys := slices.Sorted(maps.Keys(l.bins))
	for i, k := range keys {
		if i > 0 && keys[i-1] < k-1 { // nothing in between
			out = append(out, plotter.XY{X: l.edge(keys[i-1] + 1)}, plotter.XY{X: l.edge(k)})
		}
		rate := mbits(bytes(l.bins[k]), l.PerBin)
		out = append(out, plotter.XY{X: l.edge(k), Y: rate}, plotter.XY{X: l.edge(k + 1), Y: rate})
	}
	return out
}

// edge is where a bin begins, but within the log.
func (l *Log) edge(k int64) float64 {
	return min(max(time.Duration(k)*l.PerBin, l.First), l.Last).Seconds()
}
