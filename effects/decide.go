package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// A Decider says what happens to each packet: 0 is nothing, and what other numbers mean is up to the stage that asks. It
// is asked once for each packet, in the order of arrival.
type Decider interface {
	Decide(now time.Duration, p packet.Packet) uint64
}

// Chance decides 1 at a given rate, and else 0.
type Chance struct {
	random *rand.Rand
	next   float64    // the probability of 1 for the next packet
	after  [2]float64 // the same after a 0 and after a 1
}

// NewChance makes a Chance of a rate from 0 to 1, and of a correlation from 0 to less than 1 between the decisions on one
// packet and the next: a Markov chain of two states whose mean is the rate. Each packet takes one draw from random.
func NewChance(rate, correlation float64, random *rand.Rand) *Chance {
	c := correlation
	return &Chance{random: random, next: rate, after: [2]float64{rate * (1 - c), rate + c*(1-rate)}}
}

// Decide draws.
func (c *Chance) Decide(time.Duration, packet.Packet) (decision uint64) {
	if c.random.Float64() < c.next {
		decision = 1
	}
	c.next = c.after[decision]
	return decision
}

// Set makes the loss of a state the rate, of decisions that are not correlated.
func (c *Chance) Set(s scenario.State) { c.next, c.after = s.Loss, [2]float64{s.Loss, s.Loss} }

// set is Set of a Decider that has it.
func set(d Decider, s scenario.State) {
	if d, ok := d.(interface{ Set(scenario.State) }); ok {
		d.Set(s)
	}
}

// A DecisionLog is told of decisions. It is called on the packet path, and must not keep p.
type DecisionLog interface {
	Decided(now time.Duration, p packet.Packet, decision uint64)
}

// Logged tells a log what a Decider decides.
type Logged struct {
	Decider
	Log DecisionLog
}

// Decide asks the Decider.
func (l Logged) Decide(now time.Duration, p packet.Packet) uint64 {
	d := l.Decider.Decide(now, p)
	l.Log.Decided(now, p, d)
	return d
}

// Set is the Decider's.
func (l Logged) Set(s scenario.State) { set(l.Decider, s) }

// Duplicated is what a Counter hears of a packet that leaves twice.
const Duplicated = "duplicated"

// A Counter is an Observer that also hears what befalls packets that go on: Duplicated, "corrupted", "sent ahead".
type Counter interface {
	Count(what string)
}

func count(o Observer, what string) {
	if c, ok := o.(Counter); ok {
		c.Count(what)
	}
}
