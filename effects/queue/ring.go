package queue

import (
	"time"

	"gomahi/packet"
)

// ring is a first-in first-out row of packets with the times at which they were pushed.
type ring struct {
	items []item // its length is a power of two
	head  int
	n     int
	bytes int
}

type item struct {
	p    packet.Packet
	at   time.Duration
	size int
}

// firstRing is the number of packets that a ring first has room for.
const firstRing = 16

func (r *ring) add(i item) {
	if r.n == len(r.items) {
		items := make([]item, max(firstRing, 2*r.n))
		k := copy(items, r.items[r.head:])
		copy(items[k:], r.items[:r.head])
		r.items, r.head = items, 0
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = i
	r.n++
	r.bytes += i.size
}

// take removes the oldest, of which there must be one.
func (r *ring) take() item {
	i := r.items[r.head]
	r.items[r.head] = item{}
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	r.bytes -= i.size
	return i
}
