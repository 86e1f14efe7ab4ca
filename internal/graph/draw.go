package graph

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A picture's size: 1024 by 560 pixels at dpi.
const (
	width  vg.Length = 768
	height vg.Length = 420
	dpi              = 96
)

// MostLogs is how many logs one graph can tell apart.
const MostLogs = 8

// hues are those of Okabe and Ito, which the colour-blind can tell apart.
var hues = [MostLogs]color.NRGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
	{230, 159, 0, 255}, {86, 180, 233, 255}, {70, 70, 70, 255}, {130, 90, 30, 255}}

var (
	grid    = color.NRGBA{0, 0, 0, 40}
	ink     = color.NRGBA{40, 40, 40, 255}
	dropRed = color.NRGBA{200, 0, 0, 255}
)

func faint(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// A Format is what pictures are written in.
type Format string

// The formats.
const (
	SVG Format = "svg"
	PNG Format = "png"
)

// A Picture is a graph of logs.
type Picture struct {
	plot   *plot.Plot
	legend table
	left   float64 // the earliest event, in s
	right  float64 // the latest
	top    float64 // the highest that is drawn
	rows   int     // of marks of drops, above that
}

func newPicture(logs []*Log, vertical string) *Picture {
	p := &Picture{plot: plot.New(), left: math.Inf(1), right: math.Inf(-1)}
	for _, l := range logs {
		p.left, p.right = min(p.left, l.First.Seconds()), max(p.right, l.Last.Seconds())
	}
	p.right = max(p.right, p.left+0.001) // an axis needs a length
	p.plot.X.Label.Text, p.plot.Y.Label.Text = "time (s)", vertical
	p.plot.BackgroundColor = color.White
	for _, a := range []*plot.Axis{&p.plot.X, &p.plot.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = style(11).Font, style(9.5).Font
		a.Label.TextStyle.Color, a.Tick.Label.Color, a.Color, a.Tick.Color = ink, ink, ink, ink
		a.Label.Padding, a.Padding = 4, 0
		a.Tick.Marker = plot.TickerFunc(Ticks)
	}
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.plot.Add(lines)
	return p
}

// style is text in Liberation Sans, of a size in points.
func style(size vg.Length) text.Style {
	return text.Style{Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: plot.DefaultTextHandler}
}

// line draws points, which have one x after the other, and says what its legend's mark is.
func (p *Picture) line(points plotter.XYs, width vg.Length, hue color.Color, dashes []vg.Length) mark {
	s := draw.LineStyle{Color: hue, Width: width, Dashes: dashes}
	p.reach(points)
	const piece = 500 // points: the PNG's rasterizer takes the square of a line's length
	for rest := p.thin(points); len(rest) > 1; rest = rest[min(piece, len(rest)-1):] {
		p.plot.Add(&plotter.Line{XYs: rest[:min(piece+1, len(rest))], LineStyle: s})
	}
	return func(c draw.Canvas) { c.StrokeLine2(s, c.Min.X, c.Center().Y, c.Max.X, c.Center().Y) }
}

// area fills what is below points, down to 0.
func (p *Picture) area(points plotter.XYs, hue color.Color) mark {
	p.reach(points)
	p.plot.Add(filled{p.thin(points), hue})
	return func(c draw.Canvas) {
		c.FillPolygon(hue, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
	}
}

// reach makes the picture as high as points are.
func (p *Picture) reach(points plotter.XYs) {
	for _, at := range points {
		p.top = max(p.top, at.Y)
	}
}

// columns is how finely points are drawn from left to right: what is finer cannot be seen.
const columns = 1024

// thin keeps of each column's points the first, the lowest, the highest and the last.
func (p *Picture) thin(points plotter.XYs) plotter.XYs {
	if len(points) <= 4*columns {
		return points
	}
	column := func(i int) int { return int((points[i].X - p.left) / (p.right - p.left) * columns) }
	var out plotter.XYs
	for from := 0; from < len(points); {
		low, high, last := from, from, from
		for i := from + 1; i < len(points) && column(i) == column(from); i++ {
			if points[i].Y < points[low].Y {
				low = i
			}
			if points[i].Y > points[high].Y {
				high = i
			}
			last = i
		}
		at := -1
		for _, i := range []int{from, min(low, high), max(low, high), last} {
			if i > at {
				out, at = append(out, points[i]), i
			}
		}
		from = last + 1
	}
	return out
}

// Write writes the picture.
func (p *Picture) Write(w io.Writer, f Format) error {
	p.plot.X.Min, p.plot.X.Max = p.left, p.right
	if p.top == 0 {
		p.top = 1
	}
	const around = 60 // the margins and the axis, in points
	free := 1 - float64(dropRow*vg.Length(p.rows)/(height-around-p.legend.height()))
	p.plot.Y.Min, p.plot.Y.Max = 0, p.top*1.04/free
	return Encode(w, f, p.draw)
}

// Encode writes what is drawn on a canvas of a picture's size.
func Encode(w io.Writer, f Format, paint func(draw.Canvas)) error {
	if f == PNG {
		c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
		paint(draw.New(c))
		_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
		return err
	}
	c := vgsvg.New(width, height)
	paint(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// Liberation Sans has the widths of Arial, which more viewers have.
	const family = "font-family:Liberation Sans"
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte(family), []byte(family+",Arial,Helvetica,sans-serif")))
	return err
}

func (p *Picture) draw(c draw.Canvas) {
	c.FillPolygon(color.White, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
	c = draw.Crop(c, 8, -16, 8, -8)
	p.legend.draw(c)
	p.plot.Draw(draw.Crop(c, 0, 0, 0, -p.legend.height()-8))
}

// Ticks are at round numbers, at most eleven of them, all with labels.
func Ticks(low, high float64) (out []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/8)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= 10 {
			step *= f
			break
		}
	}
	decimals := max(0, int(-math.Floor(math.Log10(step*1.0001))))
	for i := math.Ceil(low / step); i*step <= high; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step+0, 'f', decimals, 64)})
	}
	return out
}

// printable is a file's name as pictures can show it.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, name)
}

// mean is an average rate, in a legend.
func mean(what string, v *float64) string {
	if v == nil {
		return what
	}
	return fmt.Sprintf("%s (mean %.2f Mbits/s)", what, *v)
}
