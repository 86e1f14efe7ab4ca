package effects

import (
	"sync/atomic"
	"time"

	"gomahi/packet"
)

// A Clock says when a scenario begins. Both directions of a path share one, each from its goroutine.
type Clock struct {
	starts func(packet.Packet) bool
	began  atomic.Int64 // ns, or never
}

// NewClock makes a clock that the first packet starts for which that is true; or at time 0, where starts is nil.
func NewClock(starts func(packet.Packet) bool) *Clock {
	c := &Clock{starts: starts}
	if starts != nil {
		c.began.Store(never)
	}
	return c
}

// Began says when the scenario began, if it has.
func (c *Clock) Began() (time.Duration, bool) {
	at := c.began.Load()
	return time.Duration(at), at != never
}

// Begin starts the clock if it stands.
func (c *Clock) Begin(now time.Duration) { c.began.CompareAndSwap(never, int64(now)) }

func (c *Clock) see(now time.Duration, p packet.Packet) {
	if _, ok := c.Began(); !ok && c.starts(p) {
		c.Begin(now)
	}
}

// AnyPacket starts a scenario.
func AnyPacket(packet.Packet) bool { return true }

// TransportPacket is one of TCP or UDP.
func TransportPacket(p packet.Packet) bool { return p.Transport() }

// LargePacket is one of TCP or UDP that makes an Ethernet frame of 1500 bytes or more.
func LargePacket(p packet.Packet) bool {
	const ethernet = 14 // bytes of its header
	return p.Size >= 1500-ethernet && p.Transport()
}
