package trace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	// rateForm is a decimal number and a unit of letters.
	rateForm = regexp.MustCompile(`^([0-9]+\.?[0-9]*|\.[0-9]+)([A-Za-z]*(?:/s)?)$`)
	bitUnit  = regexp.MustCompile(`^([kKmMgG]?)(bps|bit|bit/s)$`)
)

const (
	rateHint = "give a number and a unit of bit, kbit, Mbit, Gbit or bps, kbps, Mbps, Gbps (k is 1000): 12Mbps, 720kbit"
	// fastest is in bit/s.
	fastest = 1e12
)

// LooksLikeRate says whether s is a number with letters after it, or a bare one: to be tried as a rate when there is no
// file of that name.
func LooksLikeRate(s string) bool { return rateForm.MatchString(s) }

// ParseRate parses a rate such as 12Mbps, 720kbit, 4.8Gbit or 96Mbit/s, above 0 and at most 1 Tbit/s, in bit/s. The case
// of k, M and G does not matter. That of b does: B would be bytes. Errors are ArgumentErrors.
func ParseRate(s string) (bitsPerSecond float64, err error) {
	m := rateForm.FindStringSubmatch(s)
	if m == nil {
		if _, err := strconv.ParseFloat(s, 64); err == nil && strings.HasPrefix(s, "-") ||
			strings.HasPrefix(s, "-") && LooksLikeRate(s[1:]) {
			return 0, argument(rateHint, "rate %q is negative", s)
		}
		return 0, argument(rateHint, "%q is not a rate", s)
	}
	if m[2] == "" {
		return 0, argument("is it a file? there is none of that name here; a rate needs a unit: "+s+"Mbps",
			"rate %q has no unit", s)
	}
	unit := bitUnit.FindStringSubmatch(m[2])
	if unit == nil {
		return 0, argument(rateHint, "rate %q has the unknown unit %q", s, m[2])
	}
	// An exponent in place of a product makes 0.7Mbps 700000 and not its neighbour.
	exponent := map[string]string{"": "e0", "k": "e3", "m": "e6", "g": "e9"}[strings.ToLower(unit[1])]
	rate, err := strconv.ParseFloat(m[1]+exponent, 64)
	switch {
	case err != nil || rate > fastest:
		return 0, argument("at most 1000Gbps", "rate %q is too high", s)
	case rate == 0:
		return 0, argument("give a rate above 0, such as 12Mbps", "rate %q is zero", s)
	}
	return rate, nil
}

func argument(hint, format string, a ...any) error {
	return &ArgumentError{fmt.Sprintf(format, a...), hint}
}
