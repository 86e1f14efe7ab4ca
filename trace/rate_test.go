package trace

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRate(t *testing.T) {
	for _, row := range []struct {
		name, arg string
		want      float64
	}{
		{"Mbps", "12Mbps", 12e6},
		{"kbit", "720kbit", 720e3},
		{"Gbit with decimals", "4.8Gbit", 4.8e9},
		{"Mbit/s", "96Mbit/s", 96e6},
		{"bit", "1bit", 1},
		{"bit/s", "9600bit/s", 9600},
		{"bps", "0.5bps", 0.5},
		{"kbps", "64kbps", 64e3},
		{"Kbps", "64Kbps", 64e3},
		{"Kbit", "64Kbit", 64e3},
		{"mbit", "2mbit", 2e6},
		{"gbps", "1gbps", 1e9},
		{"a point first", ".5Mbps", 5e5},
		{"a point last", "5.Mbps", 5e6},
		{"what a product would miss", "0.7Mbps", 7e5},
		{"another", "4.35Gbit", 4.35e9},
		{"the most", "1000Gbit", 1e12},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := ParseRate(row.arg); err != nil || got != row.want {
				t.Errorf("%q is %v, %v; want %v", row.arg, got, err, row.want)
			}
		})
	}
}

func TestParseRateErrors(t *testing.T) {
	const high = "at most 1000Gbps"
	for _, row := range []struct{ name, arg, problem, hint string }{
		{"a bare number", "12", `rate "12" has no unit`,
			"is it a file? there is none of that name here; a rate needs a unit: 12Mbps"},
		{"zero", "0Mbps", `rate "0Mbps" is zero`, "give a rate above 0, such as 12Mbps"},
		{"zero with decimals", "0.00kbit", `rate "0.00kbit" is zero`, "give a rate above 0, such as 12Mbps"},
		{"negative", "-5Mbps", `rate "-5Mbps" is negative`, rateHint},
		{"negative and bare", "-5", `rate "-5" is negative`, rateHint},
		{"not a number", "NaN", `"NaN" is not a rate`, rateHint},
		{"infinity", "Inf", `"Inf" is not a rate`, rateHint},
		{"infinity with a unit", "infMbps", `"infMbps" is not a rate`, rateHint},
		{"empty", "", `"" is not a rate`, rateHint},
		{"a word", "fast", `"fast" is not a rate`, rateHint},
		{"only a unit", "Mbps", `"Mbps" is not a rate`, rateHint},
		{"a space", "12 Mbps", `"12 Mbps" is not a rate`, rateHint},
		{"an exponent", "1e3Mbps", `"1e3Mbps" is not a rate`, rateHint},
		{"two points", "1.2.3Mbps", `"1.2.3Mbps" is not a rate`, rateHint},
		{"bytes", "12MBps", `rate "12MBps" has the unknown unit "MBps"`, rateHint},
		{"bytes per second", "12MB/s", `rate "12MB/s" has the unknown unit "MB/s"`, rateHint},
		{"per second twice", "12Mbps/s", `rate "12Mbps/s" has the unknown unit "Mbps/s"`, rateHint},
		{"no bits", "12M", `rate "12M" has the unknown unit "M"`, rateHint},
		{"tera", "1Tbit", `rate "1Tbit" has the unknown unit "Tbit"`, rateHint},
		{"too high", "1000.1Gbit", `rate "1000.1Gbit" is too high`, high},
		{"beyond all floats", strings.Repeat("9", 400) + "bps", `rate "` + strings.Repeat("9", 400) + `bps" is too high`, high},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseRate(row.arg)
			var a *ArgumentError
			if got != 0 || !errors.As(err, &a) {
				t.Fatalf("%v, %v", got, err)
			}
			if a.Problem != row.problem || a.Hint != row.hint {
				t.Errorf("got  %s\nhint %s\nwant %s\nhint %s", a.Problem, a.Hint, row.problem, row.hint)
			}
		})
	}
}

func TestLooksLikeRate(t *testing.T) {
	for arg, want := range map[string]bool{"12Mbps": true, "96Mbit/s": true, ".5Gbit": true, "12": true, "1.5": true,
		"12MB/s": true, "12parsec": true, "up.trace": false, "12-up": false, "3g.down": false, "./12Mbps": false, "": false,
		".": false, "-5Mbps": false, "12 Mbps": false, "Mbps": false, "/dev/fd/63": false, "1/s2": false} {
		if got := LooksLikeRate(arg); got != want {
			t.Errorf("%q: %v", arg, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"12Mbps", "12", "-5", "NaN", "1e3bit", "96Mbit/s", "0bps", ".5kbit"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		var a *ArgumentError
		switch {
		case err != nil && (!errors.As(err, &a) || r != 0):
			t.Errorf("%q is %v, %v", s, r, err)
		case err == nil && !(r > 0 && r <= fastest && LooksLikeRate(s)):
			t.Errorf("%q is %v", s, r)
		}
	})
}
