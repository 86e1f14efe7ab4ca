// Package graph reads the logs of mahimahi's mm-link and of gm-link, works out their figures, and draws them.
//
// A log's events, a line each, with times in ms since the link's start, which may have decimals:
//
//	MS # BYTES           a delivery opportunity
//	MS + BYTES           an arrival
//	MS - BYTES DELAY-MS  a departure
//	MS d PACKETS BYTES   drops
//
// Lines that begin with # are comments, but "# base timestamp: MS" says when the schedule started: the zero of all axes.
package graph

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// A Tally counts events and their bytes.
type Tally struct{ N, Bytes int64 }

func (t *Tally) add(n, bytes int64) {
	t.N += n
	t.Bytes += bytes
}

// A Log is what its figures and graphs need of one. Times are offsets from the base timestamp.
type Log struct {
	Name                                         string
	PerBin                                       time.Duration
	First, Last                                  time.Duration // the earliest and the latest event
	Opportunities, Arrivals, Departures, Dropped Tally         // of packets, but for the opportunities

	bins       map[int64]*bin // by the time divided by PerBin, rounded down
	current    *bin           // of the line before, and
	currentBin int64          // its key
	delivered  []delivery     // as logged
	drops      []time.Duration
	figures    *Figures
}

// A bin has the bytes of PerBin.
type bin struct{ capacity, ingress, egress int64 }

type delivery struct{ sent, delay time.Duration }

const (
	longestLine = 1 << 16 // of an event; comments may be longer
	forms       = "an event is MS # BYTES, MS + BYTES, MS - BYTES DELAY-MS, or MS d PACKETS BYTES"
)

// Read reads a log, and sums it up in bins of a duration above 0. Errors begin with FILE:LINE and may end with a hint on
// a line of its own.
func Read(name string, r io.Reader, perBin time.Duration) (*Log, error) {
	l := &Log{Name: name, PerBin: perBin, bins: map[int64]*bin{}}
	var base time.Duration
	based, begun := false, false
	b := bufio.NewReaderSize(r, longestLine)
	for n := 1; ; n++ {
		wrong := func(hint, format string, a ...any) (*Log, error) {
			return nil, fmt.Errorf("%s:%d: %s\nhint: %s", name, n, fmt.Sprintf(format, a...), hint)
		}
		line, err := b.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			if !begun {
				return nil, fmt.Errorf("%s: no events\nhint: %s", name, forms)
			}
			return l, nil
		case err != nil && !cut && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("reading %s: %w", name, unwrapped(err))
		}
		if line[0] == '#' {
			if text, ok := bytes.CutPrefix(line, []byte("# base timestamp:")); ok {
				if based || begun {
					return wrong("a log has the events of one run and one direction", "a second log begins")
				}
				if base, ok = milliseconds(bytes.TrimSpace(text)); !ok {
					return wrong("write # base timestamp: MS", "%s is no base timestamp", quoted(text))
				}
				based = true
			}
			for cut { // as long as command lines may be
				_, err = b.ReadSlice('\n')
				cut = errors.Is(err, bufio.ErrBufferFull)
			}
			continue
		}
		if cut {
			return wrong(forms, "the line is longer than %d bytes", longestLine)
		}
		e, problem := parse(line)
		if problem != "" {
			return wrong(forms, "%s", problem)
		}
		e.at -= base
		if !begun {
			l.First, l.Last, begun = e.at, e.at, true
		}
		l.add(e)
	}
}

func (l *Log) add(e event) {
	l.First, l.Last = min(l.First, e.at), max(l.Last, e.at)
	k := int64(e.at / l.PerBin)
	if e.at < 0 && e.at%l.PerBin != 0 {
		k--
	}
	b := l.current
	if b == nil || k != l.currentBin {
		if b = l.bins[k]; b == nil {
			b = new(bin)
			l.bins[k] = b
		}
		l.current, l.currentBin = b, k
	}
	switch e.kind {
	case '#':
		l.Opportunities.add(1, e.bytes)
		b.capacity += e.bytes
	case '+':
		l.Arrivals.add(1, e.bytes)
		b.ingress += e.bytes
	case '-':
		l.Departures.add(1, e.bytes)
		b.egress += e.bytes
		l.delivered = append(l.delivered, delivery{e.at - e.delay, e.delay})
	case 'd':
		l.Dropped.add(e.packets, e.bytes)
		if e.packets > 0 {
			l.drops = append(l.drops, e.at)
		}
	}
}

// unwrapped is an error without the path that names the file once more.
func unwrapped(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
