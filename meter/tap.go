package meter

import (
	"time"

	"gomahi/packet"
)

// Stage is shell's.
type Stage interface {
	Push(now time.Duration, p packet.Packet)
	Pop(now time.Duration) (packet.Packet, bool)
	Next() (time.Duration, bool)
}

// A Tap is a stage whose packets are counted as they go in and out. It changes nothing.
type Tap struct {
	Stage
	*Counter
}

// Push counts p and hands it on.
func (t Tap) Push(now time.Duration, p packet.Packet) {
	t.Arrive(now, p)
	t.Stage.Push(now, p)
}

// Pop counts what the stage lets go, at the time at which it is due: when it was noticed is the machine's doing.
func (t Tap) Pop(now time.Duration) (packet.Packet, bool) {
	p, ok := t.Stage.Pop(now)
	if ok {
		t.Depart(p.Due, p, -1)
	}
	return p, ok
}

// Done is the stage's.
func (t Tap) Done() bool {
	d, ok := t.Stage.(interface{ Done() bool })
	return ok && d.Done()
}
