package queue

import (
	"math"
	"time"

	"gomahi/packet"
)

// codel is a queue with CoDel's control.
type codel struct {
	common
	control
}

// Pop drops what CoDel decides to, and takes the next.
func (q *codel) Pop(now time.Duration) (packet.Packet, bool) {
	return q.control.pop(&q.ring, now, &q.Config, "codel")
}

// control is CoDel's state for one row of packets, RFC 8289 section 5.
type control struct {
	target   time.Duration
	interval time.Duration
	mtu      int  // maxpacket_: a row of no more bytes than this is left alone
	ecn      bool // marks where it would drop

	firstAbove time.Duration // when the row will have been above target for an interval; 0 while it is below
	dropNext   time.Duration
	count      int // drops since dropping began
	lastCount  int // count when it last began
	dropping   bool
}

func (s *Spec) control(c Config) control {
	return control{
		target:   s.time(argTarget, 5),
		interval: s.time(argInterval, 100),
		mtu:      mtu + c.Overhead,
		ecn:      s.given[argEcn],
	}
}

// law is when the next drop follows one at t, RFC 8289 section 5.6.
func (c *control) law(t time.Duration) time.Duration {
	return t + time.Duration(float64(c.interval)/math.Sqrt(float64(c.count)))
}

// take is dodequeue of RFC 8289 section 5.6: the oldest packet and whether it may be dropped.
func (c *control) take(r *ring, now time.Duration) (i item, ok, mayDrop bool) {
	if r.n == 0 {
		c.firstAbove = 0
		return item{}, false, false
	}
	i = r.take()
	switch {
	case now-i.at < c.target || r.bytes <= c.mtu:
		c.firstAbove = 0
	case c.firstAbove == 0:
		c.firstAbove = now + c.interval
	default:
		mayDrop = now >= c.firstAbove
	}
	return i, true, mayDrop
}

// pop is deque of RFC 8289 section 5.5. A marked packet counts as a dropped one, and leaves: section 3.3, and as Linux
// has it (include/net/codel_impl.h).
func (c *control) pop(r *ring, now time.Duration, link *Config, reason string) (packet.Packet, bool) {
	i, ok, mayDrop := c.take(r, now)
	switch {
	case c.dropping:
		if !mayDrop {
			c.dropping = false
		}
		for c.dropping && now >= c.dropNext {
			c.count++
			if c.ecn && i.p.MarkCE() {
				c.dropNext = c.law(c.dropNext)
				break
			}
			link.drop(now, i.p, reason)
			if i, ok, mayDrop = c.take(r, now); mayDrop {
				c.dropNext = c.law(c.dropNext)
			} else {
				c.dropping = false
			}
		}
	case mayDrop:
		if !c.ecn || !i.p.MarkCE() {
			link.drop(now, i.p, reason)
			i, ok, _ = c.take(r, now)
		}
		c.dropping = true
		// Back above target soon after it was below: the rate of drops that was right then is a start.
		delta := c.count - c.lastCount
		c.count = 1
		if delta > 1 && now-c.dropNext < 16*c.interval {
			c.count = delta
		}
		c.dropNext = c.law(now)
		c.lastCount = c.count
	}
	return i.p, ok
}
