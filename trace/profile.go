package trace

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
)

// A step is a rate, in bit/s, that holds for a time above 0.
type step struct {
	hold time.Duration
	rate float64
}

// A profile is a link's rate over time. It repeats, as a schedule does.
type profile []step

func (p profile) length() (t time.Duration) {
	for _, s := range p {
		t += s.hold
	}
	return t
}

func (p profile) bits() (b float64) {
	for _, s := range p {
		b += s.bits()
	}
	return b
}

func (s step) bits() float64 { return s.rate * s.hold.Seconds() }

// within is how far a mean rate may be off: a tenth of a percent, half of it for rounding to milliseconds.
const within = 0.0005

// nearlyOne of a bit makes up for the rounding of sums: without it, a packet's last bit would come a millisecond late.
const nearlyOne = 1e-6

// schedule has an opportunity whenever another packet's bits have come together, at a whole millisecond unless fine. The
// last stands at the profile's end, since a schedule has no other, and what is left over by then, less than a packet, is
// rounded. With only one rate it stands where its bits come together if this is nearer to that rate.
func (p profile) schedule(fine bool) (*Schedule, error) {
	length := p.length()
	total := p.bits()
	switch n := total / PacketBits; {
	case n > most:
		return nil, errTooMany
	case n < 0.5:
		return nil, errNoPacket
	case length > longest:
		return nil, errTooLong
	}
	s := &Schedule{}
	var start, last time.Duration
	credit := 0.0
	for _, step := range p {
		have := credit + step.bits()
		k := math.Floor((have + nearlyOne) / PacketBits)
		for i := 1.0; i <= k; i++ {
			after := (i*PacketBits - credit) / step.rate * float64(time.Second)
			last = max(last, start+min(step.hold, time.Duration(math.Round(max(0, after)))))
			s.add(upTo(last, fine))
		}
		credit = have - k*PacketBits
		start += step.hold
	}
	mean := total / length.Seconds()
	off := func(n int, at time.Duration) float64 {
		return math.Abs(float64(n)*PacketBits/at.Seconds()/mean - 1)
	}
	end := upTo(length, fine)
	switch {
	case s.n > 0 && last > 0 && p.constant() && off(s.n, s.Period()) <= min(off(s.n, end), off(s.n+1, end)):
	case s.n == 0 || off(s.n+1, end) < off(s.n, end):
		s.add(end)
	default:
		s.set(s.n-1, end)
	}
	return s.done(), nil
}

var (
	errNoPacket = errors.New("there is not one opportunity in all this time\nhint: give a higher rate or a longer time")
	errTooLong  = errors.New("it lasts longer than 30 years\nhint: are the times in another unit?")
)

// set is for those that make a schedule.
func (s *Schedule) set(i int, t time.Duration) { s.chunks[i/chunk][i%chunk] = t }

// upTo is the next whole millisecond, unless fine.
func upTo(t time.Duration, fine bool) time.Duration {
	if fine {
		return t
	}
	return (t + time.Millisecond - 1).Truncate(time.Millisecond)
}

// scheduleOf repeats the profile until a schedule has its mean rate, which few opportunities may miss.
func (p profile) scheduleOf(fine bool) (*Schedule, error) {
	bits, length := p.bits(), p.length()
	if length <= 0 || length > longest {
		return nil, errTooLong
	}
	if bits <= 0 {
		return nil, errNoPacket
	}
	for all := p; ; {
		s, err := all.schedule(fine)
		if err == nil && math.Abs(s.Mean()/(bits/length.Seconds())-1) <= within {
			return s, nil
		}
		if err != nil && !errors.Is(err, errNoPacket) || len(all) > mostRepeated || all.length() > longest/2 {
			return s, err
		}
		all = append(all[:len(all):len(all)], all...)
	}
}

// mostRepeated is how many steps are repeated: 32 MB of them.
const mostRepeated = 2_000_000

// profile counts the opportunities of each interval, its end included. An interval that does not divide the period is
// stretched or shrunk until it does, which keeps the mean rate: the format has no part of an interval.
func (s *Schedule) profile(interval time.Duration) (profile, error) {
	period := s.Period()
	n := max(1, (period+interval/2)/interval)
	if n > mostSteps {
		return nil, errTooFine
	}
	p := make(profile, n)
	counts := s.counts(int(n))
	width := period.Seconds() / float64(n)
	for i := range p {
		p[i] = step{interval, float64(counts[i]) * PacketBits / width}
		if p[i].rate > fastest {
			return nil, errTooFast
		}
	}
	return p, nil
}

var (
	errTooFine = errors.New("more than 10 million intervals\nhint: give a longer one with --interval")
	errTooFast = errors.New("in some interval the rate is above 1 Tbit/s\nhint: give a longer one with --interval")
)

// counts are the opportunities in each of n equal parts of the period, an opportunity on a border belonging to the part
// that it ends.
func (s *Schedule) counts(n int) []int {
	counts := make([]int, n)
	period := s.Period()
	part, end := 0, partEnd(period, 1, n)
	for _, c := range s.chunks {
		for _, t := range c {
			for t > end {
				part++
				end = partEnd(period, part+1, n)
			}
			counts[part]++
		}
	}
	return counts
}

// partEnd is i/n of the period, rounded down, without overflow: period is at most 1e18, n 5e7.
func partEnd(period time.Duration, i, n int) time.Duration {
	whole, rest := period/time.Duration(n), period%time.Duration(n)
	return whole*time.Duration(i) + rest*time.Duration(i)/time.Duration(n)
}

// every is the profile with steps of one length, each with the mean rate of what it covers.
func (p profile) every(interval time.Duration) (profile, error) {
	length := p.length()
	n := int64(max(1, (length+interval/2)/interval))
	if n > mostSteps {
		return nil, errTooFine
	}
	if p.equal() == interval {
		return p, nil
	}
	out := make(profile, n)
	stretch := float64(n) * interval.Seconds() / length.Seconds()
	k, used := 0, 0.0 // how much of step k is used up, in stretched seconds
	for i := range out {
		bits := 0.0
		for need := interval.Seconds(); need > 0 && k < len(p); {
			left := p[k].hold.Seconds()*stretch - used
			if left > need {
				bits += p[k].rate * need
				used += need
				break
			}
			bits += p[k].rate * max(0, left)
			need -= max(0, left)
			k, used = k+1, 0
		}
		out[i] = step{interval, tidy(bits / interval.Seconds())}
	}
	return out, nil
}

// tidy cuts off the digits of a sum that are not its own.
func tidy(rate float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(rate, 'g', 12, 64), 64)
	return r
}

// constant says whether there is only one rate.
func (p profile) constant() bool {
	return !slices.ContainsFunc(p, func(s step) bool { return s.rate != p[0].rate })
}

// equal is the length of all steps, or 0 if they differ.
func (p profile) equal() time.Duration {
	for _, s := range p {
		if s.hold != p[0].hold {
			return 0
		}
	}
	return p[0].hold
}
