package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// Loss drops the packets on which a Decider decides anything but 0.
type Loss struct {
	line
	decider Decider
	reason  string
	seen    Observer
}

// NewLoss makes a stage that drops each packet with the same probability, from 0 to 1, independently of all others. Each
// takes one draw from random. The observer may be nil.
func NewLoss(rate float64, random *rand.Rand, seen Observer) *Loss {
	return NewDecidedLoss(NewChance(rate, 0, random), randomLoss, seen)
}

// NewDecidedLoss makes a stage that drops what the decider says, for the given reason. The observer may be nil.
func NewDecidedLoss(d Decider, reason string, seen Observer) *Loss {
	return &Loss{decider: d, reason: reason, seen: seen}
}

// Push hands over a packet that arrived at now.
func (l *Loss) Push(now time.Duration, p packet.Packet) {
	if l.decider.Decide(now, p) != 0 {
		drop(l.seen, now, p, l.reason)
		return
	}
	p.Due = now
	l.add(p)
}

// Set changes how many are lost, if that is for the Decider to choose.
func (l *Loss) Set(_ time.Duration, s scenario.State) { set(l.decider, s) }
