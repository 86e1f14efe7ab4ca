// Package scenario says how a path changes: it reads phantomlink's files, and those with more columns, and plays them.
package scenario

import (
	"fmt"
	"math"
	"time"
)

// State is what one direction of a path does to packets, from one change to the next.
type State struct {
	Route  uint64
	Delay  time.Duration // one way
	Rate   int64         // bit/s, or 0 for no limit
	Loss   float64       // the probability, behind the queue
	Jitter time.Duration // each packet takes from 0 to this longer than the delay
	Queue  Queue
	Down   bool // nothing is sent, and what arrives is dropped
}

// A Queue is the limit of a droptail queue: a number of a unit.
type Queue struct {
	Unit  Unit
	Value float64
}

// Unit is what a queue's limit is counted in.
type Unit string

// The units. A BDP is what the rate carries in a round trip, of twice the delay.
const (
	Packets      Unit = "packets"
	Bytes        Unit = "bytes"
	Milliseconds Unit = "ms"
	BDP          Unit = "bdp"
)

// String is "100 packets", or nothing of a queue that no state is about.
func (q Queue) String() string {
	if q.Unit == "" {
		return ""
	}
	return decimals(q.Value) + " " + string(q.Unit)
}

// Link is "up" or "down".
func (s *State) Link() string {
	if s.Down {
		return "down"
	}
	return "up"
}

// String is the state in words, without what it has not: "route 1, delay 37 ms, rate 100000000 bit/s, queue 1 bdp".
func (s State) String() string {
	words := fmt.Sprintf("route %d, delay %s ms", s.Route, decimals(float64(s.Delay)/1e6))
	if s.Rate > 0 {
		words += fmt.Sprintf(", rate %d bit/s", s.Rate)
	}
	if queue := s.Queue.String(); queue != "" && (s.Rate > 0 || s.Queue.Unit == Packets || s.Queue.Unit == Bytes) {
		words += ", queue " + queue
	}
	if s.Loss > 0 {
		words += fmt.Sprintf(", loss %s", decimals(s.Loss))
	}
	if s.Jitter > 0 {
		words += fmt.Sprintf(", jitter %s ms", decimals(float64(s.Jitter)/1e6))
	}
	if s.Down {
		words += ", link down"
	}
	return words
}

// Resizes says whether a queue's limits are made anew when the state was another before: if the route or the queue itself
// changes, or always.
func (s *State) Resizes(before *State, always bool) bool {
	return always || s.Route != before.Route || s.Queue != before.Queue
}

// Over is what holds when a script goes from one state to the next, s, while it is something else that holds now: what the
// script changes is as the script says, and the rest as it is.
func (s State) Over(now, before State) State {
	return State{
		Route:  over(s.Route, now.Route, before.Route),
		Delay:  over(s.Delay, now.Delay, before.Delay),
		Rate:   over(s.Rate, now.Rate, before.Rate),
		Loss:   over(s.Loss, now.Loss, before.Loss),
		Jitter: over(s.Jitter, now.Jitter, before.Jitter),
		Queue:  over(s.Queue, now.Queue, before.Queue),
		Down:   over(s.Down, now.Down, before.Down),
	}
}

func over[T comparable](next, now, before T) T {
	if next == before {
		return now
	}
	return next
}

// mtu is the longest packet: no limit is so low that it would never pass.
const mtu = 1500

// Limits are the most packets and bytes that the queue may hold.
func (s *State) Limits() (packets, bytes int) {
	v := 0.0
	switch s.Queue.Unit {
	case Packets:
		return int(s.Queue.Value), math.MaxInt
	case Bytes:
		v = s.Queue.Value
	case Milliseconds:
		v = float64(s.Rate) / 8 * s.Queue.Value / 1000
	default:
		v = s.Queue.Value * float64(s.Rate) / 8 * (2 * s.Delay).Seconds()
	}
	if s.Rate == 0 && s.Queue.Unit != Bytes || v >= math.MaxInt/2 {
		return math.MaxInt, math.MaxInt
	}
	return math.MaxInt, max(mtu, int(v))
}

// A Change is the state from a time on.
type Change struct {
	At time.Duration // since the scenario began
	State
	Between bool // no row of the file, but on the line from one to the next
}

// A Scenario has the changes of both directions, at least one each, in the order of time.
type Scenario struct{ Uplink, Downlink []Change }

// step is how often the state changes on a line from one row to the next.
const step = time.Millisecond

// A Player gives the changes of one direction, one after the other. The first is at time 0, whatever the row says.
type Player struct {
	rows        []Change
	interpolate bool
	loop        time.Duration // the period, or 0

	base  time.Duration // when the present period began
	i     int           // the next row
	after time.Duration // since the row before, of the next change between rows
}

// Play makes a Player of at least one row. With interpolate, delay and rate go linearly from row to row, in steps of a
// millisecond. With loop the first row follows the last, which holds as long as the one before it: see Period.
func Play(rows []Change, interpolate, loop bool) *Player {
	p := &Player{rows: rows, interpolate: interpolate}
	if loop {
		p.loop = Period(rows)
	}
	return p
}

// Period is after what time rows begin again: 0 if there is only one.
func Period(rows []Change) time.Duration {
	n := len(rows)
	if n < 2 {
		return 0
	}
	return 2*rows[n-1].At - rows[n-2].At
}

// Next returns the next change, if there is one.
func (p *Player) Next() (Change, bool) {
	if p.i == len(p.rows) {
		if p.loop == 0 {
			return Change{}, false
		}
		p.i = 0
		p.base += p.loop
	}
	if c, ok := p.between(); ok {
		return c, true
	}
	c := p.rows[p.i]
	if p.i == 0 {
		c.At = 0
	}
	c.At += p.base
	p.i++
	p.after = step
	return c, true
}

// between is the next change before the next row.
func (p *Player) between() (Change, bool) {
	if !p.interpolate || p.i == 0 {
		return Change{}, false
	}
	from, to := &p.rows[p.i-1], &p.rows[p.i]
	length := to.At - from.At
	if p.after >= length || from.Delay == to.Delay && (from.Rate == to.Rate || from.Rate*to.Rate == 0) {
		return Change{}, false
	}
	c := *from
	part := float64(p.after) / float64(length)
	c.At, c.Between = p.base+from.At+p.after, true
	c.Delay += time.Duration(math.Round(part * float64(to.Delay-from.Delay)))
	if from.Rate > 0 && to.Rate > 0 {
		c.Rate += int64(math.Round(part * float64(to.Rate-from.Rate)))
	}
	p.after += step
	return c, true
}
