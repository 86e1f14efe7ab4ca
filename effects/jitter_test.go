package effects

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
)

func TestJitter(t *testing.T) {
	for _, row := range []struct {
		name     string
		keep     bool
		delays   []uint64
		arrivals []time.Duration
		left     []departure
	}{
		{"each by itself", true, []uint64{5, 0, 7}, []time.Duration{0, 10, 20}, []departure{{0, 5, ""}, {1, 10, ""}, {2, 27, ""}}},
		{"kept: one waits for the one before", true, []uint64{50, 10, 45}, []time.Duration{0, 10, 20},
			[]departure{{0, 50, ""}, {1, 50, ""}, {2, 65, ""}}},
		{"kept: all wait for a late one", true, []uint64{90, 1, 1, 1}, []time.Duration{0, 10, 20, 89},
			[]departure{{0, 90, ""}, {1, 90, ""}, {2, 90, ""}, {3, 90, ""}}},
		{"kept: its time has passed", true, []uint64{90, 1}, []time.Duration{0, 100}, []departure{{0, 90, ""}, {1, 101, ""}}},
		{"free: a late one is overtaken", false, []uint64{50, 10, 45}, []time.Duration{0, 10, 20},
			[]departure{{1, 20, ""}, {0, 50, ""}, {2, 65, ""}}},
		{"free: in order where the time is the same", false, []uint64{50, 40, 30, 20, 10, 0}, []time.Duration{0, 10, 20, 30, 40, 50},
			[]departure{{0, 50, ""}, {1, 50, ""}, {2, 50, ""}, {3, 50, ""}, {4, 50, ""}, {5, 50, ""}}},
		{"free: in reverse", false, []uint64{9, 8, 7, 6, 5, 4, 3}, []time.Duration{0, 0, 0, 0, 0, 0, 0},
			[]departure{{6, 3, ""}, {5, 4, ""}, {4, 5, ""}, {3, 6, ""}, {2, 7, ""}, {1, 8, ""}, {0, 9, ""}}},
		{"no delay is longer than 30 years", false, []uint64{math.MaxUint64}, []time.Duration{5}, []departure{{0, 1e18 + 5, ""}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			got := play(t, NewJitter(decides(row.delays...), row.keep), &pool, row.arrivals)
			if d := cmp.Diff(row.left, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Many packets leave a free jitter in the order of their departures, whatever their delays.
func TestHeap(t *testing.T) {
	const n = 5000
	r := Random(1, "heap")
	var delays []uint64
	var arrivals []time.Duration
	var want []departure
	for i := range n {
		at := time.Duration(i / 3)
		delays, arrivals = append(delays, r.Uint64N(300)), append(arrivals, at)
		want = append(want, departure{i, at + time.Duration(delays[i]), ""})
	}
	slices.SortStableFunc(want, func(a, b departure) int { return int(a.At - b.At) })
	var pool packet.Pool
	if d := cmp.Diff(want, play(t, NewJitter(decides(delays...), false), &pool, arrivals)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The distributions have the moments that the manual says. Pareto's are those of 4/3(U^(-1/3)-1), cut at 14/3.
func TestDistributions(t *testing.T) {
	const n = 200_000
	paretoMean, paretoSquare := 0.0, 0.0
	const steps = 1_000_000
	for i := range steps {
		x := math.Min(4.0/3*(math.Pow((float64(i)+0.5)/steps, -1.0/3)-1), 14.0/3)
		paretoMean, paretoSquare = paretoMean+x/steps, paretoSquare+x*x/steps
	}
	for _, row := range []struct {
		name            string
		shape           Distribution
		mean, deviation float64
		least, most     float64
	}{
		{"uniform", Uniform, 0.5, math.Sqrt(1.0 / 12), 0, 1},
		{"normal", Normal, 3.0004, 0.9985, 0, math.Inf(1)}, // cut at 0
		{"pareto", Pareto, paretoMean, math.Sqrt(paretoSquare - paretoMean*paretoMean), 0, 14.0 / 3},
		{"empirical", Empirical([]float64{1, 2, 2, 7}), 3, math.Sqrt(5.5), 1, 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			const unit = 10 * ms
			s := NewSpread(unit, row.shape, Random(1, "uplink"))
			var sum, square float64
			for range n {
				x := float64(s.Decide(0, packet.Packet{})) / float64(unit)
				if x < row.least || x > row.most+1e-7 { // rounded to 1 ns
					t.Fatalf("%v is not from %v to %v", x, row.least, row.most)
				}
				sum, square = sum+x, square+x*x
			}
			mean := sum / n
			within(t, "the mean", mean, row.mean, row.deviation/math.Sqrt(n))
			if d := math.Sqrt(square/n - mean*mean); math.Abs(d/row.deviation-1) > 0.01 {
				t.Errorf("the standard deviation is %v, want %v", d, row.deviation)
			}
		})
	}
}

func TestParseNumbers(t *testing.T) {
	const hint = "\nhint: give one number a line, 0 or more, such as a delay in milliseconds"
	for _, row := range []struct {
		name, text string
		want       []float64
		err        string
	}{
		{"numbers", "1\n2.5\n0\n1e-3\n", []float64{1, 2.5, 0, 0.001}, ""},
		{"comments, blank lines, CRLF, no last newline", "# ms\r\n\r\n 1 # one\r\n2", []float64{1, 2}, ""},
		{"a word", "1\nfast\n", nil, `f:2: "fast" is not a number from 0 up` + hint},
		{"negative", "-1\n", nil, `f:1: "-1" is not a number from 0 up` + hint},
		{"not a number", "1\n\nNaN\n", nil, `f:3: "NaN" is not a number from 0 up` + hint},
		{"infinite", "Inf\n", nil, `f:1: "Inf" is not a number from 0 up` + hint},
		{"two in a line", "1 2\n", nil, `f:1: "1 2" is not a number from 0 up` + hint},
		{"nothing", "# 1\n", nil, "f: it has no numbers" + hint},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseNumbers("f", strings.NewReader(row.text))
			if d := cmp.Diff(row.want, got); d != "" || (err != nil || row.err != "") && (err == nil || err.Error() != row.err) {
				t.Errorf("error %v (-want +got):\n%s", err, d)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := ParseNumbers("f", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reading fails with %v", err)
	}
}

func FuzzParseNumbers(f *testing.F) {
	f.Add("1\n2.5 # x\n")
	f.Add("0x1p-2\n1_000\n-0")
	f.Fuzz(func(t *testing.T, text string) {
		numbers, err := ParseNumbers("f", strings.NewReader(text))
		if (err == nil) != (len(numbers) > 0) {
			t.Fatalf("%d numbers, %v", len(numbers), err)
		}
		for _, v := range numbers {
			if d := NewSpread(ms, Empirical([]float64{v}), Random(1, "")).Decide(0, packet.Packet{}); d > longest {
				t.Errorf("%v makes a delay of %d", v, d)
			}
		}
	})
}
