package trace

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const s = time.Second

func TestMake(t *testing.T) {
	for _, row := range []struct {
		name, args string
		o          Options
		want       string // the file, its lines joined by spaces
	}{
		{"a whole rate", "constant 12Mbps", Options{Length: 4 * ms}, "1 2 3 4"},
		{"two at once", "constant 24Mbps", Options{Length: 2 * ms}, "1 1 2 2"},
		{"a rate whose packets come between milliseconds", "constant 8Mbps", Options{Length: 6 * ms}, "2 3 5 6"},
		{"the same, fine", "constant 8Mbps", Options{Length: 6 * ms, Fine: true}, "1.5 3 4.5 6"},
		{"fine, in microseconds", "constant 4.8Gbit", Options{Length: 10 * us, Fine: true}, "0.0025 0.005 0.0075 0.01"},
		{"what is left over is lost", "constant 5Mbps", Options{Length: 6 * ms, Fine: true}, "2.4 4.8"},
		{"what is left over is lent", "constant 9Mbps", Options{Length: 2 * ms}, "2 2"},
		{"a part of a millisecond", "constant 12Mbps", Options{Length: 2500 * us}, "1 2"},
		{"low, then high", "square 12Mbps 24Mbps 4ms", Options{Length: 8 * ms}, "1 2 3 3 4 4 5 6 7 7 8 8"},
		{"low is nothing", "square 0 12Mbps 4ms", Options{Length: 8 * ms}, "3 4 7 8"},
		{"it ends with nothing", "square 0 12Mbps 4ms", Options{Length: 6 * ms}, "3 6"},
		{"sawtooth", "sawtooth 0 24Mbps 4ms", Options{Length: 4 * ms}, "2 3 4 4"},
		{"a rate that stays", "sine 12Mbps 12Mbps 20ms", Options{Length: 3 * ms}, "1 2 3"},
		{"a walk that cannot", "walk 12Mbps 12Mbps 1Mbps 1ms", Options{Length: 3 * ms}, "1 2 3"},
		{"handover", "handover 12Mbps 12Mbps 5ms 2ms", Options{Length: 10 * ms}, "3 4 5 8 9 10"},
		{"handover that ends in a gap", "handover 12Mbps 12Mbps 5ms 2ms", Options{Length: 6 * ms}, "3 4 6"},
		{"hardly ever off", "onoff 12Mbps 1h 1ms", Options{Length: 3 * ms, Seed: 1}, "1 2 3"},
		{"hardly ever a gap", "constant 12Mbps", Options{Length: 3 * ms, Seed: 1, Gaps: "1h,1ms"}, "1 2 3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Make(strings.Fields(row.args), row.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(written(t, got)), " "); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// The long run is what the arguments say.
func TestMakeMeans(t *testing.T) {
	for _, row := range []struct {
		args, gaps string
		want, off  float64 // in Mbit/s, and the part that it may be off
	}{
		{"constant 720kbit", "", 0.72, 0.001},
		{"constant 100Mbps", "", 100, 0.001},
		{"square 1Mbps 9Mbps 2s", "", 5, 0.001},
		{"sawtooth 1Mbps 9Mbps 2s", "", 5, 0.001},
		{"sine 1Mbps 9Mbps 2s", "", 5, 0.001},
		{"handover 10Mbps 10Mbps 2s 500ms", "", 7.5, 0.001},
		{"walk 1Mbps 9Mbps 5Mbps", "", 5, 0.1},
		{"onoff 10Mbps 30ms 10ms", "", 7.5, 0.05},
		{"constant 10Mbps", "10ms,30ms", 2.5, 0.1},
	} {
		t.Run(row.args, func(t *testing.T) {
			for seed := range uint64(5) {
				got, err := Make(strings.Fields(row.args), Options{Length: 60 * s, Seed: seed, Gaps: row.gaps})
				if err != nil {
					t.Fatal(err)
				}
				if m := got.Mean() / 1e6; m < row.want*(1-row.off) || m > row.want*(1+row.off) {
					t.Errorf("the mean is %v, want %v", m, row.want)
				}
				if got.Period() < 60*s-17*ms || got.Period() > 60*s {
					t.Errorf("it lasts %v", got.Period())
				}
			}
		})
	}
}

func TestMakeSeed(t *testing.T) {
	for _, args := range []string{"walk 1Mbps 9Mbps 1Mbps", "handover 1Mbps 9Mbps 1s 100ms", "onoff 5Mbps 1s 100ms"} {
		made := func(seed uint64) string {
			got, err := Make(strings.Fields(args), Options{Length: 5 * s, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			return written(t, got)
		}
		if one, again := made(7), made(7); one != again {
			t.Errorf("%s: one seed, two traces", args)
		}
		if made(7) == made(8) {
			t.Errorf("%s: two seeds, one trace", args)
		}
	}
}

func TestMakeErrors(t *testing.T) {
	const durations = "give a number of seconds, or one with a unit: 10, 0.5s, 200ms"
	for _, row := range []struct{ name, args, gaps, problem, hint string }{
		{"nothing", "", "", "the kind of trace is missing",
			"one of constant, square, sawtooth, sine, walk, handover, onoff"},
		{"an unknown kind", "triangle 1Mbps", "", `"triangle" is no kind of trace`,
			"one of constant, square, sawtooth, sine, walk, handover, onoff"},
		{"too few", "square 1Mbps 2Mbps", "", "square does not take 2 arguments", "usage: gm-trace make square LOW HIGH PERIOD"},
		{"too many", "constant 1Mbps 2s", "", "constant does not take 2 arguments", "usage: gm-trace make constant RATE"},
		{"too few but the optional one", "walk 1Mbps 2Mbps", "", "walk does not take 2 arguments",
			"usage: gm-trace make walk LOW HIGH STEP [EVERY]"},
		{"no unit", "constant 12", "", `rate "12" has no unit`,
			"is it a file? there is none of that name here; a rate needs a unit: 12Mbps"},
		{"the wrong way round", "sine 2Mbps 1Mbps 10s", "", "2Mbps is more than 1Mbps", "first the low rate, then the high one"},
		{"no duration", "sine 1Mbps 2Mbps soon", "", `time "soon" is not a duration`, durations},
		{"infinite", "sine 1Mbps 2Mbps inf", "", `time "inf" is not a duration`, durations},
		{"negative", "sine 1Mbps 2Mbps -1s", "", `time "-1s" is negative`, durations},
		{"too long", "sine 1Mbps 2Mbps 1000000001", "", `time "1000000001" is too long`, "at most 30 years"},
		{"too short", "sine 1Mbps 2Mbps 0", "", `time "0" is too short`, "at least 1ms"},
		{"all gap", "handover 1Mbps 2Mbps 1s 1s", "", "a gap of 1s leaves nothing of 1s", "the gap is a part of it"},
		{"one mean", "constant 1Mbps", "5s", `"5s" is not a mean time on and one off`, "give two times: --gaps=5s,200ms"},
		{"a mean of nothing", "constant 1Mbps", "5s,0", `time "0" is too short`, "at least 1ms"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Make(strings.Fields(row.args), Options{Length: s, Gaps: row.gaps})
			var a *ArgumentError
			if !errors.As(err, &a) {
				t.Fatal(err)
			}
			if a.Problem != row.problem || a.Hint != row.hint {
				t.Errorf("got  %s\nhint %s\nwant %s\nhint %s", a.Problem, a.Hint, row.problem, row.hint)
			}
		})
	}
	for _, row := range []struct {
		name, args string
		length     time.Duration
		want       error
	}{
		{"not one packet", "constant 1kbps", s, errNoPacket},
		{"too many packets", "constant 1000Gbps", s, errTooMany},
	} {
		if _, err := Make(strings.Fields(row.args), Options{Length: row.length}); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	for _, args := range []string{"sine 1bps 2bps 1s", "onoff 1bps 1ms 1ms"} {
		if _, err := Make(strings.Fields(args), Options{Length: longest}); err == nil {
			t.Errorf("%s for 30 years needs too much memory", args)
		}
	}
}
