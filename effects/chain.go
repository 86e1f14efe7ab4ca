package effects

import (
	"slices"
	"time"

	"gomahi/packet"
)

// A Stage is one effect; see shell.Stage for the contract.
type Stage interface {
	Push(now time.Duration, p packet.Packet)
	Pop(now time.Duration) (packet.Packet, bool)
	Next() (time.Duration, bool)
}

// Chain is several effects, one after the other: what leaves one at its due time arrives at the next at that time,
// whenever that is noticed.
type Chain []Stage

// Push hands over a packet that arrived at now.
func (c Chain) Push(now time.Duration, p packet.Packet) {
	c.advance(now)
	c[0].Push(now, p)
}

func (c Chain) advance(now time.Duration) {
	for i := range len(c) - 1 {
		for p, ok := c[i].Pop(now); ok; p, ok = c[i].Pop(now) {
			c[i+1].Push(p.Due, p)
		}
	}
}

// Pop returns the next packet whose time has come.
func (c Chain) Pop(now time.Duration) (packet.Packet, bool) {
	c.advance(now)
	return c[len(c)-1].Pop(now)
}

// Next says when Pop may next have something.
func (c Chain) Next() (first time.Duration, any bool) {
	for _, s := range c {
		if at, ok := s.Next(); ok && (!any || at < first) {
			first, any = at, true
		}
	}
	return first, any
}

// Whole says whether all of the effects are.
func (c Chain) Whole() bool {
	return !slices.ContainsFunc(c, func(s Stage) bool { return !Whole(s) })
}

// Done says that one of the effects has ended for good; behind it something may still be under way.
func (c Chain) Done() bool {
	for _, s := range c {
		if d, ok := s.(interface{ Done() bool }); ok && d.Done() {
			return true
		}
	}
	return false
}
