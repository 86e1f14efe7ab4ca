package shell

import "time"

// Lateness says how long after their due time packets left: how far the machine, not the link, was the cause of delay.
// While the job was stopped (Ctrl-Z) nothing was late.
type Lateness struct {
	Packets uint64 // that left more than LateAfter late
	Histogram

	packets uint64        // that were late in the last while, as yet unproven
	unsure  Histogram     // of them
	due     time.Duration // of the worst of them
	since   time.Duration
}

// LateAfter is what counts as late.
const LateAfter = time.Millisecond

// prove is how long a lateness waits for the news that the job had merely been stopped, which comes as a signal to
// another thread.
const prove = 20 * time.Millisecond

// note counts n packets that were due, and leave now.
func (l *Lateness) note(due, now time.Duration, n int) {
	late := now - due
	if late <= LateAfter {
		l.Add(late, n)
		return
	}
	if l.packets == 0 {
		l.since = now
	}
	if late > l.unsure.Max {
		l.due = due
	}
	l.unsure.Add(late, n)
	l.packets += uint64(n)
}

// settle decides on what is pending, given when the job was last continued.
func (l *Lateness) settle(now, resumed time.Duration) {
	if l.packets == 0 || now-l.since < prove {
		return
	}
	if l.due > resumed {
		l.Packets += l.packets
		l.merge(&l.unsure)
	}
	l.unsure.reset()
	l.due, l.packets = 0, 0
}
