package queue

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Spec is a queue's kind and arguments, checked. The zero Spec is an infinite queue.
type Spec struct {
	kind  string
	given [arguments]bool
	value [arguments]float64
}

// The arguments, in the order in which String writes them: mahimahi's, which has bytes before packets.
const (
	argBytes = iota
	argPackets
	argBdp
	argRtt
	argMs
	argTarget
	argInterval
	argQdelayRef
	argMaxBurst
	argFlows
	argQuantum
	argMinBytes
	argMaxBytes
	argEcn
	arguments
)

// An argument is what may be given to some kinds of queue.
type argument struct {
	name     string
	kinds    string // that take it
	unit     string
	whole    bool
	min, max float64
	example  string
}

const (
	limited = "droptail drophead codel pie fq_codel red"
	milli   = "milliseconds"
	usec    = 0.001 // ms, the shortest time that is worth giving
	hour    = 3.6e6 // ms
)

var table = [arguments]argument{
	argPackets:   {"packets", limited, "packets", true, 1, 1e9, "100"},
	argBytes:     {"bytes", limited, "bytes", true, 1, 1e12, "60000"},
	argBdp:       {"bdp", limited, "bandwidth-delay products", false, 0.001, 1e6, "1.5"},
	argRtt:       {"rtt", limited, milli, false, usec, hour, "40"},
	argMs:        {"ms", limited, milli, false, usec, hour, "100"},
	argTarget:    {"target", "codel fq_codel", milli, false, usec, hour, "5"},
	argInterval:  {"interval", "codel fq_codel", milli, false, usec, hour, "100"},
	argQdelayRef: {"qdelay_ref", "pie", milli, false, usec, hour, "15"},
	argMaxBurst:  {"max_burst", "pie", milli, false, 0, hour, "150"},
	argFlows:     {"flows", "fq_codel", "queues", true, 1, 65536, "1024"},
	argQuantum:   {"quantum", "fq_codel", "bytes", true, 256, 1e6, "1514"}, // 256 is Linux's least as well
	argMinBytes:  {"min_bytes", "red", "bytes", true, 1, 1e12, "15000"},
	argMaxBytes:  {"max_bytes", "red", "bytes", true, 1, 1e12, "45000"},
	argEcn:       {"ecn", "codel pie fq_codel red", "", true, 1, 1, "1"},
}

// Draws says whether such a queue draws random numbers.
func (s Spec) Draws() bool { return s.kind == "pie" || s.kind == "fq_codel" || s.kind == "red" }

// Kinds lists the kinds of queue.
func Kinds() []string {
	return []string{"infinite", "droptail", "drophead", "codel", "pie", "fq_codel", "red"}
}

// Parse checks a queue's kind ("" is "infinite") and its arguments as mahimahi writes them, "packets=100, bytes=60000".
// Errors say what is wrong, then "\nhint: " and what would be right.
func Parse(kind, args string) (Spec, error) {
	if kind == "" {
		kind = "infinite"
	}
	if !slices.Contains(Kinds(), kind) {
		return Spec{}, fmt.Errorf("unknown queue %q\nhint: the queues are %s", kind, strings.Join(Kinds(), ", "))
	}
	s := Spec{kind: kind}
	for _, word := range strings.FieldsFunc(args, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if err := s.parse(word); err != nil {
			return Spec{}, err
		}
	}
	if err := s.check(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// parse takes in one argument, "packets=100".
func (s *Spec) parse(word string) error {
	name, number, valued := strings.Cut(word, "=")
	i := slices.IndexFunc(table[:], func(a argument) bool { return a.name == name })
	switch {
	case s.kind == "infinite":
		return fmt.Errorf("an infinite queue takes no arguments, and %q is one\nhint: leave it out, or name a queue that "+
			"has a limit: %s", word, strings.ReplaceAll(limited, " ", ", "))
	case i < 0:
		return fmt.Errorf("unknown queue argument %q\nhint: %s takes %s", word, s.kind, s.takes())
	case !fits(table[i], s.kind):
		return fmt.Errorf("queue argument %q does not fit %s\nhint: %s takes %s", word, s.kind, s.kind, s.takes())
	case s.given[i]:
		return fmt.Errorf("queue argument %q is given twice\nhint: give each argument once", name)
	}
	a := table[i]
	hint := fmt.Sprintf("give %s, as in %s=%s", a.bounds(), a.name, a.example)
	if i == argEcn {
		hint = "write ecn, or ecn=1; without it packets are dropped"
		if !valued {
			number, valued = "1", true
		}
	}
	if !valued {
		return fmt.Errorf("queue argument %q has no value\nhint: %s", word, hint)
	}
	v, problem := parseNumber(number, a.whole)
	switch {
	case problem != "":
	case v == 0 && a.min > 0:
		problem = "is zero"
	case v < a.min:
		problem = "is too small"
	case v > a.max:
		problem = "is too large"
	}
	if problem != "" {
		return fmt.Errorf("queue argument %q %s\nhint: %s", word, problem, hint)
	}
	s.given[i], s.value[i] = true, v
	return nil
}

// parseNumber reads a number in digits, with a fraction unless it has to be whole, and says what is wrong with it.
func parseNumber(s string, whole bool) (float64, string) {
	digits, negative := strings.CutPrefix(s, "-")
	v, err := strconv.ParseFloat(digits, 64)
	switch {
	case strings.Trim(digits, "0123456789.") != "" || err != nil && !math.IsInf(v, 0):
		return 0, "is not a number"
	case negative:
		return 0, "is negative"
	case whole && strings.Contains(s, "."):
		return 0, "is not a whole number"
	}
	return v, ""
}

// check refuses arguments that do not go together.
func (s *Spec) check() error {
	has := func(i int) bool { return s.given[i] }
	const limits = "give a limit: packets=100, bytes=60000, ms=100 (what the link carries in that time), or " +
		"bdp=1 with rtt=40"
	switch {
	case has(argBdp) && !has(argRtt):
		return fmt.Errorf("queue argument bdp lacks the round-trip time\nhint: give it in %s: bdp=%s, rtt=40", milli,
			format(s.value[argBdp]))
	case has(argRtt) && !has(argBdp):
		return fmt.Errorf("queue argument rtt means nothing without bdp\nhint: give both: bdp=1, rtt=%s",
			format(s.value[argRtt]))
	case fits(table[argPackets], s.kind) && s.kind != "fq_codel" && !s.limited():
		return fmt.Errorf("queue %s lacks a limit\nhint: %s", s.kind, limits)
	case has(argMinBytes) && has(argMaxBytes) && s.value[argMinBytes] >= s.value[argMaxBytes]:
		return fmt.Errorf("queue argument min_bytes is not below max_bytes\nhint: max_bytes is best three times min_bytes")
	}
	return nil
}

// limited says whether a limit is given.
func (s *Spec) limited() bool {
	return s.given[argPackets] || s.given[argBytes] || s.given[argBdp] || s.given[argMs]
}

// String is the queue as the header of mahimahi's log has it: "infinite", "droptail [packets=100]".
func (s Spec) String() string {
	var words []string
	for i, a := range table {
		switch {
		case !s.given[i]:
		case i == argEcn:
			words = append(words, a.name)
		default:
			words = append(words, a.name+"="+format(s.value[i]))
		}
	}
	kind := s.kind
	if kind == "" {
		kind = "infinite"
	}
	if len(words) == 0 {
		return kind
	}
	return kind + " [" + strings.Join(words, ", ") + "]"
}

// takes lists the arguments that the kind takes.
func (s *Spec) takes() string {
	var names []string
	for i, a := range table {
		switch {
		case !fits(a, s.kind) || i == argRtt:
		case i == argBdp:
			names = append(names, "bdp with rtt")
		default:
			names = append(names, a.name)
		}
	}
	return strings.Join(names, ", ")
}

// bounds says which numbers are right.
func (a *argument) bounds() string {
	what := "a number"
	if a.whole {
		what = "a whole number"
	}
	return fmt.Sprintf("%s of %s from %s to %s", what, a.unit, format(a.min), format(a.max))
}

func fits(a argument, kind string) bool { return slices.Contains(strings.Fields(a.kinds), kind) }

func format(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// get is an argument's value, or what it is when not given.
func (s *Spec) get(i int, unset float64) float64 {
	if s.given[i] {
		return s.value[i]
	}
	return unset
}

// time is the same for an argument in milliseconds.
func (s *Spec) time(i int, unset float64) time.Duration {
	return time.Duration(math.Round(s.get(i, unset) * 1e6))
}
