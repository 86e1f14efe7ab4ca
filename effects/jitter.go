package effects

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// Jitter delays each packet by as many nanoseconds as a Decider decides.
type Jitter struct {
	row
	decider Decider
	keep    bool
	last    time.Duration
}

// row is the second half of a stage.
type row interface {
	add(p packet.Packet)
	Pop(now time.Duration) (packet.Packet, bool)
	Next() (time.Duration, bool)
}

// NewJitter makes a stage that keeps the packets' order, so that one may have to wait for the one before, or does not.
func NewJitter(d Decider, keep bool) *Jitter {
	j := &Jitter{decider: d, keep: keep, row: new(heap)}
	if keep {
		j.row = new(line)
	}
	return j
}

// Push hands over a packet that arrived at now.
func (j *Jitter) Push(now time.Duration, p packet.Packet) {
	p.Due = now + time.Duration(min(j.decider.Decide(now, p), longest))
	if j.keep {
		p.Due = max(p.Due, j.last)
		j.last = p.Due
	}
	j.add(p)
}

// Set changes what the delays are a multiple of, of a Spread.
func (j *Jitter) Set(_ time.Duration, s scenario.State) { set(j.decider, s) }

// longest is the most that a packet is delayed, in nanoseconds: 30 years.
const longest = 1e18

// Spread decides on delays: a duration times a number from a distribution.
type Spread struct {
	spread float64 // ns
	shape  Distribution
	random *rand.Rand
}

// NewSpread makes a Spread.
func NewSpread(spread time.Duration, shape Distribution, random *rand.Rand) *Spread {
	return &Spread{float64(spread), shape, random}
}

// Decide draws.
func (s *Spread) Decide(time.Duration, packet.Packet) uint64 {
	return uint64(min(math.Round(s.spread*s.shape(s.random)), longest))
}

// Set makes the jitter of a state the duration.
func (s *Spread) Set(to scenario.State) { s.spread = float64(to.Jitter) }

// A Distribution draws numbers that are not negative.
type Distribution func(*rand.Rand) float64

// Uniform draws from 0 to 1.
func Uniform(r *rand.Rand) float64 { return r.Float64() }

// Normal draws with mean 3 and standard deviation 1; what would be negative, one in 741, is 0.
func Normal(r *rand.Rand) float64 { return max(0, 3+r.NormFloat64()) }

// Pareto draws from the Pareto distribution with shape 3, moved and scaled as netem's table for it (iproute2,
// netem/pareto.c), which ends at 4, but beginning at 0 where that begins at -2/3.
func Pareto(r *rand.Rand) float64 { return min((1/math.Cbrt(1-r.Float64())-1)*4/3, 4+2.0/3) }

// Empirical draws one of the given numbers, each as likely.
func Empirical(numbers []float64) Distribution {
	return func(r *rand.Rand) float64 { return numbers[r.IntN(len(numbers))] }
}

// ParseNumbers reads the numbers of an empirical distribution, one a line and none negative. What follows a # means
// nothing. Errors name the line, and give a hint behind "\nhint: ".
func ParseNumbers(name string, r io.Reader) (numbers []float64, err error) {
	const hint = "give one number a line, 0 or more, such as a delay in milliseconds"
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= math.MaxFloat64) {
			return nil, fmt.Errorf("%s:%d: %q is not a number from 0 up\nhint: %s", name, n, text, hint)
		}
		numbers = append(numbers, v)
	}
	switch {
	case lines.Err() != nil:
		return nil, fmt.Errorf("reading %s: %w", name, lines.Err())
	case len(numbers) == 0:
		return nil, fmt.Errorf("%s: it has no numbers\nhint: %s", name, hint)
	}
	return numbers, nil
}
