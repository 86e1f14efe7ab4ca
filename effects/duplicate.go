package effects

import (
	"time"

	"gomahi/packet"
)

// Duplicate sends packets twice on which a Decider decides anything but 0. The copy leaves right behind the original.
type Duplicate struct {
	line
	decider Decider
	seen    Observer
}

// NewDuplicate makes a stage. The observer may be nil.
func NewDuplicate(d Decider, seen Observer) *Duplicate { return &Duplicate{decider: d, seen: seen} }

// Push hands over a packet that arrived at now.
func (d *Duplicate) Push(now time.Duration, p packet.Packet) {
	p.Due = now
	twice := d.decider.Decide(now, p) != 0
	d.add(p)
	if twice {
		d.add(p.Copy())
		count(d.seen, Duplicated)
	}
}
