package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/packet"
)

// Loss drops each packet with the same probability, independently of all others.
type Loss struct {
	line
	rate   float64
	random *rand.Rand
	seen   Observer
}

// NewLoss makes a stage that drops packets at rate, from 0 to 1. Each packet takes one draw from random. The observer
// may be nil.
func NewLoss(rate float64, random *rand.Rand, seen Observer) *Loss {
	return &Loss{rate: rate, random: random, seen: seen}
}

// Push hands over a packet that arrived at now.
func (l *Loss) Push(now time.Duration, p packet.Packet) {
	if l.random.Float64() < l.rate {
		drop(l.seen, now, p, "random loss")
		return
	}
	p.Due = now
	l.add(p)
}
