package effects

import (
	"time"

	"gomahi/packet"
)

// Reorder delays all packets alike but those on which a Decider decides anything but 0: these leave at once, and so
// overtake the others, as Linux's netem does it (net/sched/sch_netem.c, netem_enqueue).
type Reorder struct {
	ahead, behind line
	by            time.Duration
	decider       Decider
	seen          Observer
}

// NewReorder makes a stage with the given delay. The observer may be nil.
func NewReorder(d Decider, by time.Duration, seen Observer) *Reorder {
	return &Reorder{decider: d, by: by, seen: seen}
}

// Push hands over a packet that arrived at now.
func (r *Reorder) Push(now time.Duration, p packet.Packet) {
	if r.decider.Decide(now, p) != 0 {
		p.Due = now
		r.ahead.add(p)
		count(r.seen, "sent ahead")
		return
	}
	p.Due = now + r.by
	r.behind.add(p)
}

// first is the line whose packet is next; of two at the same time, the one sent ahead.
func (r *Reorder) first() *line {
	ahead, any := r.ahead.Next()
	if behind, ok := r.behind.Next(); ok && (!any || behind < ahead) {
		return &r.behind
	}
	return &r.ahead
}

// Pop returns the next packet whose time has come.
func (r *Reorder) Pop(now time.Duration) (packet.Packet, bool) { return r.first().Pop(now) }

// Next says when Pop will next have something.
func (r *Reorder) Next() (time.Duration, bool) { return r.first().Next() }

// Spaced asks a Decider only about packets that follow gap-1 others, since the last on which it did not decide 0.
type Spaced struct {
	decider    Decider
	gap, since int
}

// NewSpaced makes a Spaced with a gap of at least 1, which changes nothing.
func NewSpaced(d Decider, gap int) *Spaced { return &Spaced{decider: d, gap: gap} }

// Decide asks the Decider, or says 0.
func (s *Spaced) Decide(now time.Duration, p packet.Packet) uint64 {
	if s.since < s.gap-1 {
		s.since++
		return 0
	}
	d := s.decider.Decide(now, p)
	if d != 0 {
		s.since = 0
	}
	return d
}
