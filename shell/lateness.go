package shell

import (
	"math/bits"
	"time"
)

// Lateness says how long after their due time packets left: how far the machine, not the link, was the cause of delay.
// While the job was stopped (Ctrl-Z) nothing was late.
type Lateness struct {
	Packets uint64        // that left more than LateAfter late
	Max     time.Duration // of all

	all     histogram
	pending time.Duration // the worst of the last while, as yet unproven
	due     time.Duration // of that packet
	packets uint64
	unsure  histogram
	since   time.Duration
}

// histogram counts lateness in bins that are 1/32 of their values wide.
type histogram [64 * 32]uint64

func bin(d time.Duration) int {
	if d < 32 {
		return int(max(d, 0))
	}
	e := bits.Len64(uint64(d)) - 6
	return (e+1)*32 + int(d>>e)&31
}

// Quantile is how late a part q of all packets was at most, from 0 to 1, to 3 %.
func (l *Lateness) Quantile(q float64) time.Duration {
	var sum, below uint64
	for _, n := range l.all {
		sum += n
	}
	for i, n := range l.all {
		if below += n; float64(below) >= q*float64(sum) && below > 0 {
			if i < 32 {
				return time.Duration(i)
			}
			return time.Duration(32+i%32) << (i/32 - 1)
		}
	}
	return 0
}

// LateAfter is what counts as late.
const LateAfter = time.Millisecond

// prove is how long a lateness waits for the news that the job had merely been stopped, which comes as a signal to
// another thread.
const prove = 20 * time.Millisecond

// note counts a packet that was due, and left now.
func (l *Lateness) note(due, now time.Duration) {
	late := now - due
	if late <= LateAfter {
		l.Max = max(l.Max, late)
		l.all[bin(late)]++
		return
	}
	l.unsure[bin(late)]++
	if l.packets == 0 {
		l.since = now
	}
	l.packets++
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
		for i, n := range l.unsure {
			l.all[i] += n
		}
	}
	clear(l.unsure[:])
	l.pending, l.due, l.packets = 0, 0, 0
}
