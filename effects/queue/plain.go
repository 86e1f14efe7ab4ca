package queue

import (
	"math"
	"time"

	"gomahi/packet"
)

// common is what every kind of queue has: the packets, what it knows of its link, and its limits. By itself, it is an
// infinite queue or, with limits, droptail.
type common struct {
	Config
	ring
	limits
	ecn bool
}

// limits are a queue's in packets and bytes.
type limits struct{ maxPackets, maxBytes int }

func (l limits) hold(packets, bytes int) bool { return packets <= l.maxPackets && bytes <= l.maxBytes }

// mtu is the largest IP packet that the devices let through.
const mtu = 1500

// Limits are the most packets and bytes that a queue of a link may hold, as the arguments say.
func (s *Spec) Limits(c Config) (packets, bytes int) {
	l := s.limits(c)
	return l.maxPackets, l.maxBytes
}

// limits makes limits of the arguments; all that are given hold. A limit made of the link's rate never falls below one
// full packet, or a slow link would pass none.
func (s *Spec) limits(c Config) limits {
	carried := func(ms float64) float64 { return max(c.Rate/8*ms/1000, float64(mtu+c.Overhead)) }
	l := limits{math.MaxInt, math.MaxInt}
	if s.given[argPackets] {
		l.maxPackets = int(s.value[argPackets])
	}
	for _, bytes := range []float64{
		s.get(argBytes, math.Inf(1)),
		carried(s.get(argBdp, math.Inf(1)) * s.get(argRtt, 1)),
		carried(s.get(argMs, math.Inf(1))),
	} {
		if bytes < math.MaxInt/2 {
			l.maxBytes = min(l.maxBytes, int(bytes))
		}
	}
	return l
}

// New makes an empty queue.
func (s Spec) New(c Config) Sized {
	q := common{Config: c, limits: s.limits(c), ecn: s.given[argEcn]}
	switch s.kind {
	case "drophead":
		return &drophead{q}
	case "codel":
		return &codel{q, s.control(c)}
	case "pie":
		return s.pie(q)
	case "fq_codel":
		return s.fqCodel(c, q.limits)
	case "red":
		return s.red(q)
	}
	return &q
}

// Droptail is a queue that drops what comes when it is full.
type Droptail struct{ common }

// NewDroptail makes a queue of at most so many packets and bytes.
func NewDroptail(c Config, packets, bytes int) *Droptail {
	return &Droptail{common{Config: c, limits: limits{packets, bytes}}}
}

// Resize changes the limits. What is in the queue stays there.
func (l *limits) Resize(packets, bytes int) { *l = limits{packets, bytes} }

func (q *common) Len() int   { return q.n }
func (q *common) Bytes() int { return q.bytes }

// Push drops a packet that would exceed a limit.
func (q *common) Push(now time.Duration, p packet.Packet) {
	if !q.holds(p) {
		q.drop(now, p, "queue full")
		return
	}
	q.add(item{p, now, q.size(p)})
}

// Pop takes the oldest.
func (q *common) Pop(time.Duration) (packet.Packet, bool) {
	if q.n == 0 {
		return packet.Packet{}, false
	}
	return q.take().p, true
}

// holds says whether the queue has room for one more.
func (q *common) holds(p packet.Packet) bool { return q.hold(q.n+1, q.bytes+q.size(p)) }

func (c *Config) size(p packet.Packet) int { return int(p.Size) + c.Overhead }

// drop ends a packet's way.
func (c *Config) drop(now time.Duration, p packet.Packet, reason string) {
	if c.Seen != nil {
		c.Seen.Drop(now, p, reason)
	}
	p.Release()
}

// drophead makes room by dropping the oldest, which tells senders sooner.
type drophead struct{ common }

// Push adds the packet, then drops the oldest until the limits hold, or, where they have become less than the queue had, until
// it is no longer: the packet itself where it alone exceeds them.
func (q *drophead) Push(now time.Duration, p packet.Packet) {
	most := limits{max(q.maxPackets, q.n), max(q.maxBytes, q.bytes)}
	q.add(item{p, now, q.size(p)})
	for !most.hold(q.n, q.bytes) {
		q.drop(now, q.take().p, "queue full")
	}
}
