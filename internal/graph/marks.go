package graph

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// filled is an area from points down to 0. A plotter.Line fills down to the axis too, but strokes it as well.
type filled struct {
	points plotter.XYs
	hue    color.Color
}

func (f filled) Plot(c draw.Canvas, p *plot.Plot) {
	if len(f.points) == 0 {
		return
	}
	x, y := p.Transforms(&c)
	outline := []vg.Point{{X: x(f.points[0].X), Y: y(0)}}
	for _, at := range f.points {
		outline = append(outline, vg.Point{X: x(at.X), Y: y(at.Y)})
	}
	outline = append(outline, vg.Point{X: x(f.points[len(f.points)-1].X), Y: y(0)})
	c.FillPolygon(f.hue, outline)
}

// dots are squares at points, one in each cell of a dot's size: the rest would lie on top of each other.
type dots struct {
	points plotter.XYs
	size   vg.Length
	hue    color.Color
}

func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	seen := map[[2]int]bool{}
	var before [2]int // spares most look-ups
	var path vg.Path
	for _, at := range d.points {
		to := vg.Point{X: x(at.X), Y: y(at.Y)}
		cell := [2]int{int(math.Floor(float64(to.X / d.size))), int(math.Floor(float64(to.Y / d.size)))}
		if cell != before && !seen[cell] {
			seen[cell], before = true, cell
			path = append(path, square(to, d.size)...)
		}
	}
	if len(path) > 0 { // one path, since one per dot makes files many times as large
		c.SetColor(d.hue)
		c.Fill(path)
	}
}

func square(at vg.Point, size vg.Length) vg.Path {
	r := size / 2
	var p vg.Path
	p.Move(vg.Point{X: at.X - r, Y: at.Y - r})
	p.Line(vg.Point{X: at.X + r, Y: at.Y - r})
	p.Line(vg.Point{X: at.X + r, Y: at.Y + r})
	p.Line(vg.Point{X: at.X - r, Y: at.Y + r})
	p.Close()
	return p
}

// points draws dots, and says what its legend's mark is.
func (p *Picture) points(at plotter.XYs, hue color.Color) mark {
	d := dots{at, 2, hue}
	p.reach(at)
	p.plot.Add(d)
	return func(c draw.Canvas) {
		var path vg.Path
		for i := range 5 { // a few, scattered
			to := vg.Point{X: c.Min.X + vg.Length(2+i*4), Y: c.Center().Y + vg.Length(i*3%5-2)}
			path = append(path, square(to, d.size)...)
		}
		c.SetColor(hue)
		c.Fill(path)
	}
}

// dropped are marks at the top of the picture, above all else in it, a row for each log that has any.
type dropped struct {
	at  []float64 // in s
	row int
	hue color.Color
}

const (
	dropHeight vg.Length = 5
	dropRow              = dropHeight + 1
)

func (d dropped) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	top := c.Max.Y - vg.Length(d.row)*dropRow
	c.SetLineStyle(draw.LineStyle{Color: d.hue, Width: 0.75})
	var path vg.Path
	before := math.Inf(-1)
	for _, at := range d.at {
		if here := float64(x(at)); math.Abs(here-before) >= 0.75 {
			before = here
			path.Move(vg.Point{X: vg.Length(here), Y: top})
			path.Line(vg.Point{X: vg.Length(here), Y: top - dropHeight})
		}
	}
	if len(path) > 0 {
		c.Stroke(path)
	}
}

// drops marks a log's drops in a row of their own, and returns what its legend says of them.
func (p *Picture) drops(l *Log, hue color.Color) cell {
	if l.Dropped.N == 0 {
		return cell{}
	}
	d := dropped{row: p.rows, hue: hue}
	p.rows++
	for _, t := range l.drops {
		d.at = append(d.at, t.Seconds())
	}
	p.plot.Add(d)
	return cell{words: fmt.Sprintf("%d dropped", l.Dropped.N), mark: func(c draw.Canvas) {
		s := draw.LineStyle{Color: hue, Width: 0.75}
		for i := range 5 {
			x := c.Min.X + vg.Length(2+i*4)
			c.StrokeLine2(s, x, c.Center().Y-dropHeight/2, x, c.Center().Y+dropHeight/2)
		}
	}}
}
