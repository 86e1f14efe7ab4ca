package queue

import (
	"time"

	"gomahi/packet"
)

// fqCodel is a queue for each of many flows, served in turn and each with CoDel's control, RFC 8290. What a flow has in
// its own queue counts as CoDel's backlog; Linux takes that of all.
type fqCodel struct {
	Config
	limits
	seed    uint64
	quantum int
	flows   []flow
	fresh   list // new_flows
	old     list // old_flows
	n       int
	bytes   int
}

type flow struct {
	ring
	control
	credits int
	next    *flow // in its list
	listed  bool
}

// fqBatch is the most packets that are dropped at once when the queue is full, RFC 8290 section 4.1.
const fqBatch = 64

func (s *Spec) fqCodel(c Config, l limits) *fqCodel {
	if !s.limited() {
		l.maxPackets = 10240 // RFC 8290 section 5.2.3
	}
	q := &fqCodel{
		Config:  c,
		limits:  l,
		seed:    c.Random.Uint64(),
		quantum: int(s.get(argQuantum, 1514)),
		flows:   make([]flow, int(s.get(argFlows, 1024))),
	}
	for i := range q.flows {
		q.flows[i].control = s.control(c)
	}
	return q
}

func (q *fqCodel) Len() int   { return q.n }
func (q *fqCodel) Bytes() int { return q.bytes }

// Push adds the packet to its flow's queue, RFC 8290 section 4.1. While there is too much, it drops half of the packets
// of the queue with the most bytes, from its head, and at most fqBatch of them at once.
func (q *fqCodel) Push(now time.Duration, p packet.Packet) {
	f := &q.flows[p.Flow(q.seed)%uint64(len(q.flows))]
	most := limits{max(q.maxPackets, q.n), max(q.maxBytes, q.bytes)} // no less than what is there
	size := q.size(p)
	f.add(item{p, now, size})
	q.n++
	q.bytes += size
	if !f.listed {
		f.listed = true
		f.credits = q.quantum
		q.fresh.add(f)
	}
	for !most.hold(q.n, q.bytes) {
		fat := q.fattest()
		for range min(max(1, fat.n/2), fqBatch) {
			i := fat.ring.take()
			q.n--
			q.bytes -= i.size
			q.drop(now, i.p, "queue full")
		}
	}
}

// fattest is the flow with the most bytes; every flow with packets is in a list.
func (q *fqCodel) fattest() *flow {
	var fat *flow
	for _, l := range [...]list{q.fresh, q.old} {
		for f := l.first; f != nil; f = f.next {
			if fat == nil || f.bytes > fat.bytes {
				fat = f
			}
		}
	}
	return fat
}

// Pop takes the next packet of the flow whose turn it is, RFC 8290 section 4.2.
func (q *fqCodel) Pop(now time.Duration) (packet.Packet, bool) {
	for {
		from := &q.fresh
		if from.first == nil {
			from = &q.old
		}
		f := from.first
		if f == nil {
			return packet.Packet{}, false
		}
		if f.credits <= 0 {
			f.credits += q.quantum
			from.take()
			q.old.add(f)
			continue
		}
		n, bytes := f.n, f.bytes
		p, ok := f.pop(&f.ring, now, &q.Config, "fq_codel")
		q.n -= n - f.n
		q.bytes -= bytes - f.bytes
		if ok {
			f.credits -= q.size(p)
			return p, true
		}
		// A queue that was new is old before it goes, or it could be new again at once and starve the old ones.
		from.take()
		if from == &q.fresh {
			q.old.add(f)
		} else {
			f.listed = false
		}
	}
}

// list is a first-in first-out row of flows.
type list struct{ first, last *flow }

func (l *list) add(f *flow) {
	if l.first == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
}

func (l *list) take() {
	f := l.first
	l.first, f.next = f.next, nil
}
