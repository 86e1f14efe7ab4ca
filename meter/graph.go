package meter

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the time that columns are numbered by: CLOCK_MONOTONIC, which all processes of a machine share.
func Clock() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}

// What a graph shows.
const (
	Rate  = "rate"
	Delay = "delay"
)

// A Source gives columns: number k is what happened from k widths after the Clock's 0 to before k+1. A width is a whole
// number of milliseconds. It fills in as many as there is room for, and returns how many of these are settled: they will
// not change any more.
type Source interface {
	Columns(width time.Duration, first int64, into []Sum) (settled int)
}

// A Graph is something to draw.
type Graph struct {
	Title     string        // of its stage, such as "gm-link 12Mbps 12Mbps"
	Direction string        // "uplink", "downlink"
	What      string        // Rate or Delay
	Linked    bool          // it has capacity, arrivals and drops
	Since     time.Duration // by the Clock, when it began
	Source    Source
}

// latest is how long after its time an event may be told: a machine wakes up late.
const latest = 100 * time.Millisecond

// A Direction is a stage's, as a Source.
type Direction struct {
	Counter *Counter
	Zero    time.Duration // by the Clock, when the stage's time was 0
	// Capacity is how many bytes could pass until a time of the stage's; nil where that means nothing.
	Capacity func(time.Duration) uint64
}

// Columns is the Source's.
func (d *Direction) Columns(width time.Duration, first int64, into []Sum) int {
	now := Clock() - d.Zero
	from := time.Duration(first)*width - d.Zero
	for i := range into {
		to := from + width
		into[i] = d.Counter.Sum(floor(from), floor(to))
		if until := min(to, now); d.Capacity != nil && until > max(0, from) {
			into[i].Capacity = d.Capacity(until) - d.Capacity(max(0, from))
		}
		from = to
	}
	done := int64((now + d.Zero - latest) / width)
	return int(min(max(0, done-first), int64(len(into))))
}

// floor is the number of the bin that t lies in.
func floor(t time.Duration) int64 {
	if t < 0 {
		return -int64((-t + Bin - 1) / Bin)
	}
	return int64(t / Bin)
}
