package queue

import (
	"math"
	"time"

	"gomahi/packet"
)

// red is Adaptive RED: RED (Floyd and Jacobson 1993) in its gentle variant, on bytes, whose maxP follows the average as
// in "Adaptive RED" (Floyd, Gummadi, Shenker 2001), sections 4 and 5. With ECN it marks while the average is below max,
// and drops from there on (RFC 3168 section 7).
type red struct {
	common
	min, max float64 // of the average, in bytes
	weight   float64 // of a sample

	average float64       // as of the last arrival, in bytes
	emptied time.Duration // since when the queue has been empty, if it is
	count   int           // packets passed since the last drop, -1 while the average is below min
	maxP    float64       // probability of a drop at max
	next    time.Duration // change of maxP; they are due at multiples of redUpdate
}

const redUpdate = 500 * time.Millisecond

// red makes the thresholds of what tc-red(8) takes for them: max a quarter of the limit, min a third of max.
func (s *Spec) red(q common) *red {
	full := float64(mtu + q.Overhead)
	limit := min(float64(q.maxBytes), float64(q.maxPackets)*full)
	highest := s.get(argMaxBytes, 3*s.get(argMinBytes, limit/12))
	// The average follows within a second, whatever the link's rate: section 5.2 of the paper.
	rate := max(q.Rate/8/full, 1) // full packets a second
	return &red{
		common: q,
		min:    s.get(argMinBytes, highest/3),
		max:    highest,
		weight: 1 - math.Exp(-1/rate),
		count:  -1,
		maxP:   0.1,
		next:   redUpdate,
	}
}

// Push drops the packet, or marks it, at random.
func (q *red) Push(now time.Duration, p packet.Packet) {
	q.adapt(now)
	q.average = q.averageAt(now)
	if q.n > 0 {
		q.average += q.weight * (float64(q.bytes) - q.average)
	} else {
		q.emptied = now
	}
	if q.holds(p) && q.early() && !(q.ecn && q.average < q.max && p.MarkCE()) {
		q.drop(now, p, "red")
		return
	}
	q.common.Push(now, p)
}

// early decides at random, so that drops are spread evenly: it is the likelier the longer ago the last one.
func (q *red) early() bool {
	var p float64
	switch {
	case q.average < q.min:
		q.count = -1
		return false
	case q.average < q.max:
		p = q.maxP * (q.average - q.min) / (q.max - q.min)
	default:
		p = q.maxP + (1-q.maxP)*(q.average-q.max)/q.max
	}
	q.count++
	if left := 1 - float64(q.count)*p; p < left && q.Random.Float64() >= p/left {
		return false
	}
	q.count = 0
	return true
}

// Pop takes the oldest.
func (q *red) Pop(now time.Duration) (packet.Packet, bool) {
	q.adapt(now)
	p, ok := q.common.Pop(now)
	if ok && q.n == 0 {
		q.emptied = now
	}
	return p, ok
}

// averageAt is the average at now, before a packet that arrives then. An empty queue's falls as if full packets had
// passed it at the link's rate, which with our weight is by e each second.
func (q *red) averageAt(now time.Duration) float64 {
	if q.n > 0 {
		return q.average
	}
	return q.average * math.Exp(-(now - q.emptied).Seconds())
}

// adapt makes the changes of maxP that are due until now, section 5.1 of the paper: to keep the average in the middle
// fifth between min and max.
func (q *red) adapt(now time.Duration) {
	for ; q.next <= now; q.next += redUpdate {
		average, span := q.averageAt(q.next), q.max-q.min
		switch {
		case average > q.min+0.6*span && q.maxP <= 0.5:
			q.maxP += min(0.01, q.maxP/4)
		case average < q.min+0.4*span && q.maxP >= 0.01:
			q.maxP *= 0.9
		case q.n > 0 || average < q.min+0.4*span:
			q.next += (now - q.next) / redUpdate * redUpdate // no change is left until now
		}
	}
}
