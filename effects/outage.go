package effects

import (
	"math"
	"math/rand/v2"
	"time"

	"gomahi/packet"
)

// A Schedule says whether a link is on at a time, which never decreases between calls. A link starts on.
type Schedule interface {
	On(now time.Duration) bool
}

// Outage passes packets while the link is on and drops those that meet it off.
type Outage struct {
	line
	schedule Schedule
	seen     Observer
}

// NewOutage makes a stage that follows a schedule. The observer may be nil.
func NewOutage(schedule Schedule, seen Observer) *Outage {
	return &Outage{schedule: schedule, seen: seen}
}

// Push hands over a packet that arrived at now.
func (o *Outage) Push(now time.Duration, p packet.Packet) {
	if !o.schedule.On(now) {
		drop(o.seen, now, p, "link off")
		return
	}
	p.Due = now
	o.add(p)
}

// Fixed is on for one duration and off for another, in turn. Not both are 0.
type Fixed struct{ OnFor, OffFor time.Duration }

// On says whether the link is on at now.
func (s Fixed) On(now time.Duration) bool { return now%(s.OnFor+s.OffFor) < s.OnFor }

// Exponential is on and off for durations drawn from exponential distributions, in turn.
type Exponential struct {
	meanOn, meanOff time.Duration
	random          *rand.Rand
	on              bool
	until           time.Duration // the present state's end, not included
}

// MinMean is the shortest mean duration but 0 of an Exponential schedule: after an idle time every switch within it is
// drawn, and this bounds how many there are.
const MinMean = 100 * time.Microsecond

// NewExponential makes a schedule with the given means, each 0 or at least MinMean and not both 0. A mean of 0 means
// never in that state. Two with the same means and equal random sources make the same schedule.
func NewExponential(meanOn, meanOff time.Duration, random *rand.Rand) *Exponential {
	s := &Exponential{meanOn: meanOn, meanOff: meanOff, random: random, on: meanOn > 0}
	if meanOn > 0 && meanOff > 0 {
		s.until = s.draw(meanOn)
	} else {
		s.until = math.MaxInt64
	}
	return s
}

// On says whether the link is on at now.
func (s *Exponential) On(now time.Duration) bool {
	for now >= s.until {
		s.on = !s.on
		mean := s.meanOff
		if s.on {
			mean = s.meanOn
		}
		s.until += min(s.draw(mean), math.MaxInt64-s.until)
	}
	return s.on
}

// draw inverts the distribution function at a number from (0, 1].
func (s *Exponential) draw(mean time.Duration) time.Duration {
	d := -math.Log(1-s.random.Float64()) * float64(mean)
	if d >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(d)
}
