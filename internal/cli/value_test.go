package cli

import (
	"errors"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, row := range []struct {
		name, arg string
		bare      time.Duration
		want      time.Duration
	}{
		{"bare milliseconds", "50", ms, 50 * ms},
		{"bare seconds", "50", s, 50 * s},
		{"zero", "0", ms, 0},
		{"leading zeros", "007", ms, 7 * ms},
		{"decimals", "1.5", ms, 1_500_000},
		{"a point first", ".5", s, 500 * ms},
		{"a point last", "5.", ms, 5 * ms},
		{"nanoseconds", "7ns", ms, 7},
		{"us", "250us", ms, 250_000},
		{"micro sign", "250µs", ms, 250_000},
		{"greek mu", "250μs", ms, 250_000},
		{"ms", "20ms", s, 20 * ms},
		{"s", "0.2s", ms, 200 * ms},
		{"m", "2m", ms, 120 * s},
		{"min", "1.5min", ms, 90 * s},
		{"h", "1h", ms, 3600 * s},
		{"half a nanosecond rounds up", "0.5ns", ms, 1},
		{"less than half rounds down", "0.49ns", ms, 0},
		{"more than half rounds up", "1.51ns", ms, 2},
		{"milliseconds round too", "0.0000014", ms, 1},
		{"seconds round too", "0.1234567895", s, 123_456_790},
		{"what binary cannot hold", "0.3", s, 300 * ms},
		{"the longest", "1000000000", s, 1e18},
		{"the longest in ns", "1000000000000000000ns", s, 1e18},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Duration("delay", row.arg, row.bare)
			if err != nil || got != row.want {
				t.Errorf("%q is %d ns, %v; want %d ns", row.arg, got, err, row.want)
			}
		})
	}
}

func TestDurationErrors(t *testing.T) {
	const (
		milliseconds = "give a number of milliseconds, or one with a unit: 20ms, 0.2s, 250us"
		seconds      = "give a number of seconds, or one with a unit: 20ms, 0.2s, 250us"
		long         = "at most 30 years"
	)
	for _, row := range []struct {
		name, what, arg string
		bare            time.Duration
		problem, hint   string
	}{
		{"negative", "delay", "-5", time.Millisecond, `delay "-5" is negative`, milliseconds},
		{"negative with a unit", "time on", "-.5s", time.Second, `time on "-.5s" is negative`, seconds},
		{"empty", "delay", "", time.Millisecond, `delay "" is not a duration`, milliseconds},
		{"a word", "linger", "soon", time.Second, `linger "soon" is not a duration`, seconds},
		{"a point", "delay", ".", time.Millisecond, `delay "." is not a duration`, milliseconds},
		{"two points", "delay", "1.2.3", time.Millisecond, `delay "1.2.3" is not a duration`, milliseconds},
		{"a plus", "delay", "+5", time.Millisecond, `delay "+5" is not a duration`, milliseconds},
		{"a space", "delay", "5 ms", time.Millisecond, `delay "5 ms" is not a duration`, milliseconds},
		{"a newline", "delay", "5\n", time.Millisecond, `delay "5\n" is not a duration`, milliseconds},
		{"two units", "delay", "1m30s", time.Millisecond, `delay "1m30s" is not a duration`, milliseconds},
		{"a capital", "delay", "5S", time.Millisecond, `delay "5S" is not a duration`, milliseconds},
		{"hexadecimal", "delay", "0x10", time.Millisecond, `delay "0x10" is not a duration`, milliseconds},
		{"infinity", "delay", "inf", time.Millisecond, `delay "inf" is not a duration`, milliseconds},
		{"not a number", "delay", "NaN", time.Millisecond, `delay "NaN" is not a duration`, milliseconds},
		{"other digits", "delay", "٣", time.Millisecond, `delay "٣" is not a duration`, milliseconds},
		{"an unknown unit", "delay", "5sec", time.Millisecond, `delay "5sec" has the unknown unit "sec"`, milliseconds},
		{"a percentage", "delay", "5%", time.Second, `delay "5%" has the unknown unit "%"`, seconds},
		{"half a unit", "delay", "5µ", time.Millisecond, `delay "5µ" has the unknown unit "µ"`, milliseconds},
		{"too long", "delay", "1000000001s", time.Millisecond, `delay "1000000001s" is too long`, long},
		{"too long in hours", "delay", "300000h", time.Millisecond, `delay "300000h" is too long`, long},
		{"beyond all floats", "delay", nines, time.Millisecond, `delay "` + nines + `" is too long`, long},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Duration(row.what, row.arg, row.bare)
			checkUsage(t, err, row.problem, row.hint)
			if got != 0 {
				t.Errorf("with an error comes %v", got)
			}
		})
	}
}

var nines = func() string {
	b := make([]byte, 400)
	for i := range b {
		b[i] = '9'
	}
	return string(b)
}()

func TestProbability(t *testing.T) {
	for _, row := range []struct {
		name, arg string
		want      float64
	}{
		{"zero", "0", 0},
		{"one", "1", 1},
		{"decimals", "0.05", 0.05},
		{"a point first", ".5", 0.5},
		{"a point last", "1.", 1},
		{"a percentage", "5%", 0.05},
		{"a fraction of one", "0.01%", 0.0001},
		{"nothing of a hundred", "0%", 0},
		{"all", "100%", 1},
		{"a percentage that a division would miss", "0.7%", 0.007},
		{"a percentage with a point first", ".5%", 0.005},
		{"a percentage with a point last", "5.%", 0.05},
		{"almost all", "0.999999999", 0.999999999},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Probability("loss rate", row.arg)
			if err != nil || got != row.want {
				t.Errorf("%q is %v, %v; want %v", row.arg, got, err, row.want)
			}
		})
	}
}

func TestProbabilityErrors(t *testing.T) {
	const hint = "give a number from 0 to 1, or a percentage: 0.05, 5%"
	for _, row := range []struct{ name, arg, problem string }{
		{"negative", "-0.1", `loss rate "-0.1" is negative`},
		{"negative with a point first", "-.1", `loss rate "-.1" is negative`},
		{"a negative percentage", "-5%", `loss rate "-5%" is negative`},
		{"more than one", "1.001", `loss rate "1.001" is more than 1`},
		{"a percentage without its sign", "5", `loss rate "5" is more than 1`},
		{"more than all", "100.1%", `loss rate "100.1%" is more than 1`},
		{"beyond all floats", nines, `loss rate "` + nines + `" is more than 1`},
		{"empty", "", `loss rate "" is not a probability`},
		{"a dash", "-", `loss rate "-" is not a probability`},
		{"a word", "some", `loss rate "some" is not a probability`},
		{"only the sign", "%", `loss rate "%" is not a probability`},
		{"two signs", "5%%", `loss rate "5%%" is not a probability`},
		{"a unit", "0.5s", `loss rate "0.5s" is not a probability`},
		{"not a number", "NaN", `loss rate "NaN" is not a probability`},
		{"infinity", "inf", `loss rate "inf" is not a probability`},
		{"two points", "0.1.2", `loss rate "0.1.2" is not a probability`},
		{"a space", " 0.1", `loss rate " 0.1" is not a probability`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Probability("loss rate", row.arg)
			checkUsage(t, err, row.problem, hint)
			if got != 0 {
				t.Errorf("with an error comes %v", got)
			}
		})
	}
}

func TestDirections(t *testing.T) {
	for _, row := range []struct {
		arg      string
		up, down bool
	}{{"uplink", true, false}, {"downlink", false, true}, {"both", true, true}} {
		t.Run(row.arg, func(t *testing.T) {
			up, down, err := Directions(row.arg)
			if err != nil || up != row.up || down != row.down {
				t.Errorf("up %v, down %v, %v; want %v, %v", up, down, err, row.up, row.down)
			}
		})
	}
	for _, arg := range []string{"", "up", "Uplink", "uplink ", "0.1"} {
		t.Run("wrong: "+arg, func(t *testing.T) {
			up, down, err := Directions(arg)
			checkUsage(t, err, `"`+arg+`" is not a direction`, "uplink is out of the container, downlink into it, or both")
			if up || down {
				t.Error("with an error comes a direction")
			}
		})
	}
}

func checkUsage(t *testing.T, err error, problem, hint string) {
	t.Helper()
	var u *UsageError
	if !errors.As(err, &u) {
		t.Fatalf("%v is not a usage error", err)
	}
	if u.Problem != problem || u.Hint != hint {
		t.Errorf("got  %s\nhint %s\nwant %s\nhint %s", u.Problem, u.Hint, problem, hint)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"50", "1.5", "20ms", "250µs", "-5", "5%", "1e9", "1000000000s", ".", "0x1", nines} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, bare := range []time.Duration{time.Millisecond, time.Second} {
			d, err := Duration("delay", s, bare)
			var u *UsageError
			switch {
			case err != nil && (!errors.As(err, &u) || u.Problem == "" || u.Hint == "" || d != 0):
				t.Errorf("%q is %v, %v", s, d, err)
			case err == nil && (d < 0 || d > 1e18):
				t.Errorf("%q is %d ns", s, d)
			}
		}
	})
}

func FuzzProbability(f *testing.F) {
	for _, s := range []string{"0", "1", "0.05", "5%", "100%", "-0.1", "1.1", "NaN", "inf", "1e-3", nines} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Probability("loss rate", s)
		var u *UsageError
		switch {
		case err != nil && (!errors.As(err, &u) || u.Problem == "" || u.Hint == "" || p != 0):
			t.Errorf("%q is %v, %v", s, p, err)
		case err == nil && !(p >= 0 && p <= 1):
			t.Errorf("%q is %v", s, p)
		}
	})
}
