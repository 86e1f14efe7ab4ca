package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/packet"
)

// Gilbert are the probabilities of the model of Gilbert and Elliott, with the letters of Hasslinger and Hohlfeld, "The
// Gilbert-Elliott Model for Packet Loss in Real Time Services on the Internet" (MMB 2008): a packet meets the link in a
// good or a bad state, in which it survives with probability K or H; then the state changes with probability P from good
// to bad, or R from bad to good.
type Gilbert struct{ P, R, H, K float64 }

// SimpleGilbert is the model in which the bad state loses everything and the good one nothing, with a mean loss below 1
// and mean length of bursts, in packets, of at least 1. P is above 1 where bursts that short cannot lose so much.
func SimpleGilbert(loss, burst float64) Gilbert {
	return Gilbert{P: loss / (1 - loss) / burst, R: 1 / burst, K: 1}
}

// Bad is the share of packets that meet the bad state. P and R are not both 0.
func (g Gilbert) Bad() float64 { return g.P / (g.P + g.R) }

// Loss is the mean loss.
func (g Gilbert) Loss() float64 { return g.Bad()*(1-g.H) + (1-g.Bad())*(1-g.K) }

// Burst decides 1, to lose the packet, as a Gilbert model says.
type Burst struct {
	Gilbert
	random *rand.Rand
	bad    bool
}

// NewBurst makes a Burst, whose first state is drawn as a state at any time would be. Each packet takes two draws.
func NewBurst(g Gilbert, random *rand.Rand) *Burst {
	return &Burst{Gilbert: g, random: random, bad: random.Float64() < g.Bad()}
}

// Decide draws.
func (b *Burst) Decide(time.Duration, packet.Packet) (decision uint64) {
	survive, change := b.K, b.P
	if b.bad {
		survive, change = b.H, b.R
	}
	if b.random.Float64() >= survive {
		decision = 1
	}
	if b.random.Float64() < change {
		b.bad = !b.bad
	}
	return decision
}
