package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"gomahi/internal/cli"
	"gomahi/internal/graph"
	"gomahi/trace"
)

type plots struct {
	Bin string `placeholder:"TIME" help:"What the rate is counted over (100ms, more for a trace of over a minute)."`
	shared
}

func (o *plots) do(out *bytes.Buffer) error {
	format := graph.SVG
	switch extension := strings.ToLower(filepath.Ext(o.Output)); {
	case extension == ".png":
		format = graph.PNG
	case extension != ".svg" && o.Output != "" && o.Output != "-":
		return cli.Usagef("give a name that ends in .svg or .png", "%q names no kind of picture", o.Output)
	}
	var bin time.Duration
	if o.Bin != "" {
		var err error
		if bin, err = trace.ParseDuration("bin", o.Bin); err != nil {
			return err
		}
		if bin == 0 {
			return cli.Usagef("give a time above 0, such as 100ms", "a bin of no length has no rate")
		}
	}
	s, err := o.load(0)
	if err != nil {
		return err
	}
	if bin == 0 {
		bin = usualBin(s.Period())
	} else if s.Period()/bin > mostBins {
		return cli.Usagef("give a longer --bin", "more than %d bins", mostBins)
	}
	return picture(out, s, bin, format)
}

// mostBins is as many as a picture of 1024 pixels can show.
const mostBins = 1000

// usualBin is 100 ms, or the next of 200, 500, 1000, ... ms of which a picture has room for all.
func usualBin(period time.Duration) time.Duration {
	for bin := 100 * time.Millisecond; ; bin *= 10 {
		for _, times := range []time.Duration{1, 2, 5} {
			if period/(bin*times) <= mostBins {
				return bin * times
			}
		}
	}
}

// picture draws the rate over time, 1024 by 560 pixels at 96 dpi.
func picture(w io.Writer, s *trace.Schedule, bin time.Duration, format graph.Format) error {
	rates, bin := s.Rates(bin)
	top := s.Mean()
	for _, r := range rates {
		top = max(top, r)
	}
	unit, is := "bit/s", 1.0
	for _, u := range []struct {
		name string
		is   float64
	}{{"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}} {
		if top >= u.is {
			unit, is = u.name, u.is
		}
	}
	p := plot.New()
	p.BackgroundColor = color.White
	p.X.Label.Text = "time (s)"
	p.Y.Label.Text = fmt.Sprintf("rate over %g ms (%s)", float64(bin)/1e6, unit)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(11), sans(9.5)
		a.Label.Padding, a.Tick.Marker = 4, plot.TickerFunc(graph.Ticks)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.NRGBA{A: 40}, color.NRGBA{A: 40}
	p.Add(grid)

	blue := color.NRGBA{0, 114, 178, 255}
	var steps plotter.XYs
	for i, r := range rates {
		from, to := time.Duration(i)*bin, time.Duration(i+1)*bin
		steps = append(steps, plotter.XY{X: from.Seconds(), Y: r / is}, plotter.XY{X: to.Seconds(), Y: r / is})
	}
	const piece = 200 // points: the PNG's rasterizer takes the square of a line's length
	for rest := steps; len(rest) > 1; rest = rest[min(piece, len(rest)-1):] {
		p.Add(&plotter.Line{XYs: rest[:min(piece+1, len(rest))], LineStyle: draw.LineStyle{Color: blue, Width: 1},
			FillColor: color.NRGBA{0, 114, 178, 50}})
	}
	end := s.Period().Seconds()
	mean := &plotter.Line{XYs: plotter.XYs{{X: 0, Y: s.Mean() / is}, {X: end, Y: s.Mean() / is}},
		LineStyle: draw.LineStyle{Color: color.NRGBA{213, 94, 0, 255}, Width: 1.5, Dashes: []vg.Length{6, 3}}}
	p.Add(mean)
	p.Legend.Add("mean "+trace.Rate(s.Mean()), mean)
	p.Legend.TextStyle.Font = sans(10)
	p.Legend.Top = true
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, end, 0, top/is*1.12 // room for the legend

	const margin = 8 // points
	return graph.Encode(w, format, func(c draw.Canvas) { p.Draw(draw.Crop(c, margin, -2*margin, margin, -margin)) })
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}
