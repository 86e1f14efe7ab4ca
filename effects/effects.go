// Package effects holds what can happen to packets in one direction of a link. Each effect is a stage: packets go in
// with the time of their arrival, and come out when they are due (see shell.Stage for the contract). Stages read no
// clock and share no random source, so the same seed and arrivals give the same run, to the nanosecond.
package effects

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// Whole says whether a stage does the same to all packets of a frame: see shell.Stage.
func Whole(s Stage) bool {
	w, ok := s.(interface{ Whole() bool })
	return ok && w.Whole()
}

// An Observer is told what a stage does to packets. It must not keep p, and must be quick: it is called on the packet
// path.
type Observer interface {
	// Drop says that p will not leave, and why, in a word or two.
	Drop(now time.Duration, p packet.Packet, reason string)
}

// A Steered stage is one of which something may be changed: what holds from now on, of what it has. It loses nothing by that,
// nor does anything overtake. What left or arrived by now was as before.
type Steered interface {
	Stage
	Set(now time.Duration, s scenario.State)
}

// Random returns the random source of one stream ("uplink", "downlink") of a seed. Streams are independent: how much one
// draws never shifts another.
func Random(seed uint64, stream string) *rand.Rand {
	key := binary.LittleEndian.AppendUint64([]byte("gomahi "), seed)
	h := sha256.Sum256(append(key, stream...))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:])))
}

// Why packets are dropped.
const (
	linkDown   = "link down" // nothing is taken then
	randomLoss = "random loss"
)

// drop ends a packet's way.
func drop(o Observer, now time.Duration, p packet.Packet, reason string) {
	if o != nil {
		o.Drop(now, p, reason)
	}
	p.Release()
}
