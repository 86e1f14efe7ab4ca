// Package meter counts what passes through a stage into bins of a millisecond, which it keeps for ten minutes. The packet
// path counts without a lock and without allocating anything; readers look at any time.
package meter

import (
	"sync"
	"sync/atomic"
	"time"

	"gomahi/packet"
)

// What a Counter keeps.
const (
	Bin  = time.Millisecond
	Bins = 600_000 // ten minutes
)

// A Sum is what happened in a stretch of time.
type Sum struct {
	Arrived, Departed uint64        // bytes
	Dropped           uint64        // packets
	Delay             time.Duration // the longest that one that departed had been under way, to the microsecond
	Capacity          uint64        // bytes that the link could have carried; 0 where that is not known
}

// Add adds what happened in another stretch.
func (s *Sum) Add(o Sum) {
	s.Arrived += o.Arrived
	s.Departed += o.Departed
	s.Dropped += o.Dropped
	s.Delay = max(s.Delay, o.Delay)
	s.Capacity += o.Capacity
}

// bin is what happened in a millisecond. Its tag says in which, from 1, so that a bin of ten minutes ago needs no clearing;
// it is 0 while the rest changes hands.
type bin struct {
	tag, arrived, departed, dropped, delay atomic.Uint32
}

// A Counter counts one direction of a stage, once it is switched on. It is a LinkObserver of package effects. One goroutine
// counts, and any number may read.
type Counter struct {
	overhead uint32
	once     sync.Once
	bins     atomic.Pointer[[Bins]bin]

	begin time.Duration // of the bin at hand
	hand  *bin
}

// NewCounter makes a Counter that counts so many bytes more than its IP packet for each packet.
func NewCounter(overhead int) *Counter { return &Counter{overhead: uint32(overhead)} }

// SwitchOn makes it count from now on. What it needs, 12 MB, is used up as time goes on.
func (c *Counter) SwitchOn() {
	c.once.Do(func() { c.bins.Store(new([Bins]bin)) })
}

// at is the bin of a time, or nil if nothing is counted.
func (c *Counter) at(t time.Duration) *bin {
	if c.hand != nil && uint64(t-c.begin) < uint64(Bin) {
		return c.hand
	}
	bins := c.bins.Load()
	if bins == nil || t < 0 {
		return nil
	}
	k := uint64(t / Bin)
	b := &bins[k%Bins]
	if tag := uint32(k) + 1; b.tag.Load() != tag {
		b.tag.Store(0)
		b.arrived.Store(0)
		b.departed.Store(0)
		b.dropped.Store(0)
		b.delay.Store(0)
		b.tag.Store(tag)
	}
	c.begin, c.hand = t.Truncate(Bin), b
	return b
}

// Arrive counts a packet that has come to the stage.
func (c *Counter) Arrive(now time.Duration, p packet.Packet) {
	if b := c.at(now); b != nil {
		b.arrived.Add(uint32(p.Size) + c.overhead)
	}
}

// Depart counts a packet that leaves, and how long it has been under way.
func (c *Counter) Depart(at time.Duration, p packet.Packet, _ int64) {
	if b := c.at(at); b != nil {
		b.departed.Add(uint32(p.Size) + c.overhead)
		us := uint32(min(max(0, at-p.Arrival)/time.Microsecond, 1<<32-1))
		if us > b.delay.Load() {
			b.delay.Store(us)
		}
	}
}

// Drop counts a packet that the stage has dropped.
func (c *Counter) Drop(now time.Duration, _ packet.Packet, _ string) {
	if b := c.at(now); b != nil {
		b.dropped.Add(1)
	}
}

// Sum adds up the bins from one to before another, numbered from time 0, as far as they are kept.
func (c *Counter) Sum(from, to int64) (s Sum) {
	bins := c.bins.Load()
	if bins == nil {
		return s
	}
	for k := max(from, 0, to-Bins); k < to; k++ {
		b := &bins[k%Bins]
		tag := uint32(k) + 1
		if b.tag.Load() != tag {
			continue
		}
		one := Sum{Arrived: uint64(b.arrived.Load()), Departed: uint64(b.departed.Load()), Dropped: uint64(b.dropped.Load()),
			Delay: time.Duration(b.delay.Load()) * time.Microsecond}
		if b.tag.Load() == tag { // else ten minutes have passed meanwhile
			s.Add(one)
		}
	}
	return s
}
