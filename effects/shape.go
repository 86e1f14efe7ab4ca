package effects

import (
	"time"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/scenario"
)

// bucket holds tokens, which come in at a rate until it is full: one for each billionth of a bit, so that a rate in bit/s
// is also one in tokens per nanosecond, and nothing is ever rounded.
type bucket struct {
	rate        int64
	full, level int64
	at          time.Duration // when the level was that
}

// MaxBurst is the largest bucket, in bytes.
const MaxBurst = 1e9

const tokens = 8e9 // of one byte

func newBucket(rate, bytes int64) bucket {
	return bucket{rate: rate, full: bytes * tokens, level: bytes * tokens}
}

// fill lets in what came until now.
func (b *bucket) fill(now time.Duration) {
	if passed := int64(now - b.at); passed > (b.full-b.level)/b.rate {
		b.level = b.full
	} else {
		b.level += passed * b.rate
	}
	b.at = now
}

// enough is when there are tokens for a packet, if none are taken before.
func (b *bucket) enough(size int32) time.Duration {
	return b.at + time.Duration(max(0, (int64(size)*tokens-b.level+b.rate-1)/b.rate))
}

// take takes the tokens of a packet, at a time when there are enough. To one that waited each token went as it came in, so
// that the bucket did not fill up meanwhile.
func (b *bucket) take(at time.Duration, size int32) {
	if b.enough(size) < at {
		b.fill(at)
	}
	b.level += int64(at-b.at)*b.rate - int64(size)*tokens
	b.at = at
}

// Shape is a token bucket: a packet leaves when the bucket holds as many tokens as it is long, and takes them out. Until
// then it waits, and others behind it; or, without a queue, it is dropped.
type Shape struct {
	out     line
	buckets []bucket
	queue   queue.Queue
	seen    Observer

	down  bool
	busy  bool
	under packet.Packet // while busy: the one that waits for tokens
	due   time.Duration // when it has them
}

// NewShape makes a stage that lets pass rate bit/s (from 1 to 1e12) in the long run, and burst bytes (at most MaxBurst) at
// once. Where peak is not 0, a second bucket of that rate and of 1500 bytes spaces packets out. Without a queue, what
// does not conform is dropped. The observer may be nil.
func NewShape(rate, burst, peak int64, q queue.Queue, seen Observer) *Shape {
	s := &Shape{buckets: []bucket{newBucket(rate, burst)}, queue: q, seen: seen}
	if peak > 0 {
		s.buckets = append(s.buckets, newBucket(peak, 1500))
	}
	return s
}

// conforms is when all buckets hold enough for p, not before now, and whether they ever will.
func (s *Shape) conforms(now time.Duration, p packet.Packet) (at time.Duration, ever bool) {
	at = now
	for i := range s.buckets {
		b := &s.buckets[i]
		if int64(p.Size)*tokens > b.full {
			return 0, false
		}
		b.fill(now)
		at = max(at, b.enough(p.Size))
	}
	return at, true
}

// send lets p go at a time at which it conforms.
func (s *Shape) send(at time.Duration, p packet.Packet) {
	for i := range s.buckets {
		s.buckets[i].take(at, p.Size)
	}
	p.Due = at
	s.out.add(p)
}

// begin takes the next packet out of the queue.
func (s *Shape) begin(now time.Duration) {
	if s.under, s.busy = s.queue.Pop(now); s.busy {
		s.due, _ = s.conforms(now, s.under)
	}
}

func (s *Shape) advance(now time.Duration) {
	for s.busy && !s.down && s.due <= now {
		s.send(s.due, s.under)
		s.begin(s.due)
	}
}

// Set changes the rate, the queue's limits, and whether anything is sent. Tokens that came in before stay.
func (s *Shape) Set(now time.Duration, to scenario.State) {
	s.advance(now)
	for i := range s.buckets {
		s.buckets[i].fill(now)
	}
	s.buckets[0].rate, s.down = to.Rate, to.Down
	if s.busy {
		s.due, _ = s.conforms(now, s.under)
	}
	if q, ok := s.queue.(queue.Sized); ok && to.Queue.Unit != "" {
		q.Resize(to.Limits())
	}
}

// Push hands over a packet that arrived at now.
func (s *Shape) Push(now time.Duration, p packet.Packet) {
	s.advance(now)
	if s.down {
		drop(s.seen, now, p, linkDown)
		return
	}
	at, ever := s.conforms(now, p)
	switch {
	case !ever:
		drop(s.seen, now, p, "larger than the burst")
	case s.queue != nil:
		s.queue.Push(now, p)
		if !s.busy {
			s.begin(now)
		}
	case at > now:
		drop(s.seen, now, p, "policed")
	default:
		s.send(now, p)
	}
}

// Pop returns the next packet whose time has come.
func (s *Shape) Pop(now time.Duration) (packet.Packet, bool) {
	s.advance(now)
	return s.out.Pop(now)
}

// Next says when Pop will next have something.
func (s *Shape) Next() (time.Duration, bool) {
	if due, ok := s.out.Next(); ok {
		return due, true
	}
	return s.due, s.busy && !s.down
}
