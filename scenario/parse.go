package scenario

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A column is a quantity, with its unit: what a file's header may name.
type column struct {
	name  string // without its unit
	unit  string
	least float64 // in that unit
	most  float64
	whole bool
	set   func(s *State, v float64)
	scale int // the power of ten that makes v of what the file has
}

const (
	hour = 3.6e6 // ms
	// longest is how long a scenario may be, in s: 100 days, up to which a float64 is exact to the nanosecond.
	longest = 100 * 24 * 3600
)

// columns are all but the time and the link.
var columns = []column{
	{name: "RouteID", most: 1 << 53, whole: true, set: func(s *State, v float64) { s.Route = uint64(v) }},
	{name: "Delay", unit: "ms", most: hour, scale: 6, set: func(s *State, v float64) { s.Delay = nanoseconds(v) }},
	{name: "Rate", unit: "Mbps", least: 1e-6, most: 1e6, scale: 6, set: setRate},
	{name: "Btldr", unit: "Mbps", least: 1e-6, most: 1e6, scale: 6, set: setRate}, // bottleneck data rate, phantomlink's name
	{name: "Loss", unit: "%", most: 100, scale: -2, set: func(s *State, v float64) { s.Loss = v }},
	{name: "Jitter", unit: "ms", most: hour, scale: 6, set: func(s *State, v float64) { s.Jitter = nanoseconds(v) }},
	{name: "Queue", unit: "packets", least: 1, most: 1e9, whole: true, set: setQueue(Packets)},
	{name: "Queue", unit: "bytes", least: 1, most: 1e12, whole: true, set: setQueue(Bytes)},
	{name: "Queue", unit: "ms", least: 0.001, most: hour, set: setQueue(Milliseconds)},
	{name: "Queue", unit: "bdp", least: 0.001, most: 1e6, set: setQueue(BDP)},
}

var times = []column{
	{name: "Time", unit: "ms", most: longest * 1000, scale: 6},
	{name: "Time", unit: "s", most: longest, scale: 9},
}

func nanoseconds(v float64) time.Duration { return time.Duration(math.Round(v)) }
func setRate(s *State, v float64)         { s.Rate = int64(math.Round(v)) }
func setQueue(u Unit) func(*State, float64) {
	return func(s *State, v float64) { s.Queue = Queue{u, v} }
}
func (c *column) header() string          { return header(c.name, c.unit) }
func (c *column) is(h string) bool        { return strings.EqualFold(h, c.header()) }
func (c *column) same(other *column) bool { return c.quantity() == other.quantity() }
func (c *column) quantity() string        { return strings.Replace(c.name, "Btldr", "Rate", 1) }
func decimals(v float64) string           { return strconv.FormatFloat(v, 'f', -1, 64) }
func quoted(s string) string              { return strconv.Quote(s[:min(len(s), 40)]) }

func header(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + "[" + unit + "]"
}

// link is the column of the state of the link, whose cells are words.
var link = column{name: "Link", unit: "up|down"}

const (
	headerHint = "a header is Time[ms] or Time[s], then any of RouteID, Delay[ms], Rate[Mbps] (or Btldr[Mbps]), Loss[%], " +
		"Jitter[ms], Queue[packets], Queue[bytes], Queue[ms], Queue[bdp], Link[up|down]; each but the time for both directions, " +
		"or with Uplink- or Downlink- before it"
	rowHint = "a row has as many cells as the header; an empty one keeps the value"
)

// A place is a column of a file, for whom its cells are.
type place struct {
	column
	time, up, down bool
}

// A reader reads one file.
type reader struct {
	name     string
	csv      *csv.Reader
	places   []place
	time     int // the column of
	up, down State
	last     time.Duration
	out      Scenario
}

// Parse reads a scenario: a header, and rows with ascending times. See headerHint, and gm-path(1). What a file says
// nothing of is 0, and the queue is as given. Errors say the name, line and column, and give a hint behind "\nhint: ".
func Parse(name string, from io.Reader, q Queue) (*Scenario, error) {
	r := &reader{name: name, csv: csv.NewReader(from)}
	r.csv.Comment, r.csv.TrimLeadingSpace, r.csv.ReuseRecord = '#', true, true
	r.csv.FieldsPerRecord = -1 // row has the better message
	r.up.Queue, r.down.Queue = q, q
	for first := true; ; first = false {
		record, err := r.csv.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && first:
			return nil, fmt.Errorf("%s: it is empty\nhint: %s", name, headerHint)
		case errors.Is(err, io.EOF) && len(r.out.Uplink) == 0:
			return nil, fmt.Errorf("%s: it has no rows\nhint: below the header, say what holds from which time on", name)
		case errors.Is(err, io.EOF):
			return &r.out, nil
		case errors.As(err, &wrong):
			return nil, fmt.Errorf("%s:%d:%d: %w\nhint: %s", name, wrong.Line, wrong.Column, wrong.Err, rowHint)
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w\nhint: give a file that can be read", name, err)
		case first:
			err = r.header(record)
		default:
			err = r.row(record)
		}
		if err != nil {
			return nil, err
		}
	}
}

// at is an error about a field.
func (r *reader) at(field int, hint, format string, a ...any) error {
	line, column := r.csv.FieldPos(field)
	return fmt.Errorf("%s:%d:%d: %s\nhint: %s", r.name, line, column, fmt.Sprintf(format, a...), hint)
}

func (r *reader) header(record []string) error {
	r.time = -1
	for i, h := range record {
		if i == 0 {
			h = strings.TrimPrefix(h, "\ufeff") // a byte order mark, which spreadsheets write
		}
		p, ok := find(h)
		if !ok {
			return r.at(i, headerHint, "unknown column %s", quoted(h))
		}
		for _, before := range r.places {
			if before.same(&p.column) && (before.up && p.up || before.down && p.down) {
				return r.at(i, "name each quantity once for each direction", "column %s after %s", quoted(h), before.header())
			}
		}
		if p.time {
			r.time = i
		}
		r.places = append(r.places, p)
	}
	switch {
	case r.time < 0:
		return r.at(0, headerHint, "there is no column Time[ms] or Time[s]")
	case len(r.places) == 1:
		return r.at(0, headerHint, "there is no column but the time")
	}
	return nil
}

// find returns the column of a header.
func find(h string) (p place, ok bool) {
	h = strings.ReplaceAll(h, " ", "")
	p.up, p.down = true, true
	rest := h
	for prefix, only := range map[string]*bool{"Uplink-": &p.down, "Downlink-": &p.up} {
		if len(h) > len(prefix) && strings.EqualFold(h[:len(prefix)], prefix) {
			rest, *only = h[len(prefix):], false
		}
	}
	if p.up && p.down {
		if i := slices.IndexFunc(times, func(c column) bool { return c.is(h) }); i >= 0 {
			p.column, p.time = times[i], true
			return p, true
		}
	}
	if link.is(rest) {
		p.column = link
		return p, true
	}
	i := slices.IndexFunc(columns, func(c column) bool { return c.is(rest) })
	if i < 0 {
		return p, false
	}
	p.column = columns[i]
	return p, true
}

func (r *reader) row(record []string) error {
	if n, want := len(record), len(r.places); n != want {
		return r.at(min(n-1, want), rowHint, "the header has %d columns, this row %d", want, n)
	}
	now, err := r.number(r.time, record[r.time])
	if err != nil {
		return err
	}
	t := nanoseconds(now)
	if len(r.out.Uplink) > 0 && t <= r.last {
		return r.at(r.time, "each row's time is after the one before", "time %s does not ascend", strings.TrimSpace(record[r.time]))
	}
	r.last = t
	for i, text := range record {
		p := &r.places[i]
		text = strings.TrimSpace(text)
		switch {
		case p.time, text == "":
			continue
		case p.name == link.name:
			err = r.setLink(i, text)
		default:
			var v float64
			if v, err = r.number(i, text); err == nil {
				p.apply(&r.up, &r.down, func(s *State) { p.set(s, v) })
			}
		}
		if err != nil {
			return err
		}
	}
	r.out.Uplink = append(r.out.Uplink, Change{At: t, State: r.up})
	r.out.Downlink = append(r.out.Downlink, Change{At: t, State: r.down})
	return nil
}

func (p *place) apply(up, down *State, f func(*State)) {
	if p.up {
		f(up)
	}
	if p.down {
		f(down)
	}
}

func (r *reader) setLink(i int, text string) error {
	if text != "up" && text != "down" {
		return r.at(i, "write up or down", "a link is not %s", quoted(text))
	}
	r.places[i].apply(&r.up, &r.down, func(s *State) { s.Down = text == "down" })
	return nil
}

// number parses a field, in the unit of State.
func (r *reader) number(i int, text string) (float64, error) {
	c := &r.places[i].column
	what := strings.ToLower(c.quantity())
	if c.name == "RouteID" {
		what = c.name
	}
	kind := "a number"
	if c.whole {
		kind = "a whole number"
	}
	hint := fmt.Sprintf("%s takes %s from %s to %s", c.header(), kind, decimals(c.least), decimals(c.most))
	text = strings.TrimSpace(text)
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "":
		return 0, r.at(i, hint, "a row without a %s", what)
	case err != nil && !math.IsInf(v, 0), strings.Trim(text, "0123456789.-") != "", c.whole && strings.Contains(text, "."):
		return 0, r.at(i, hint, "%s %s is not %s", what, quoted(text), kind)
	case strings.HasPrefix(text, "-"):
		return 0, r.at(i, hint, "%s %s is negative", what, quoted(text))
	case v < c.least:
		return 0, r.at(i, hint, "%s %s is too small", what, quoted(text))
	case v > c.most:
		return 0, r.at(i, hint, "%s %s is too large", what, quoted(text))
	}
	// An exponent, in place of a product, makes 41.2 ms 41200000 ns and not its neighbour.
	return strconv.ParseFloat(fmt.Sprintf("%se%d", text, c.scale), 64)
}
