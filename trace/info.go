package trace

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// bin is what Describe counts rates over.
const bin = 100 * time.Millisecond

// Rates are the rates in bit/s over bins of a width above 0, and how wide the bins are: the last one, if it is not
// whole, is left out, unless it is the only one.
func (s *Schedule) Rates(width time.Duration) ([]float64, time.Duration) {
	period := s.Period()
	if width > period {
		width = period
	}
	rates := make([]float64, min(period/width, most))
	i := 0
	for _, c := range s.chunks {
		for _, t := range c {
			for i < len(rates) && t > time.Duration(i+1)*width {
				i++
			}
			if i == len(rates) {
				break
			}
			rates[i] += PacketBits / width.Seconds()
		}
	}
	return rates, width
}

// Outage is the longest time without an opportunity, also from the last to the first when the schedule repeats.
func (s *Schedule) Outage() time.Duration {
	longest := s.At(0)
	last := longest
	for _, c := range s.chunks {
		for _, t := range c {
			longest, last = max(longest, t-last), t
		}
	}
	return longest
}

// Describe writes what there is to know at a glance.
func (s *Schedule) Describe(w io.Writer) error {
	rates, width := s.Rates(bin)
	sorted := slices.Sorted(slices.Values(rates))
	p := func(percent int) float64 { // the nearest rank
		return sorted[max(0, (len(sorted)*percent+99)/100-1)]
	}
	_, err := fmt.Fprintf(w, "opportunities   %d\nduration        %s s\nmean            %s\n"+
		"p5 p50 p95      %s, %s, %s over %s ms\nlongest outage  %s ms\n%s\n",
		s.Len(), appendUnits(nil, s.Period(), time.Second), Rate(s.Mean()), Rate(p(5)), Rate(p(50)), Rate(p(95)),
		appendMillis(nil, width), appendMillis(nil, s.Outage()), s.sparkline())
	return err
}

// sparkline has the highest rate at its top and 0 at its bottom, in at most 60 cells of at least a bin.
func (s *Schedule) sparkline() string {
	return Sparkline(s.counts(int(min(60, max(1, s.Period()/bin)))))
}

// Sparkline draws values from 0 up, a character each; the highest is a full block.
func Sparkline[V int | float64](values []V) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	most := slices.Max(values)
	var line []rune
	for _, v := range values {
		level := 0.0
		if most > 0 {
			level = math.Floor(float64(v)*float64(len(levels)-1)/float64(most) + 0.5)
		}
		line = append(line, levels[int(level)])
	}
	return string(line)
}

// Rate formats bit/s with at most four digits: "12 Mbit/s", "720 kbit/s".
func Rate(r float64) string {
	for _, unit := range []struct {
		name string
		is   float64
	}{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}} {
		if r >= unit.is*0.99995 {
			return fmt.Sprintf("%.4g %s", r/unit.is, unit.name)
		}
	}
	return fmt.Sprintf("%.4g bit/s", r)
}
