package effects

import (
	"time"

	"gomahi/packet"
)

// Delay holds every packet for the same time. Packets keep their order.
type Delay struct {
	line
	delay time.Duration
}

// NewDelay makes a stage with the given one-way delay, which is not negative.
func NewDelay(delay time.Duration) *Delay { return &Delay{delay: delay} }

// Push hands over a packet that arrived at now.
func (d *Delay) Push(now time.Duration, p packet.Packet) {
	p.Due = now + d.delay
	d.add(p)
}
