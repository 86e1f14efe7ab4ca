package trace

import (
	"fmt"
	"math"
	"time"
)

// Cut is what lies between two times, which become 0 and, where an opportunity is then, the period: an opportunity at
// from belongs to what is before, but for one at 0.
func (s *Schedule) Cut(from, to time.Duration) (*Schedule, error) {
	if from >= to {
		return nil, argument("gm-trace cut 10s 20s keeps the ten seconds between",
			"the cut from %v to %v keeps nothing", from, to)
	}
	if to > s.Period() {
		return nil, argument("gm-trace repeat makes it longer", "%v is after the trace's end at %v", to, s.Period())
	}
	out := &Schedule{}
	for i := range s.n {
		if t := s.At(i); t > from && t <= to || t == 0 && from == 0 {
			out.add(t - from)
		}
	}
	if out.n == 0 || out.Period() == 0 {
		return nil, fmt.Errorf("there is no opportunity from %v to %v\nhint: gm-trace info says the longest outage", from, to)
	}
	return out.done(), nil
}

// Scale multiplies the rate. The times stay those that the trace has: a factor of 2 makes two opportunities of each, a
// half leaves out every other one, the remainder being carried.
func (s *Schedule) Scale(factor float64) (*Schedule, error) {
	if !(factor > 0) || math.IsInf(factor, 0) {
		return nil, argument("give a number above 0: 0.5, 2", "the factor %v is not above 0", factor)
	}
	n := math.Round(float64(s.n) * factor)
	switch {
	case n > most:
		return nil, errTooMany
	case n < 1:
		return nil, fmt.Errorf("nothing is left of %d opportunities\nhint: give a larger factor, or gm-trace repeat it before",
			s.n)
	}
	out := &Schedule{}
	for i := range s.n {
		for float64(out.n+1) <= float64(i+1)*factor*(1+1e-12) && out.n < int(n) {
			out.add(s.At(i))
		}
	}
	if out.n < int(n) {
		out.add(s.Period())
	} else {
		out.set(out.n-1, s.Period())
	}
	return out.done(), nil
}

// Repeat is the schedule n times in a row.
func (s *Schedule) Repeat(n int) (*Schedule, error) {
	if n < 1 {
		return nil, argument("give a whole number from 1", "%d times is never", n)
	}
	if s.n > most/n {
		return nil, errTooMany
	}
	all := make([]*Schedule, n)
	for i := range all {
		all[i] = s
	}
	return Join(all...)
}

// Join is one schedule after another, at least one.
func Join(all ...*Schedule) (*Schedule, error) {
	out := &Schedule{}
	var start time.Duration
	for _, s := range all {
		if out.n+s.n > most {
			return nil, errTooMany
		}
		if start+s.Period() > longest {
			return nil, errTooLong
		}
		for i := range s.n {
			out.add(start + s.At(i))
		}
		start += s.Period()
	}
	return out.done(), nil
}

// Whole rounds up to whole milliseconds. A schedule of less than two seconds is repeated until that keeps its mean
// rate.
func (s *Schedule) Whole() (*Schedule, error) {
	if s.whole() {
		return s, nil
	}
	period, n := s.Period(), 1
	for ; ; n++ {
		exact := period * time.Duration(n)
		if float64(upTo(exact, false)-exact) <= within*float64(exact) {
			break
		}
		if s.n*(n+1) > most {
			return nil, errTooMany
		}
	}
	out := &Schedule{}
	for i := range n {
		for j := range s.n {
			out.add(upTo(period*time.Duration(i)+s.At(j), false))
		}
	}
	return out.done(), nil
}
