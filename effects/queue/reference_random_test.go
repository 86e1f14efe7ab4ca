package queue

import (
	"math"
	"time"

	"gomahi/packet"
)

// refPIE is RFC 8033 section 4 with sections 5.1 and 5.5, in seconds.
type refPIE struct {
	row
	Config
	ecn             bool
	ref, maxBurst   float64
	prob, old, left float64
	updates         int // made
}

func (q *refPIE) update(now time.Duration) {
	const T = 0.015
	for ; time.Duration(q.updates+1)*15*time.Millisecond <= now; q.updates++ {
		delay := 0.0
		if q.Len() > 0 {
			delay = (time.Duration(q.updates+1)*15*time.Millisecond - q.items[0].at).Seconds()
		}
		p := 0.125*(delay-q.ref) + 1.25*(delay-q.old)
		for _, scale := range []struct{ below, by float64 }{
			{0.000001, 2048}, {0.00001, 512}, {0.0001, 128}, {0.001, 32}, {0.01, 8}, {0.1, 2}} {
			if q.prob < scale.below {
				p /= scale.by
				break
			}
		}
		if q.prob >= 0.1 && p > 0.02 {
			p = 0.02
		}
		q.prob += p
		if delay == 0 && q.old == 0 {
			q.prob *= 0.98
		}
		q.prob = math.Max(0, math.Min(1, q.prob))
		q.left = math.Max(0, q.left-T)
		if q.left < T/1000 {
			q.left = 0 // not a rounding error's allowance
		}
		if q.prob == 0 && delay < q.ref/2 && q.old < q.ref/2 {
			q.left = q.maxBurst
		}
		q.old = delay
	}
}

func (q *refPIE) Push(now time.Duration, p packet.Packet) {
	q.update(now)
	drop := false
	if q.left == 0 && !(q.old < q.ref/2 && q.prob < 0.2) && q.Bytes() > 2*(1500+q.Overhead) {
		drop = q.Random.Float64() < q.prob
	}
	if drop && q.ecn && q.prob < 0.1 && p.MarkCE() {
		drop = false
	}
	if drop {
		q.drop(now, p, "pie")
		return
	}
	q.add(item{p, now, q.size(p)})
}

func (q *refPIE) Pop(now time.Duration) (packet.Packet, bool) {
	q.update(now)
	p := q.take().p
	return p, p.Frame != nil
}

// refRED is figure 1 of "Random Early Detection" (1993) with "Adaptive RED" (2001), on bytes.
type refRED struct {
	row
	Config
	ecn            bool
	minth, maxth   float64
	avg, maxp, wq  float64
	count, changes int
	qTime          time.Duration // when it became empty
}

func (q *refRED) decayed(now time.Duration) float64 {
	if q.Len() > 0 {
		return q.avg
	}
	m := (now - q.qTime).Seconds() * q.Rate / 8 / float64(1500+q.Overhead) // packets that could have been sent
	return math.Pow(1-q.wq, m) * q.avg
}

func (q *refRED) adapt(now time.Duration) {
	for ; time.Duration(q.changes+1)*time.Second/2 <= now; q.changes++ {
		avg := q.decayed(time.Duration(q.changes+1) * time.Second / 2)
		if avg > q.minth+0.6*(q.maxth-q.minth) && q.maxp <= 0.5 {
			q.maxp += math.Min(0.01, q.maxp/4)
		} else if avg < q.minth+0.4*(q.maxth-q.minth) && q.maxp >= 0.01 {
			q.maxp *= 0.9
		}
	}
}

func (q *refRED) Push(now time.Duration, p packet.Packet) {
	q.adapt(now)
	if q.Len() > 0 {
		q.avg = (1-q.wq)*q.avg + q.wq*float64(q.Bytes())
	} else {
		q.avg = q.decayed(now)
		q.qTime = now
	}
	drop := false
	if q.avg < q.minth {
		q.count = -1
	} else {
		q.count++
		pb := q.maxp * (q.avg - q.minth) / (q.maxth - q.minth)
		if q.avg >= q.maxth {
			pb = q.maxp + (1-q.maxp)*(q.avg-q.maxth)/q.maxth
		}
		pa := 1.0
		if float64(q.count)*pb < 1 {
			pa = pb / (1 - float64(q.count)*pb)
		}
		if pa >= 1 || q.Random.Float64() < pa {
			drop, q.count = true, 0
		}
	}
	if drop && !(q.ecn && q.avg < q.maxth && p.MarkCE()) {
		q.drop(now, p, "red")
		return
	}
	q.add(item{p, now, q.size(p)})
}

func (q *refRED) Pop(now time.Duration) (packet.Packet, bool) {
	q.adapt(now)
	p := q.take().p
	if p.Frame != nil && q.Len() == 0 {
		q.qTime = now
	}
	return p, p.Frame != nil
}
