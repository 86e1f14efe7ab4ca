package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"gomahi/internal/cli"
	"gomahi/internal/graph"
	"gomahi/internal/tool"
	"gomahi/scenario"
)

// draw draws delay and rate over time, one above the other.
func draw(file string, interpolate bool, up, down []scenario.Change) error {
	format := graph.Format(strings.ToLower(strings.TrimPrefix(filepath.Ext(file), ".")))
	if format != graph.SVG && format != graph.PNG {
		return cli.Usagef("give a name that ends in .svg or .png", "%q names no kind of picture", file)
	}
	lines := []line{{"uplink", up, color.NRGBA{0, 114, 178, 255}}, {"downlink", down, color.NRGBA{213, 94, 0, 255}}}
	if reflect.DeepEqual(up, down) {
		lines = []line{{"both directions", up, color.NRGBA{0, 114, 178, 255}}}
	}
	delay := panel("delay (ms)", lines, interpolate, func(s *scenario.State) float64 { return float64(s.Delay) / 1e6 })
	rate := panel("rate (Mbit/s)", lines, interpolate, func(s *scenario.State) float64 {
		if s.Down {
			return 0
		}
		return float64(s.Rate) / 1e6
	})
	rate.X.Label.Text, rate.Legend = "time (s)", plot.NewLegend()
	var b bytes.Buffer
	if err := graph.Encode(&b, format, func(c vgdraw.Canvas) {
		const margin = 8 // points
		panels := [][]*plot.Plot{{delay}, {rate}}
		tiles := vgdraw.Tiles{Rows: 2, Cols: 1, PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: 2 * margin, PadY: margin}
		for i, at := range plot.Align(panels, tiles, c) {
			panels[i][0].Draw(at[0])
		}
	}); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		return cli.Usagef("is there such a directory, and may you write there?", "%v", err)
	}
	return nil
}

// A line is one direction.
type line struct {
	name string
	rows []scenario.Change
	hue  color.Color
}

func panel(label string, lines []line, interpolate bool, value func(*scenario.State) float64) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Y.Label.Text = label
	sans := func(size vg.Length) font.Font { return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size} }
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(11), sans(9.5)
		a.Label.Padding, a.Tick.Marker = 4, plot.TickerFunc(graph.Ticks)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.NRGBA{A: 40}, color.NRGBA{A: 40}
	p.Add(grid)
	top := 0.0
	for _, l := range lines {
		points := steps(l.rows, interpolate, value)
		drawn := &plotter.Line{XYs: points, LineStyle: vgdraw.LineStyle{Color: l.hue, Width: 1.5}}
		const piece = 200 // points: the PNG's rasterizer takes the square of a line's length
		for rest := points; len(rest) > 1; rest = rest[min(piece, len(rest)-1):] {
			p.Add(&plotter.Line{XYs: rest[:min(piece+1, len(rest))], LineStyle: drawn.LineStyle})
		}
		for _, at := range points {
			p.X.Max, top = max(p.X.Max, at.X), max(top, at.Y)
		}
		p.Legend.Add(fmt.Sprintf("%s, %d rows", l.name, len(l.rows)), drawn)
	}
	p.Legend.TextStyle.Font, p.Legend.Top = sans(10), true
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, max(top, 1e-6)*1.25 // room for the legend
	return p
}

// steps are the corners of a value's course.
func steps(rows []scenario.Change, interpolate bool, value func(*scenario.State) float64) (out plotter.XYs) {
	for i := range rows {
		from, to := rows[i].At.Seconds(), tool.Length(rows).Seconds()
		if i == 0 {
			from = 0
		}
		last := i+1 == len(rows)
		if !last {
			to = rows[i+1].At.Seconds()
		}
		v := value(&rows[i].State)
		out = append(out, plotter.XY{X: from, Y: v})
		if interpolate && !last {
			out = append(out, plotter.XY{X: rows[i].At.Seconds(), Y: v})
		} else {
			out = append(out, plotter.XY{X: to, Y: v})
		}
	}
	return out
}
