package tui

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"gomahi/meter"
)

// unit is what a scale counts in.
type unit struct {
	name string
	is   float64
}

// Rates in bit/s, delays in seconds.
var units = map[string][]unit{
	meter.Rate:  {{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}},
	meter.Delay: {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}},
}

// unitOf is the largest of which a value is at least one.
func unitOf(what string, v float64) unit {
	all := units[what]
	for _, u := range all {
		if v >= u.is*0.9995 {
			return u
		}
	}
	return all[len(all)-1]
}

// figure is a value with three digits.
func figure(v float64, u unit) string {
	v /= u.is
	digits := 0
	for n := v; n < 99.95 && digits < 2; n *= 10 {
		digits++
	}
	if v == 0 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// An axis goes from 0 (or, on a logarithmic scale, four decades below) to its top, a round number.
type axis struct {
	top float64
	log bool
	unit
}

const decades = 4

// axisFor is for values up to a peak.
func axisFor(what string, peak float64, log bool) axis {
	least := units[what][len(units[what])-1].is
	if what == meter.Rate {
		least = 1e3
	}
	peak = max(peak, least)
	power := math.Pow(10, math.Floor(math.Log10(peak)+1e-9))
	top := 10 * power
	if log {
		if peak <= power*(1+1e-9) {
			top = power
		}
	} else {
		for _, n := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
			if peak <= n*power*(1+1e-9) {
				top = n * power
				break
			}
		}
	}
	return axis{top: top, log: log, unit: unitOf(what, top)}
}

// level is how high a value is, of so many steps. What is above 0 is at least one.
func (a axis) level(v float64, steps int) int {
	if v <= 0 {
		return 0
	}
	part := v / a.top
	if a.log {
		part = 1 + math.Log10(part)/decades
	}
	return min(max(1, int(math.Round(part*float64(steps)))), steps)
}

// at is the value at a part of the axis, from 0 to 1.
func (a axis) at(part float64) float64 {
	if a.log {
		return a.top * math.Pow(10, (part-1)*decades)
	}
	return a.top * part
}

// label is short; it has a unit if that is not the axis's, or not said elsewhere.
func (a axis) label(what string, part float64, said bool) string {
	v := a.at(part)
	if v == 0 {
		return "0"
	}
	u := a.unit
	if a.log {
		u = unitOf(what, v)
	}
	suffix := ""
	if u != a.unit || !said {
		suffix = u.name
		if what == meter.Rate {
			suffix = suffix[:1] // k, M, G, or b
		}
	}
	return strconv.FormatFloat(v/u.is, 'g', 3, 64) + suffix
}

// ago formats a time before now: "60 s", "5 min".
func ago(d time.Duration) string {
	switch {
	case d >= 2*time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("-%d min", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("-%d s", d/time.Second)
	}
	return fmt.Sprintf("-%.1f s", d.Seconds())
}
