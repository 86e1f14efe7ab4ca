package trace

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Options are what all kinds of made traces share.
type Options struct {
	Seed   uint64
	Length time.Duration // above 0
	Fine   bool          // times to the nanosecond, else whole milliseconds, rounded up
	Gaps   string        // "MEAN-ON,MEAN-OFF": outages on top, of exponentially distributed lengths; or ""
}

// A kind of trace.
type kind struct {
	name, usage, about string
	optional           int // how many arguments at the end may be left out
	make               func(m *maker) profile
}

var kinds = []kind{
	{"constant", "RATE", "one rate", 0, constant},
	{"square", "LOW HIGH PERIOD", "LOW for half of PERIOD, then HIGH", 0, square},
	{"sawtooth", "LOW HIGH PERIOD", "rises from LOW to HIGH in PERIOD, then drops", 0, sawtooth},
	{"sine", "LOW HIGH PERIOD", "from the middle up to HIGH, down to LOW and back in PERIOD", 0, sine},
	{"walk", "LOW HIGH STEP [EVERY]", "from the middle by up to STEP, a rate, up or down EVERY 100ms", 1, walk},
	{"handover", "LOW HIGH EVERY GAP", "EVERY time nothing for GAP, then a new rate from LOW to HIGH", 0, handover},
	{"onoff", "RATE MEAN-ON MEAN-OFF", "on and off for exponentially distributed times", 0, onoff},
}

// Kinds says what Make makes: "constant RATE", and what that is.
func Kinds() (usage, about []string) {
	for _, k := range kinds {
		usage, about = append(usage, k.name+" "+k.usage), append(about, k.about)
	}
	return usage, about
}

// Make makes a trace of a kind, which is the first argument; the others are the kind's. Equal arguments and options make
// equal traces.
func Make(args []string, o Options) (*Schedule, error) {
	if len(args) == 0 {
		return nil, argument(kindNames(), "the kind of trace is missing")
	}
	for _, k := range kinds {
		if k.name != args[0] {
			continue
		}
		if n := len(strings.Fields(k.usage)); len(args)-1 > n || len(args)-1 < n-k.optional {
			return nil, argument("usage: gm-trace make "+k.name+" "+k.usage,
				"%s does not take %d arguments", k.name, len(args)-1)
		}
		m := &maker{args: args[1:], length: o.Length, random: rand.New(rand.NewPCG(o.Seed, 0))}
		p := k.make(m)
		if o.Gaps != "" && m.err == nil {
			p = m.gaps(p, o.Gaps)
		}
		if m.err != nil {
			return nil, m.err
		}
		return p.schedule(o.Fine)
	}
	return nil, argument(kindNames(), "%q is no kind of trace", args[0])
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return "one of " + strings.Join(names, ", ")
}

// A maker reads a kind's arguments, and keeps the first error. Rates are rounded to bit/s, so that every machine makes
// the same trace: the last digit of a product or a sine is not the same on all.
type maker struct {
	args   []string
	length time.Duration
	random *rand.Rand
	err    error
}

func (m *maker) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// rate reads argument i.
func (m *maker) rate(i int) float64 {
	r, err := ParseRate(m.args[i])
	if err != nil {
		m.fail(err)
	}
	return r
}

// lowHigh reads the first two arguments, the first of which may be 0.
func (m *maker) lowHigh() (low, high float64) {
	if m.args[0] != "0" {
		low = m.rate(0)
	}
	high = m.rate(1)
	if low > high {
		m.fail(argument("first the low rate, then the high one", "%s is more than %s", m.args[0], m.args[1]))
	}
	return low, high
}

// duration reads argument i, which is above 0 and long enough to keep the number of steps within bounds.
func (m *maker) duration(i int) time.Duration {
	d, err := ParseDuration("time", m.args[i])
	switch {
	case err != nil:
		m.fail(err)
	case d < time.Millisecond:
		m.fail(argument("at least 1ms", "time %q is too short", m.args[i]))
	}
	return max(d, time.Millisecond)
}

// steps asks for a rate for each part of the length.
func (m *maker) steps(each time.Duration, rate func(start, hold time.Duration) float64) (p profile) {
	if m.err == nil && m.length/each > mostSteps {
		m.fail(argument("a trace repeats: give fewer --seconds", "more than %d changes of the rate", mostSteps))
	}
	for start := time.Duration(0); start < m.length && m.err == nil; start += each {
		hold := min(each, m.length-start)
		p = append(p, step{hold, math.Round(rate(start, hold))})
	}
	return p
}

const mostSteps = 10_000_000

func constant(m *maker) profile { return profile{{m.length, m.rate(0)}} }

func square(m *maker) profile {
	low, high := m.lowHigh()
	half := m.duration(2) / 2
	up := true
	return m.steps(half, func(time.Duration, time.Duration) float64 {
		if up = !up; up {
			return high
		}
		return low
	})
}

// smooth asks for a rate at a part, from 0 to 1, of the period that is argument 2: at each step's middle.
func (m *maker) smooth(rate func(part float64) float64) profile {
	period := m.duration(2)
	each := min(time.Millisecond, period/20)
	return m.steps(each, func(start, hold time.Duration) float64 {
		return rate(float64((start+hold/2)%period) / float64(period))
	})
}

func sawtooth(m *maker) profile {
	low, high := m.lowHigh()
	return m.smooth(func(part float64) float64 { return low + (high-low)*part })
}

func sine(m *maker) profile {
	low, high := m.lowHigh()
	return m.smooth(func(part float64) float64 { return (low+high)/2 + (high-low)/2*math.Sin(2*math.Pi*part) })
}

func walk(m *maker) profile {
	low, high := m.lowHigh()
	size, each := m.rate(2), 100*time.Millisecond
	if len(m.args) > 3 {
		each = m.duration(3)
	}
	at := (low + high) / 2
	return m.steps(each, func(start, _ time.Duration) float64 {
		if start > 0 {
			at += (2*m.random.Float64() - 1) * size
			if at > high {
				at = 2*high - at
			}
			if at < low {
				at = min(high, 2*low-at)
			}
			at = max(low, math.Round(at))
		}
		return at
	})
}

func handover(m *maker) (p profile) {
	low, high := m.lowHigh()
	each, gap := m.duration(2), m.duration(3)
	if gap >= each {
		m.fail(argument("the gap is a part of it", "a gap of %s leaves nothing of %s", m.args[3], m.args[2]))
	}
	for _, s := range m.steps(each, func(time.Duration, time.Duration) float64 {
		return low + (high-low)*m.random.Float64()
	}) {
		p = append(p, step{min(gap, s.hold), 0})
		if s.hold > gap {
			p = append(p, step{s.hold - gap, s.rate})
		}
	}
	return p
}

func onoff(m *maker) profile {
	p := profile{{m.length, m.rate(0)}}
	m.duration(1)
	m.duration(2)
	if m.err != nil {
		return nil
	}
	return m.gaps(p, m.args[1]+","+m.args[2])
}

// gaps sets the rate to 0 for exponentially distributed times. It begins on.
func (m *maker) gaps(p profile, means string) (out profile) {
	on, off, two := strings.Cut(means, ",")
	if !two {
		m.fail(argument("give two times: --gaps=5s,200ms", "%q is not a mean time on and one off", means))
		return nil
	}
	m.args = []string{on, off}
	mean := [2]time.Duration{m.duration(0), m.duration(1)}
	if m.length/((mean[0]+mean[1])/2) > mostSteps {
		m.fail(argument("a trace repeats: give fewer --seconds", "more than %d outages", mostSteps/2))
	}
	if m.err != nil {
		return nil
	}
	state := 0
	left := m.exponential(mean[state])
	for _, s := range p {
		for s.hold > 0 {
			for left == 0 {
				state = 1 - state
				left = m.exponential(mean[state])
			}
			d := min(left, s.hold)
			rate := s.rate
			if state == 1 {
				rate = 0
			}
			out = append(out, step{d, rate})
			left -= d
			s.hold -= d
		}
	}
	return out
}

// exponential is in whole microseconds, for the reason that rates are whole.
func (m *maker) exponential(mean time.Duration) time.Duration {
	d := -math.Log(1-m.random.Float64()) * float64(mean)
	return time.Duration(min(d, float64(longest))).Round(time.Microsecond)
}

// ParseDuration parses a time that is not negative: a decimal number with a unit (ns, us, ms, s, m, h), or a bare one of
// seconds. What says what it is, in errors, which are ArgumentErrors.
func ParseDuration(what, s string) (time.Duration, error) {
	const hint = "give a number of seconds, or one with a unit: 10, 0.5s, 200ms"
	text := s
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, argument(hint, "%s %q is not a duration", what, s)
	case d < 0:
		return 0, argument(hint, "%s %q is negative", what, s)
	case d > longest:
		return 0, argument("at most 30 years", "%s %q is too long", what, s)
	}
	return d, nil
}
