package graph

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"
)

// texts parses an SVG and returns its size and what is written in it.
func texts(t *testing.T, svg []byte) (width, height string, words []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	in := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return width, height, words
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			in = e.Name.Local == "text"
			for _, a := range e.Attr {
				switch {
				case e.Name.Local == "svg" && a.Name.Local == "width":
					width = a.Value
				case e.Name.Local == "svg" && a.Name.Local == "height":
					height = a.Value
				}
			}
		case xml.EndElement:
			in = false
		case xml.CharData:
			if in {
				words = append(words, strings.TrimSpace(string(e)))
			}
		}
	}
}

func TestPictures(t *testing.T) {
	named := func(name, text string) *Log {
		l := read(t, text)
		l.Name = name
		return l
	}
	const full = "0 # 1504\n0 + 1504\n0 + 1504\n9 - 1504 9\n10 d 1 1504\n1000 # 1504\n"
	dropped := unpacked(t, "walk-droptail.up.log")
	var eight []*Log
	for i := range MostLogs {
		eight = append(eight, named(fmt.Sprintf("%d.log", i), full))
	}
	for _, row := range []struct {
		name  string
		draw  func([]*Log) *Picture
		logs  []*Log
		words []string // besides others
	}{
		{"throughput", Throughput, []*Log{named("a.log", full)}, []string{"time (s)", "throughput (Mbits/s)", "a.log",
			"capacity (mean 0.02 Mbits/s)", "ingress (mean 0.02 Mbits/s)", "egress (mean 0.01 Mbits/s)", "1 dropped"}},
		{"delay", Delay, []*Log{named("a.log", full)}, []string{"time (s)", "delay (ms)", "a.log",
			"queueing delay (95th percentile 9 ms)", "signal delay (95th percentile 9 ms)", "1 dropped"}},
		{"throughput of the original", Throughput, []*Log{named("up.log", dropped)}, []string{"time (s)",
			"throughput (Mbits/s)", "up.log", "capacity unknown", "egress (mean 9.05 Mbits/s)", "2359 dropped"}},
		{"delay of the original", Delay, []*Log{named("up.log", dropped)}, []string{"delay (ms)",
			"queueing delay (95th percentile 27 ms)", "signal delay (95th percentile 162 ms)", "2359 dropped"}},
		{"two logs", Throughput, []*Log{named("a.log", full), named("up.log", dropped)}, []string{"a.log", "up.log",
			"1 dropped", "2359 dropped"}},
		{"two logs' delays", Delay, []*Log{named("a.log", full), named("up.log", dropped)}, []string{"a.log", "up.log"}},
		{"eight logs", Throughput, eight, []string{"0.log", "7.log"}},
		{"eight logs' delays", Delay, eight, []string{"0.log", "7.log"}},
		{"one moment", Throughput, []*Log{named("a.log", "3 + 1\n")}, []string{"ingress", "egress"}},
		{"no departure", Delay, []*Log{named("a.log", "3 + 1\n")}, []string{"queueing delay unknown", "signal delay unknown"}},
		{"late, and short", Throughput, []*Log{named("a.log", "999999999990 + 1\n999999999990.000001 - 1 0\n")},
			[]string{"time (s)"}},
		{"a name to escape", Delay, []*Log{named("<a>&\x01\xff\".log", full)}, []string{`<a>&??".log`}},
		{"a long name", Throughput, []*Log{named(strings.Repeat("long/", 99)+"a.log", full)},
			[]string{"...ng/long/long/long/long/long/long/a.log"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := row.draw(row.logs).Write(&b, PNG); err != nil {
				t.Fatal(err)
			}
			m, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Bounds().Size(); got.X != 1024 || got.Y != 560 {
				t.Errorf("the PNG is %v", got)
			}
			b.Reset()
			if err := row.draw(row.logs).Write(&b, SVG); err != nil {
				t.Fatal(err)
			}
			w, h, words := texts(t, b.Bytes())
			if w != "768pt" || h != "420pt" { // at 96 pixels an inch
				t.Errorf("the SVG is %s by %s", w, h)
			}
			for _, want := range row.words {
				if !slices.Contains(words, want) {
					t.Errorf("there is no %q in %q", want, words)
				}
			}
			if bytes.Contains(b.Bytes(), []byte("NaN")) || bytes.Contains(b.Bytes(), []byte("Inf")) {
				t.Error("something has no place")
			}
		})
	}
}

func TestTicks(t *testing.T) {
	for _, row := range []struct {
		low, high float64
		want      string
	}{
		{0, 1, "0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0"},
		{0.04, 8.7, "1 2 3 4 5 6 7 8"},
		{0, 14.5, "0 2 4 6 8 10 12 14"},
		{-0.31, 0.61, "-0.3 -0.2 -0.1 0.0 0.1 0.2 0.3 0.4 0.5 0.6"},
		{0, 650, "0 100 200 300 400 500 600"},
		{0, 0.024, "0.000 0.005 0.010 0.015 0.020"},
		{100, 730, "100 200 300 400 500 600 700"},
	} {
		var got []string
		for _, tick := range Ticks(row.low, row.high) {
			got = append(got, tick.Label)
		}
		if d := cmp.Diff(row.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%v to %v (-want +got):\n%s", row.low, row.high, d)
		}
	}
}

// However many points there are, few are drawn, and the extremes are among them.
func TestThin(t *testing.T) {
	p := &Picture{left: 0, right: 100}
	points := make(plotter.XYs, 1_000_001)
	for i := range points {
		points[i] = plotter.XY{X: float64(i) / 1e4, Y: math.Sin(float64(i))}
	}
	points[345_678].Y, points[456_789].Y = 9, -9
	got := p.thin(points)
	if len(got) > 4*(columns+1) {
		t.Errorf("%d points are drawn", len(got))
	}
	for _, i := range []int{0, 345_678, 456_789, 1_000_000} {
		if !slices.Contains(got, points[i]) {
			t.Errorf("point %d is missing", i)
		}
	}
	if !slices.IsSortedFunc(got, func(a, b plotter.XY) int { return int(math.Copysign(1, a.X-b.X)) }) {
		t.Error("their order is lost")
	}
	if few := points[:4*columns]; len(p.thin(few)) != len(few) {
		t.Error("few points are thinned")
	}
}

// What steps are made of: every bin as wide as it is, nothing where there was nothing, and no further than the log.
func TestSteps(t *testing.T) {
	l := read(t, "100 + 62500\n600 + 125000\n2100 + 62500\n")
	want := plotter.XYs{{X: 0.1, Y: 1}, {X: 0.5, Y: 1}, {X: 0.5, Y: 2}, {X: 1, Y: 2}, {X: 1}, {X: 2}, {X: 2, Y: 1}, {X: 2.1, Y: 1}}
	if d := cmp.Diff(want, l.steps(func(b *bin) int64 { return b.ingress })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
