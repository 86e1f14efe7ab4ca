package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"gomahi/internal/graph"
)

// A figure is what was measured, several times.
type figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"` // in the order of measuring
	Wanted string    `json:"wanted,omitempty"`
	Met    *bool     `json:"met,omitempty"`
	Note   string    `json:"note,omitempty"`
}

// figures are those of a run, in order.
type figures struct {
	Machine string    `json:"machine"` // CPU count and model, kernel, congestion control
	All     []*figure `json:"figures"`
}

func newFigures() *figures {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return &figures{Machine: fmt.Sprintf("%d CPUs, %s, Linux %s, TCP with %s", runtime.NumCPU(), model, strings.TrimSpace(string(release)), congestion())}
}

// congestion is what TCP has on this machine where nothing is said.
func congestion() string {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return strings.TrimSpace(string(b))
}

// add adds a value to a figure, which is new at its first.
func (f *figures) add(name, unit string, v float64) {
	one := f.of(name)
	if one == nil {
		one = &figure{Name: name, Unit: unit}
		f.All = append(f.All, one)
	}
	one.Values = append(one.Values, v)
}

func (f *figures) of(name string) *figure {
	for _, one := range f.All {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// median is a figure's, 0 where there is none.
func (f *figures) median(name string) float64 {
	if one := f.of(name); one != nil {
		return median(one.Values)
	}
	return 0
}

// judge says whether a figure is as wanted.
func (f *figures) judge(name, wanted string, met bool) {
	if one := f.of(name); one != nil {
		one.Wanted, one.Met = wanted, &met
	}
}

// note says something of a figure beside what is wanted of it.
func (f *figures) note(name, text string) {
	if one := f.of(name); one != nil {
		one.Note = text
	}
}

// table prints them with their least, median and most.
func (f *figures) table() {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s\n\nwhat\tleast\tmedian\tmost\tunit\twanted\t\t\n", f.Machine)
	for _, one := range f.All {
		verdict := ""
		if one.Met != nil {
			verdict = map[bool]string{true: "ok", false: "MISSED"}[*one.Met]
		}
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.4g\t%s\t%s\t%s\t%s\n", one.Name, slices.Min(one.Values), median(one.Values), slices.Max(one.Values),
			one.Unit, one.Wanted, verdict, one.Note)
	}
	t.Flush()
}

// write writes them, and their pictures, into a directory.
func (f *figures) write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(b, '\n'), 0o666); err != nil {
		return err
	}
	if err := f.draw(filepath.Join(dir, "levels.svg"), "levels", "Gbit/s", []string{"one TCP flow", "eight TCP flows"}, levels); err != nil {
		return err
	}
	return f.draw(filepath.Join(dir, "lateness.svg"), "percentile", "lateness in µs", []string{"lateness", "lateness --precise"}, []int{50, 99})
}

// draw draws the medians of series over what their names count: "SERIES, N X".
func (f *figures) draw(file, x, y string, series []string, at []int) error {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(graph.Ticks), plot.TickerFunc(graph.Ticks)
	p.Y.Min, p.X.Min = 0, 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	for i, name := range series {
		var points plotter.XYs
		for _, n := range at {
			if v := f.median(fmt.Sprintf("%s, %d %s", name, n, x)); v > 0 {
				points = append(points, plotter.XY{X: float64(n), Y: v})
			}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			continue // nothing was measured
		}
		line.Color = []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}}[i%2]
		dots.Color = line.Color
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return graph.Encode(out, graph.SVG, func(c draw.Canvas) { p.Draw(draw.Crop(c, 8, -16, 8, -8)) })
}
