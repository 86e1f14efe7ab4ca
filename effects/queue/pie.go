package queue

import (
	"time"

	"gomahi/packet"
)

// pie is a queue with PIE's control, RFC 8033 section 4, with ECN (section 5.1) and the cap on a rise (section 5.5).
// Delay is measured by timestamps, which section 4.3 allows and which are exact where an estimate from the departure
// rate is not: it is the age of the oldest packet at the moment of the update, and so grows while the link stands still.
// mahimahi updates every 30 ms; this follows the RFC.
type pie struct {
	common
	ref      time.Duration // QDELAY_REF
	maxBurst time.Duration

	next  time.Duration // of the updates, which are due at multiples of pieUpdate
	prob  float64       // of a drop
	old   time.Duration // delay at the last update
	burst time.Duration // allowance left
}

const (
	pieUpdate = 15 * time.Millisecond
	pieAlpha  = 0.125 // Hz
	pieBeta   = 1.25  // Hz
	pieMark   = 0.1   // from this probability on, packets capable of ECN are dropped too
)

func (s *Spec) pie(q common) *pie {
	burst := s.time(argMaxBurst, 150)
	return &pie{common: q, ref: s.time(argQdelayRef, 15), maxBurst: burst, next: pieUpdate, burst: burst}
}

// Push drops the packet, or marks it, at random.
func (q *pie) Push(now time.Duration, p packet.Packet) {
	q.update(now)
	if q.holds(p) && q.early() && !(q.ecn && q.prob < pieMark && p.MarkCE()) {
		q.drop(now, p, "pie")
		return
	}
	q.common.Push(now, p)
}

// early decides at random, but never against a packet that meets next to no queue.
func (q *pie) early() bool {
	if q.burst > 0 || q.old < q.ref/2 && q.prob < 0.2 || q.bytes <= 2*(mtu+q.Overhead) {
		return false
	}
	return q.Random.Float64() < q.prob
}

// Pop takes the oldest.
func (q *pie) Pop(now time.Duration) (packet.Packet, bool) {
	q.update(now)
	return q.common.Pop(now)
}

// update makes the updates that are due until now. Nothing came or went since the last, so they are as if made in time.
func (q *pie) update(now time.Duration) {
	for ; q.next <= now; q.next += pieUpdate {
		delay := time.Duration(0)
		if q.n > 0 {
			delay = q.next - q.items[q.head].at
		}
		idle := q.n == 0 && q.prob == 0 && q.old == 0
		stuck := q.prob == 1 && q.burst == 0 && delay >= max(q.ref, q.old)
		if idle || stuck {
			// No further update until now changes more than the delay: do the last alone.
			skip := (now - q.next) / pieUpdate * pieUpdate
			q.next += skip
			if stuck {
				delay += skip
			}
		}
		q.step(delay)
	}
}

// step is one update, RFC 8033 sections 4.2 and 4.4.
func (q *pie) step(delay time.Duration) {
	p := pieAlpha*(delay-q.ref).Seconds() + pieBeta*(delay-q.old).Seconds()
	switch {
	case q.prob < 0.000001:
		p /= 2048
	case q.prob < 0.00001:
		p /= 512
	case q.prob < 0.0001:
		p /= 128
	case q.prob < 0.001:
		p /= 32
	case q.prob < 0.01:
		p /= 8
	case q.prob < 0.1:
		p /= 2
	default:
		p = min(p, 0.02)
	}
	q.prob += p
	if delay == 0 && q.old == 0 {
		q.prob *= 0.98
	}
	q.prob = min(max(q.prob, 0), 1)
	if q.prob == 0 && delay < q.ref/2 && q.old < q.ref/2 {
		q.burst = q.maxBurst
	} else {
		q.burst = max(0, q.burst-pieUpdate)
	}
	q.old = delay
}
