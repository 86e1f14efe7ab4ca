package queue

import (
	"math"
	"slices"
	"time"

	"gomahi/packet"
)

// The references are the pseudocode of the RFCs and papers, transcribed without regard to cost: rows are slices, and
// what is periodic is done once a period. They have no limits but fq_codel's; TestLimits holds those to account.

type row struct {
	items []item
	bytes int
}

func (r *row) Len() int   { return len(r.items) }
func (r *row) Bytes() int { return r.bytes }

func (r *row) add(i item) {
	r.items = append(r.items, i)
	r.bytes += i.size
}

func (r *row) take() (i item) {
	if len(r.items) > 0 {
		i, r.items = r.items[0], r.items[1:]
		r.bytes -= i.size
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
	q.add(item{p, now, q.size(p)})
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
		fat := slices.MaxFunc(slices.Concat(q.newQueues, q.oldQueues), func(a, b *refFlow) int { return a.bytes - b.bytes })
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
	for _, f := range slices.Concat(q.newQueues, q.oldQueues) {
		n += f.Len()
	}
	return n
}

func (q *refFQ) Bytes() (n int) {
	for _, f := range slices.Concat(q.newQueues, q.oldQueues) {
		n += f.Bytes()
	}
	return n
}
