package record

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"

	"gomahi/scenario"
	"gomahi/trace"
)

// Head is what stands at the beginning of mahimahi's log.
type Head struct {
	Link    string // "Uplink" or "Downlink"
	Trace   string // the file of the schedule, or the rate
	Log     string // the file
	Command string // the command line
	Queue   string
	Init    time.Time // the start: time 0 of all events
	Config  string    // the prompt's prefix so far
}

// Capacity is what a link could carry: of one of the two kinds.
type Capacity struct {
	Schedule *trace.Schedule
	Once     bool
	Rate     int64 // bit/s, or 0 for no limit
	Overhead int   // by which a packet counts more than its IP length
	Size     int   // bytes of an opportunity
}

// Log adds mahimahi's log: https://github.com/ravinet/mahimahi, src/frontend/link_queue.cc. Times are whole
// milliseconds. With a rate there is a line of capacity for every millisecond. A change of a path is a comment.
func (r *Recorder) Log(h Head, c Capacity, to io.WriteCloser) {
	r.add(h.Log, to, 0, func(w *bufio.Writer) sink {
		fmt.Fprintf(w, "# mahimahi mm-link (%s) [%s] > %s\n# command line: %s\n# queue: %s\n# init timestamp: %d\n# base timestamp: 0\n",
			h.Link, h.Trace, h.Log, h.Command, h.Queue, h.Init.UnixMilli())
		if h.Config != "" {
			fmt.Fprintf(w, "# mahimahi config: %s\n", h.Config)
		}
		return &log{Capacity: c, w: w}
	})
}

type log struct {
	Capacity
	w    *bufio.Writer
	line []byte

	next int64 // the opportunity, or the millisecond, whose line comes next
	// What a rate has carried until a time and is in no line yet, in bits times 1e9; below 0 if a line has too much, since
	// the rate fell afterwards.
	carried int64
	counted time.Duration
	down    bool
	// Drops at the same time are one line.
	drops, dropped, at int64
}

func millis(t time.Duration) int64 { return int64(t / time.Millisecond) }

// put writes a line of numbers and signs.
func (l *log) put(at int64, sign byte, numbers ...int64) {
	l.line = append(strconv.AppendInt(l.line[:0], at, 10), ' ', sign)
	for _, n := range numbers {
		l.line = strconv.AppendInt(append(l.line, ' '), n, 10)
	}
	l.w.Write(append(l.line, '\n')) // its error stays, and is seen at the end
}

// opportunities writes those before the number n.
func (l *log) opportunities(n int64) {
	count := int64(l.Schedule.Len())
	for ; l.next < n; l.next++ {
		if l.Once && l.next >= count {
			return
		}
		at := time.Duration(l.next/count)*l.Schedule.Period() + l.Schedule.At(int(l.next%count))
		if !l.down {
			l.put(millis(at), '#', int64(l.Size))
		}
	}
}

// until writes the capacity up to a time, that included.
func (l *log) until(t time.Duration) {
	if l.Schedule == nil {
		for ; l.next <= millis(t); l.next++ {
			l.carry(time.Duration(l.next+1) * time.Millisecond)
			if l.Rate > 0 || l.down {
				const byteNS = 8e9
				bytes := max(0, l.carried) / byteNS
				l.put(l.next, '#', bytes)
				l.carried -= bytes * byteNS
			}
		}
		return
	}
	count, period := int64(l.Schedule.Len()), l.Schedule.Period()
	for {
		cycle := l.next / count
		if l.Once && cycle > 0 || time.Duration(cycle)*period+l.Schedule.At(int(l.next%count)) > t {
			return
		}
		l.opportunities(l.next + 1)
	}
}

// carry counts what the rate carries until a time, which is at most a millisecond away: or before, what it does not.
func (l *log) carry(t time.Duration) {
	if !l.down {
		l.carried += int64(t-l.counted) * l.Rate
	}
	l.counted = t
}

func (l *log) change(c *scenario.Change) {
	switch {
	case l.Schedule != nil:
		l.until(c.At)
	case millis(c.At) > 0:
		l.until(c.At - time.Millisecond)
	}
	end := l.counted
	l.carry(c.At)
	l.Rate, l.down = c.Rate, c.Down
	if end > c.At { // the line of this millisecond is written
		l.carry(end)
	}
	fmt.Fprintf(l.w, "# change: %d ns: %v\n", int64(c.At), c.State)
}

func (l *log) settle() {
	if l.drops > 0 {
		l.put(l.at, 'd', l.drops, l.dropped)
		l.drops, l.dropped = 0, 0
	}
}

func (l *log) event(e *event, _ []byte) error {
	if e.kind == change {
		l.settle()
		l.change(e.change)
		return nil
	}
	size := int64(e.size) + int64(l.Overhead)
	if e.kind == loss && !e.beyond {
		if l.drops == 0 || l.at != millis(e.at) {
			l.settle()
			if l.Schedule == nil {
				l.until(e.at)
			} else {
				l.until(e.at - 1) // in one at this very time the queue may have dropped it: that comes with the departure
			}
			l.at = millis(e.at)
		}
		l.drops++
		l.dropped += size
		return nil
	}
	if e.beyond {
		return nil
	}
	l.settle()
	switch {
	case e.kind == departure && l.Schedule != nil:
		l.opportunities(e.number + 1)
	default:
		l.until(e.at)
	}
	at := millis(e.at)
	if e.kind == arrival {
		l.put(at, '+', size)
	} else {
		l.put(at, '-', size, at-millis(e.arrived))
	}
	return nil
}

func (l *log) end(at time.Duration) error {
	l.settle()
	l.until(at)
	return nil
}
