package effects

import (
	"time"

	"gomahi/packet"
)

// line is a first-in first-out row of packets, each leaving at its Due, which never decreases from one to the next.
// With Pop and Next it is the second half of a stage.
type line struct {
	ring []packet.Packet // its length is a power of two
	head int
	n    int
}

func (l *line) add(p packet.Packet) {
	if l.n == len(l.ring) {
		ring := make([]packet.Packet, max(64, 2*l.n))
		k := copy(ring, l.ring[l.head:])
		copy(ring[k:], l.ring[:l.head])
		l.ring, l.head = ring, 0
	}
	l.ring[(l.head+l.n)&(len(l.ring)-1)] = p
	l.n++
}

// Pop returns the next packet whose time has come.
func (l *line) Pop(now time.Duration) (packet.Packet, bool) {
	if l.n == 0 || l.ring[l.head].Due > now {
		return packet.Packet{}, false
	}
	p := l.ring[l.head]
	l.ring[l.head] = packet.Packet{}
	l.head = (l.head + 1) & (len(l.ring) - 1)
	l.n--
	return p, true
}

// Next says when Pop will next have something.
func (l *line) Next() (time.Duration, bool) {
	if l.n == 0 {
		return 0, false
	}
	return l.ring[l.head].Due, true
}
