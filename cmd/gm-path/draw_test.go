package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"

	"gomahi/scenario"
)

func rows(t *testing.T) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("s", strings.NewReader("Time[s],Delay[ms],Downlink-Rate[Mbps],Link[up|down]\n1,10,5,\n3,20,,down\n4,5,,up\n"), scenario.Queue{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The first row is from 0 on, the last as long as the one before it, and between rows there are steps or lines.
func TestSteps(t *testing.T) {
	s := rows(t)
	delay := func(s *scenario.State) float64 { return float64(s.Delay) / 1e6 }
	for _, row := range []struct {
		name        string
		interpolate bool
		want        plotter.XYs
	}{
		{"steps", false, plotter.XYs{{X: 0, Y: 10}, {X: 3, Y: 10}, {X: 3, Y: 20}, {X: 4, Y: 20}, {X: 4, Y: 5}, {X: 5, Y: 5}}},
		{"lines", true, plotter.XYs{{X: 0, Y: 10}, {X: 1, Y: 10}, {X: 3, Y: 20}, {X: 3, Y: 20}, {X: 4, Y: 5}, {X: 5, Y: 5}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, steps(s.Uplink, row.interpolate, delay)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDraw(t *testing.T) {
	s := rows(t)
	file := filepath.Join(t.TempDir(), "x.SVG")
	if err := draw(file, false, s.Uplink, s.Downlink); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "delay (ms)", "rate (Mbit/s)", "time (s)", "uplink, 3 rows", "downlink, 3 rows"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	for name, want := range map[string]string{"x.pdf": "names no kind of picture", "no/where.png": "no such file or directory"} {
		if err := draw(name, false, s.Uplink, s.Uplink); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "\nhint: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
