// Package trace has schedules of when a link may deliver packets: it reads, writes, makes, converts and describes them.
package trace

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"time"
)

// PacketBits is what an opportunity counts for in rates: a packet of 1500 bytes.
const PacketBits = 12000

const (
	// chunk is how many times are kept in one piece: large enough to make the table of pieces small, and small enough
	// for what is left of the last while it fills.
	chunk = 8192
	// longest is the last time that a schedule may have, 30 years, so that a few of them can be added up.
	longest = 1e9 * time.Second
	// most is how many opportunities are made: 400 MB.
	most = 50_000_000
)

// Schedule is when a link may deliver one MTU-sized packet each; times since its start, never decreasing. Immutable.
type Schedule struct {
	chunks [][]time.Duration // all of length chunk but the last
	n      int
}

// add is for those that make a schedule; t is at least the time before it. The last one's period must come out above 0.
func (s *Schedule) add(t time.Duration) {
	if s.n%chunk == 0 {
		s.chunks = append(s.chunks, make([]time.Duration, 0, chunk))
	}
	last := &s.chunks[len(s.chunks)-1]
	*last = append(*last, t)
	s.n++
}

// done gives back what the last chunk does not need.
func (s *Schedule) done() *Schedule {
	last := &s.chunks[len(s.chunks)-1]
	*last = append(make([]time.Duration, 0, len(*last)), *last...)
	return s
}

// Len is how many opportunities there are in one period, at least 1.
func (s *Schedule) Len() int { return s.n }

// At is the time of opportunity i, 0 <= i < Len().
func (s *Schedule) At(i int) time.Duration { return s.chunks[uint(i)/chunk][uint(i)%chunk] }

// Period is the last time, above 0, with which the schedule begins again.
func (s *Schedule) Period() time.Duration { return s.At(s.n - 1) }

// Mean is in bit/s, counting 1500 bytes for each opportunity.
func (s *Schedule) Mean() float64 { return float64(s.n) * PacketBits / s.Period().Seconds() }

// whole says whether all times are whole milliseconds.
func (s *Schedule) whole() bool {
	for _, c := range s.chunks {
		for _, t := range c {
			if t%time.Millisecond != 0 {
				return false
			}
		}
	}
	return true
}

// Write makes a trace file: integers where all times are whole milliseconds, as mahimahi reads them, else decimals.
func (s *Schedule) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	for _, c := range s.chunks {
		for _, t := range c {
			line = append(appendMillis(line[:0], t), '\n')
			if _, err := b.Write(line); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

// appendMillis writes t in milliseconds, exactly and without needless zeros.
func appendMillis(b []byte, t time.Duration) []byte { return appendUnits(b, t, time.Millisecond) }

// appendUnits writes t as a multiple of a unit, which is a power of ten of at most a second.
func appendUnits(b []byte, t, unit time.Duration) []byte {
	b = strconv.AppendInt(b, int64(t/unit), 10)
	rest := t % unit
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for rest > 0 {
		unit /= 10
		b = append(b, '0'+byte(rest/unit))
		rest %= unit
	}
	return b
}

// An ArgumentError says what is wrong with an argument, and what would be right.
type ArgumentError struct{ Problem, Hint string }

func (e *ArgumentError) Error() string { return e.Problem + "\nhint: " + e.Hint }

var errTooMany = errors.New("more than 50 million opportunities\nhint: a trace repeats: a shorter one does")
