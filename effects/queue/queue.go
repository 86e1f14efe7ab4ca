// Package queue holds what waits for a link: plain queues, and those that keep themselves short (AQM). They read no
// clock; whoever uses one tells it the time, which never decreases.
package queue

import (
	"math/rand/v2"
	"time"

	"gomahi/packet"
)

// A Queue holds the packets that wait for a link. It is used by one goroutine.
type Queue interface {
	// Push offers a packet that arrives at now. The queue may drop it, or others in its favour.
	Push(now time.Duration, p packet.Packet)
	// Pop takes the next packet for the link at now. The queue may drop or mark packets that it finds to have waited for
	// too long, and then there may be none left.
	Pop(now time.Duration) (packet.Packet, bool)
	// Len is how many packets wait, and Bytes their sizes' sum; see Config.Overhead.
	Len() int
	Bytes() int
}

// A Sized queue has limits.
type Sized interface {
	Queue
	// Resize changes them. What is in the queue stays there.
	Resize(packets, bytes int)
}

// An Observer is told what becomes of packets. It must not keep p, and must be quick: it is called on the packet path.
type Observer interface {
	// Drop says that p will not leave, and why, in a word or two. The caller then releases p.
	Drop(now time.Duration, p packet.Packet, reason string)
}

// Config is what a queue has to know of its link.
type Config struct {
	Overhead int        // bytes by which a packet's size exceeds that of its IP packet: a mahimahi link counts 4 more
	Rate     float64    // the link's mean rate in bit/s, of which limits in time are made
	Random   *rand.Rand // for queues that draw random numbers
	Seen     Observer   // may be nil
}
