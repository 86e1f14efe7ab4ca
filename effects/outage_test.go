package effects

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFixed(t *testing.T) {
	const longest = 1e18 // 30 years
	for _, row := range []struct {
		name     string
		schedule Fixed
		on, off  []time.Duration
	}{
		{"on first", Fixed{OnFor: 3, OffFor: 2}, []time.Duration{0, 1, 2, 5, 7, 10, 12}, []time.Duration{3, 4, 8, 9, 13}},
		{"never on", Fixed{OffFor: 2}, nil, []time.Duration{0, 1, 2, 3, math.MaxInt64}},
		{"never off", Fixed{OnFor: 2}, []time.Duration{0, 1, 2, 3, math.MaxInt64}, nil},
		{"the longest", Fixed{OnFor: longest, OffFor: longest}, []time.Duration{0, longest - 1, 2 * longest},
			[]time.Duration{longest, 2*longest - 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, at := range row.on {
				if !row.schedule.On(at) {
					t.Errorf("off at %d", at)
				}
			}
			for _, at := range row.off {
				if row.schedule.On(at) {
					t.Errorf("on at %d", at)
				}
			}
		})
	}
}

// switches are the first n ends of a state, to the nanosecond: the state holds until the instant before.
func switches(t *testing.T, s *Exponential, n int) (out []time.Duration) {
	t.Helper()
	for len(out) < n {
		at, on := s.until, s.on
		if s.On(at-1) != on {
			t.Fatalf("the state changed before %v", at)
		}
		if s.On(at) != on { // else the next lasted 0 ns
			out = append(out, at)
		}
	}
	return out
}

func TestExponentialSchedule(t *testing.T) {
	for _, row := range []struct {
		name    string
		on, off time.Duration
		seed    uint64
		want    []time.Duration
	}{
		{"a second each", time.Second, time.Second, 1,
			[]time.Duration{267_927_451, 1_978_520_119, 2_062_286_423, 4_644_817_916, 4_742_656_303}},
		{"ten to one", 10 * time.Second, time.Second, 1,
			[]time.Duration{2_679_274_515, 4_389_867_183, 5_227_530_225, 7_810_061_718, 8_788_445_595}},
		{"another seed", time.Second, time.Second, 2,
			[]time.Duration{176_414_511, 1_731_510_296, 1_843_120_377, 2_560_481_507, 3_607_669_064}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := NewExponential(row.on, row.off, Random(row.seed, "outage"))
			if d := cmp.Diff(row.want, switches(t, s, 5)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The schedule may be asked at any instants: what it says does not depend on how often.
func TestExponentialIsOneSchedule(t *testing.T) {
	const span = 2 * time.Second
	fresh := func() *Exponential { return NewExponential(3*ms, MinMean, Random(5, "outage")) }
	type state struct {
		at time.Duration
		on bool
	}
	var all []state
	s := fresh()
	for at := time.Duration(0); at < span; at += 17 * time.Microsecond {
		all = append(all, state{at, s.On(at)})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, row := range []struct {
		name string
		step int // of the instants asked, on average
	}{{"as often", 1}, {"now and then", 100}, {"after long idle times", 20_000}, {"at the end only", len(all)}} {
		t.Run(row.name, func(t *testing.T) {
			s := fresh()
			for i := 0; i < len(all); i += 1 + r.IntN(2*row.step) {
				if s.On(all[i].at) != all[i].on {
					t.Fatalf("at %v it is %v, want %v", all[i].at, !all[i].on, all[i].on)
				}
			}
			last := all[len(all)-1]
			if s.On(last.at) != last.on {
				t.Errorf("at %v it is %v, want %v", last.at, !last.on, last.on)
			}
		})
	}
}

// The directions of one link are off together when their sources are equal, whatever each carries.
func TestEqualSources(t *testing.T) {
	up, down := NewExponential(ms, ms, Random(9, "outage")), NewExponential(ms, ms, Random(9, "outage"))
	for at := time.Duration(0); at < time.Second; at += 100 * time.Microsecond {
		on := up.On(at)
		if at%(7*ms) == 0 && down.On(at) != on {
			t.Fatalf("at %v one is on and the other off", at)
		}
	}
}

func TestExponentialMeans(t *testing.T) {
	const n = 50_000 // durations of each state: the mean's standard error is 0.45 %, and hours' sum still fits
	for _, row := range []struct {
		name    string
		on, off time.Duration
		seed    uint64
	}{
		{"the shortest", MinMean, MinMean, 1},
		{"seconds", 10 * time.Second, 500 * ms, 2},
		{"hours", time.Hour, 4 * time.Hour, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := NewExponential(row.on, row.off, Random(row.seed, "outage"))
			var sum, on, last time.Duration
			for i, at := range switches(t, s, 2*n) {
				if i%2 == 0 {
					on += at - last
				}
				sum += at - last
				last = at
			}
			for _, state := range []struct {
				name      string
				got, want time.Duration
			}{{"on", on / n, row.on}, {"off", (sum - on) / n, row.off}} {
				if off := float64(state.got)/float64(state.want) - 1; math.Abs(off) > 0.02 {
					t.Errorf("the mean time %s is %v, want %v within 2 %%", state.name, state.got, state.want)
				}
			}
		})
	}
}

func TestExponentialExtremes(t *testing.T) {
	const thirtyYears = time.Duration(1e18)
	for _, row := range []struct {
		name    string
		on, off time.Duration
		want    bool
	}{
		{"never on", 0, time.Second, false},
		{"never off", time.Second, 0, true},
		{"never off, the shortest", MinMean, 0, true},
		{"never on, the longest", 0, thirtyYears, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := NewExponential(row.on, row.off, Random(1, "outage"))
			for _, at := range []time.Duration{0, 1, time.Second, thirtyYears, math.MaxInt64 - 1} {
				if s.On(at) != row.want {
					t.Errorf("at %v it is %v", at, !row.want)
				}
			}
		})
	}
	t.Run("the end of time", func(t *testing.T) {
		for seed := range uint64(100) {
			s := NewExponential(thirtyYears, thirtyYears, Random(seed, "outage"))
			for k := range 100 { // it ends, and never goes backward
				before := s.until
				s.On(math.MaxInt64 / 100 * time.Duration(k))
				if s.until < before {
					t.Fatalf("seed %d: the schedule went back from %v to %v", seed, before, s.until)
				}
			}
		}
	})
}
