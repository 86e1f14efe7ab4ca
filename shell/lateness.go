package shell

import "time"

// Lateness says how long after their due time packets left: how far the machine, not the link, was the cause of delay.
// While the job was stopped (Ctrl-Z) nothing was late.
type Lateness struct {
	Packets uint64        // that left more than LateAfter late
	Max     time.Duration // of all
	Histogram

	pending time.Duration // the worst of the last while, as yet unproven
	due     time.Duration // of that packet
	packets uint64
	unsure  Histogram
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
		l.Max = max(l.Max, late)
		l.Add(late, n)
		return
	}
	l.unsure.Add(late, n)
	if l.packets == 0 {
		l.since = now
	}
	l.packets += uint64(n)
	if late > l.pending {
		l.pending, l.due = late, due
	}
}

// settle decides on what is pending, given when the job was last continued.
func (l *Lateness) settle(now, resumed time.Duration) {
	if l.packets == 0 || now-l.since < prove {
		return
	}
	if l.due > resumed {
		l.Packets += l.packets
		l.Max = max(l.Max, l.pending)
		l.merge(&l.unsure)
	}
	l.unsure.reset()
	l.pending, l.due, l.packets = 0, 0, 0
}
