package effects

import (
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// Delay holds every packet for the same time, until that changes. Packets keep their order.
type Delay struct {
	line
	delay time.Duration
	last  time.Duration // when the last packet leaves
}

// NewDelay makes a stage with the given one-way delay, which is not negative.
func NewDelay(delay time.Duration) *Delay { return &Delay{delay: delay} }

// Push hands over a packet that arrived at now.
func (d *Delay) Push(now time.Duration, p packet.Packet) {
	p.Due = max(now+d.delay, d.last)
	d.last = p.Due
	d.add(p)
}

// Whole says that packets that arrive together leave together.
func (d *Delay) Whole() bool { return true }

// Set changes the delay of packets that arrive from now on.
func (d *Delay) Set(_ time.Duration, s scenario.State) { d.delay = s.Delay }
