package shell

import (
	"sync/atomic"
	"time"

	"gomahi/packet"
)

// held lets packets pass untouched until it is released; MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL asks for that.
type held struct {
	Stage
	released atomic.Bool
	ahead    []packet.Packet // arrived before the release
}

// Done is that of the stage behind.
func (h *held) Done() bool {
	d, ok := h.Stage.(interface{ Done() bool })
	return ok && d.Done()
}

func (c *container) hold(s Stage) Stage {
	h := &held{Stage: s}
	c.release = append(c.release, &h.released)
	return h
}

func (h *held) Push(now time.Duration, p packet.Packet) {
	if h.released.Load() {
		h.Stage.Push(now, p)
	} else {
		h.ahead = append(h.ahead, p)
	}
}

func (h *held) Pop(now time.Duration) (packet.Packet, bool) {
	if len(h.ahead) == 0 {
		return h.Stage.Pop(now)
	}
	p := h.ahead[0]
	h.ahead = append(h.ahead[:0], h.ahead[1:]...)
	return p, true
}

func (h *held) Next() (time.Duration, bool) {
	if len(h.ahead) == 0 {
		return h.Stage.Next()
	}
	return h.ahead[0].Due, true
}
