package queue

import (
	"math"
	"slices"
	"time"

	"gomahi/packet"
)

// The references are the pseudocode of the RFCs and papers, transcribed without regard to cost: rows are slices, and what
// is periodic is done once a period. They have no limits but fq_codel's; TestLimits holds those to account.

type row struct{ items []item }

func (r *row) Len() int { return len(r.items) }

func (r *row) Bytes() (n int) {
	for _, i := range r.items {
		n += i.size
	}
	return n
}

func (r *row) take() (i item) {
	if len(r.items) > 0 {
		i, r.items = r.items[0], r.items[1:]
	}
	return i
}

// refCoDel is RFC 8289 section 5, with Linux's marks.
type refCoDel struct {
	row
	Config
	reason           string
	ecn              bool
	target, interval time.Duration
	maxpacket        int

	firstAboveTime, dropNext time.Duration
	count, lastcount         int
	dropping                 bool
}

func (q *refCoDel) dodequeue(now time.Duration) (r item, okToDrop bool) {
	r = q.take()
	if r.p.Frame == nil {
		q.firstAboveTime = 0
		return r, false
	}
	sojournTime := now - r.at
	if sojournTime < q.target || q.row.Bytes() <= q.maxpacket {
		q.firstAboveTime = 0
	} else {
		if q.firstAboveTime == 0 {
			q.firstAboveTime = now + q.interval
		} else if now >= q.firstAboveTime {
			okToDrop = true
		}
	}
	return r, okToDrop
}

func (q *refCoDel) controlLaw(t time.Duration, count int) time.Duration {
	return t + time.Duration(float64(q.interval)/math.Sqrt(float64(count)))
}

func (q *refCoDel) Pop(now time.Duration) (packet.Packet, bool) {
	r, okToDrop := q.dodequeue(now)
	if q.dropping {
		if !okToDrop {
			q.dropping = false
		}
		for now >= q.dropNext && q.dropping {
			q.count++
			if q.ecn && r.p.MarkCE() {
				q.dropNext = q.controlLaw(q.dropNext, q.count)
				return r.p, true
			}
			q.drop(now, r.p, q.reason)
			r, okToDrop = q.dodequeue(now)
			if !okToDrop {
				q.dropping = false
			} else {
				q.dropNext = q.controlLaw(q.dropNext, q.count)
			}
		}
	} else if okToDrop {
		if !q.ecn || !r.p.MarkCE() {
			q.drop(now, r.p, q.reason)
			r, _ = q.dodequeue(now)
		}
		q.dropping = true
		delta := q.count - q.lastcount
		q.count = 1
		if delta > 1 && now-q.dropNext < 16*q.interval {
			q.count = delta
		}
		q.dropNext = q.controlLaw(now, q.count)
		q.lastcount = q.count
	}
	return r.p, r.p.Frame != nil
}

func (q *refCoDel) Push(now time.Duration, p packet.Packet) {
	q.items = append(q.items, item{p, now, q.size(p)})
}

// refFQ is RFC 8290 section 4.
type refFQ struct {
	Config
	seed                 uint64
	limit, quantum       int
	queues               []*refFlow
	newQueues, oldQueues []*refFlow
}

type refFlow struct {
	refCoDel
	credits int
}

func (q *refFQ) Push(now time.Duration, p packet.Packet) {
	f := q.queues[p.Flow(q.seed)%uint64(len(q.queues))]
	f.Push(now, p)
	if !slices.Contains(q.newQueues, f) && !slices.Contains(q.oldQueues, f) {
		f.credits = q.quantum
		q.newQueues = append(q.newQueues, f)
	}
	for q.Len() > q.limit {
		// Which of several largest queues is dropped from is not said: the one whose turn is next.
		fat := slices.MaxFunc(slices.Concat(q.newQueues, q.oldQueues), func(a, b *refFlow) int { return a.Bytes() - b.Bytes() })
		for n := min(64, max(1, fat.Len()/2)); n > 0; n-- {
			q.drop(now, fat.take().p, "queue full")
		}
	}
}

func (q *refFQ) Pop(now time.Duration) (packet.Packet, bool) {
	for len(q.newQueues)+len(q.oldQueues) > 0 {
		list, isNew := &q.oldQueues, false
		if len(q.newQueues) > 0 {
			list, isNew = &q.newQueues, true
		}
		f := (*list)[0]
		if f.credits <= 0 {
			f.credits += q.quantum
			*list = (*list)[1:]
			q.oldQueues = append(q.oldQueues, f)
			continue
		}
		if p, ok := f.Pop(now); ok {
			f.credits -= q.size(p)
			return p, true
		}
		*list = (*list)[1:]
		if isNew {
			q.oldQueues = append(q.oldQueues, f)
		}
	}
	return packet.Packet{}, false
}

func (q *refFQ) Len() (n int) {
	for _, f := range q.queues {
		n += f.Len()
	}
	return n
}

func (q *refFQ) Bytes() (n int) {
	for _, f := range q.queues {
		n += f.Bytes()
	}
	return n
}

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
	q.items = append(q.items, item{p, now, q.size(p)})
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
	q.items = append(q.items, item{p, now, q.size(p)})
}

func (q *refRED) Pop(now time.Duration) (packet.Packet, bool) {
	q.adapt(now)
	p := q.take().p
	if p.Frame != nil && q.Len() == 0 {
		q.qTime = now
	}
	return p, p.Frame != nil
}
