package cli

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var decimal = regexp.MustCompile(`^((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)([a-zµμ%]*)$`)

// longest is the most that a duration may be: 30 years.
const longest = 1e9 * float64(time.Second)

var units = map[string]time.Duration{"ns": 1, "us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond,
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour}

// Duration parses a duration that is not negative: a decimal number with a unit, or without one in bare. What says what
// the duration is, in errors.
func Duration(what, s string, bare time.Duration) (time.Duration, error) {
	hint := "give a number of " + map[time.Duration]string{time.Millisecond: "milliseconds", time.Second: "seconds"}[bare] +
		", or one with a unit: 20ms, 0.2s, 250us"
	if strings.HasPrefix(s, "-") {
		return 0, Usagef(hint, "%s %q is negative", what, s)
	}
	m := decimal.FindStringSubmatch(s)
	if m == nil {
		return 0, Usagef(hint, "%s %q is not a duration", what, s)
	}
	unit, ok := units[m[2]]
	if m[2] == "" {
		unit, ok = bare, true
	}
	if !ok {
		return 0, Usagef(hint, "%s %q has the unknown unit %q", what, s, m[2])
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	if v *= float64(unit); v > longest {
		return 0, Usagef("at most 30 years", "%s %q is too long", what, s)
	}
	return time.Duration(math.Round(v)), nil
}

// Probability parses a number from 0 to 1, or a percentage.
func Probability(what, s string) (float64, error) {
	const hint = "give a number from 0 to 1, or a percentage: 0.05, 5%"
	m := decimal.FindStringSubmatch(s)
	if m == nil || m[2] != "" && m[2] != "%" {
		if number.MatchString(s) {
			return 0, Usagef(hint, "%s %q is negative", what, s)
		}
		return 0, Usagef(hint, "%s %q is not a probability", what, s)
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	if m[2] == "%" {
		if w, err := strconv.ParseFloat(m[1]+"e-2", 64); err == nil {
			v = w // a division would make 0.7% something else than 0.007
		} else {
			v /= 100
		}
	}
	if v > 1 {
		return 0, Usagef(hint, "%s %q is more than 1", what, s)
	}
	return v, nil
}

// Directions says which of uplink and downlink an argument names.
func Directions(s string) (up, down bool, err error) {
	switch s {
	case "uplink":
		return true, false, nil
	case "downlink":
		return false, true, nil
	case "both":
		return true, true, nil
	}
	return false, false, Usagef("uplink is out of the container, downlink into it, or both", "%q is not a direction", s)
}
