package effects

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gomahi/packet"
)

// Corrupt flips bits of packets. A decision's lower 16 bits say how many, and all of it is the seed from which it is drawn
// which, so that it can be repeated.
type Corrupt struct {
	line
	decider Decider
	region  Region
	source  rand.PCG
	bits    []int
	seen    Observer
}

// A Region is what of a packet may be corrupted: all of it, or its payload only.
type Region struct{ PayloadOnly bool }

// begin is its first byte within p.
func (r Region) begin(p packet.Packet) int {
	if r.PayloadOnly {
		return p.Payload()
	}
	return 0
}

// bits is its length within p.
func (r Region) bits(p packet.Packet) int { return 8 * (int(p.Size) - r.begin(p)) }

// NewCorrupt makes a stage. The observer may be nil.
func NewCorrupt(d Decider, r Region, seen Observer) *Corrupt {
	return &Corrupt{decider: d, region: r, seen: seen}
}

// Push hands over a packet that arrived at now.
func (c *Corrupt) Push(now time.Duration, p packet.Packet) {
	p.Due = now
	if d := c.decider.Decide(now, p); d != 0 {
		p = p.Corrupt(c.choose(d, 8*c.region.begin(p), 8*int(p.Size)))
		count(c.seen, "corrupted")
	}
	c.add(p)
}

// choose draws which bits a decision flips, of those from first to end: all sets of so many are as likely (R. Floyd's
// algorithm, Communications of the ACM 30, 1987).
func (c *Corrupt) choose(decision uint64, first, end int) []int {
	c.source.Seed(decision, 0)
	random := rand.New(&c.source)
	n := end - first
	c.bits = c.bits[:0]
	for i := n - min(int(decision&0xffff), n); i < n; i++ {
		bit := first + random.IntN(i+1)
		if slices.Contains(c.bits, bit) {
			bit = first + i
		}
		c.bits = append(c.bits, bit)
	}
	return c.bits
}

// Flips decides how many bits of a packet are flipped.
type Flips struct {
	region Region
	random *rand.Rand
	rate   float64 // of packets of which one bit is flipped, or
	scale  float64 // makes of a logarithm the distance between errors: 1/log(1-ber)
}

// NewFlips flips one bit of each packet with the given probability.
func NewFlips(rate float64, r Region, random *rand.Rand) *Flips {
	return &Flips{region: r, random: random, rate: rate}
}

// NewBitErrors flips each bit with the given probability, below 1, so that of n bits k are with that of the binomial
// distribution.
func NewBitErrors(ber float64, r Region, random *rand.Rand) *Flips {
	if ber == 0 {
		return NewFlips(0, r, random)
	}
	return &Flips{region: r, random: random, scale: 1 / math.Log1p(-ber)}
}

// Decide draws.
func (f *Flips) Decide(_ time.Duration, p packet.Packet) uint64 {
	n, k := f.region.bits(p), uint64(0)
	if f.scale == 0 {
		if f.random.Float64() < f.rate && n > 0 {
			k = 1
		}
	} else { // the distances between errors have the geometric distribution
		for left := f.distance(); left <= float64(n) && k < 0xffff; left += f.distance() {
			k++
		}
	}
	if k == 0 {
		return 0
	}
	return f.random.Uint64()<<16 | k
}

func (f *Flips) distance() float64 { return 1 + math.Floor(math.Log(1-f.random.Float64())*f.scale) }
