package tool

import (
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"gomahi/scenario"
	"gomahi/trace"
)

// describe says what a scenario does: a table of its rows, and how delay and rate go.
func (o *Path) describe(w io.Writer, up, down []scenario.Change) error {
	if reflect.DeepEqual(up, down) {
		return o.describeOne(w, "both directions", up)
	}
	if err := o.describeOne(w, "uplink", up); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return o.describeOne(w, "downlink", down)
}

// A cell is what a column of the table says of a change that follows another.
type cell struct {
	name string
	said bool // in any row
	say  func(c, before *scenario.Change) string
}

func (o *Path) describeOne(w io.Writer, name string, rows []scenario.Change) error {
	has := func(f func(c *scenario.Change) bool) bool {
		for i := range rows {
			if f(&rows[i]) {
				return true
			}
		}
		return false
	}
	limit := ""
	cells := []cell{
		{"time", true, func(c, _ *scenario.Change) string { return seconds(c.At) + " s" }},
		{"route", has(func(c *scenario.Change) bool { return c.Route != rows[0].Route }), func(c, before *scenario.Change) string {
			if c.Route != before.Route && o.pause > 0 {
				return fmt.Sprintf("%d after %s ms", c.Route, milliseconds(o.pause))
			}
			return fmt.Sprint(c.Route)
		}},
		{"delay", true, func(c, _ *scenario.Change) string { return milliseconds(c.Delay) + " ms" }},
		{"rate", has(func(c *scenario.Change) bool { return c.Rate > 0 }), func(c, _ *scenario.Change) string { return rateOf(&c.State) }},
		{"queue", has(func(c *scenario.Change) bool { return c.Rate > 0 }), func(c, before *scenario.Change) string {
			if limit == "" || c.Resizes(&before.State, o.Resize == "always") {
				limit = limitOf(&c.State)
			}
			return limit
		}},
		{"loss", has(func(c *scenario.Change) bool { return c.Loss > 0 }), func(c, _ *scenario.Change) string { return fmt.Sprintf("%.6g %%", 100*c.Loss) }},
		{"jitter", has(func(c *scenario.Change) bool { return c.Jitter > 0 }), func(c, _ *scenario.Change) string { return milliseconds(c.Jitter) + " ms" }},
		{"link", has(func(c *scenario.Change) bool { return c.Down }), func(c, _ *scenario.Change) string { return c.Link() }},
	}
	fmt.Fprintf(w, "%s, %d row", name, len(rows))
	if len(rows) != 1 {
		fmt.Fprint(w, "s")
	}
	if period := scenario.Period(rows); o.Loop && period > 0 {
		fmt.Fprintf(w, ", again after %s s", seconds(period))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(say func(*cell) string) {
		for i := range cells {
			if cells[i].said {
				fmt.Fprint(t, say(&cells[i]), "\t")
			}
		}
		fmt.Fprintln(t)
	}
	line(func(c *cell) string { return c.name })
	before := &rows[0]
	for i := range rows {
		line(func(c *cell) string {
			if i == 0 && c.name == "time" {
				return "0 s" // whatever the row says
			}
			return c.say(&rows[i], before)
		})
		before = &rows[i]
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return o.sparklines(w, rows)
}

func rateOf(s *scenario.State) string {
	if s.Rate == 0 {
		return "no limit"
	}
	return trace.Rate(float64(s.Rate))
}

func limitOf(s *scenario.State) string {
	switch packets, bytes := s.Limits(); {
	case packets < math.MaxInt:
		return fmt.Sprintf("%d packets", packets)
	case bytes < math.MaxInt:
		return fmt.Sprintf("%d bytes", bytes)
	}
	return "no limit"
}

// Length is how long a scenario is shown: until the last row has held as long as the one before it.
func Length(rows []scenario.Change) time.Duration {
	if len(rows) == 1 {
		return rows[0].At + time.Second
	}
	return scenario.Period(rows)
}

// sparklines show delay and rate over the scenario's length, from the lowest to the highest.
func (o *Path) sparklines(w io.Writer, rows []scenario.Change) error {
	const columns = 60
	var delays, rates []float64
	length := Length(rows)
	p := scenario.Play(rows, o.Interpolate, false)
	now, _ := p.Next()
	next, more := p.Next()
	for i := range columns {
		for more && next.At <= length*time.Duration(i)/columns {
			now = next
			next, more = p.Next()
		}
		delays, rates = append(delays, float64(now.Delay)), append(rates, float64(now.Rate))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	low, high, line := sparkline(delays)
	fmt.Fprintf(t, "delay\t%s\t%s to %s ms\n", line, milliseconds(time.Duration(low)), milliseconds(time.Duration(high)))
	if low, high, line = sparkline(rates); high > 0 {
		fmt.Fprintf(t, "rate\t%s\t%s to %s\n", line, rateOf(&scenario.State{Rate: int64(low)}), rateOf(&scenario.State{Rate: int64(high)}))
	}
	return t.Flush()
}

func sparkline(values []float64) (low, high float64, line string) {
	levels := []rune("▁▂▃▄▅▆▇█")
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	var b strings.Builder
	for _, v := range values {
		k := 0
		if high > low {
			k = int(math.Round((v - low) / (high - low) * float64(len(levels)-1)))
		}
		b.WriteRune(levels[k])
	}
	return low, high, b.String()
}
