package shell

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Histogram counts durations from a nanosecond to an hour, to 1 %. The zero value is empty.
type Histogram struct {
	Max time.Duration // of all, exactly

	h *hdrhistogram.Histogram
}

// Add counts a duration n times.
func (h *Histogram) Add(d time.Duration, n int) {
	if h.h == nil {
		h.h = hdrhistogram.New(1, int64(time.Hour), 2)
	}
	h.h.RecordValues(int64(max(0, min(d, time.Hour))), int64(n))
	h.Max = max(h.Max, d)
}

func (h *Histogram) merge(other *Histogram) {
	switch {
	case other.h == nil:
	case h.h == nil:
		h.h = other.h.Clone()
	default:
		h.h.Merge(other.h)
	}
	h.Max = max(h.Max, other.Max)
}

func (h *Histogram) reset() {
	if h.h != nil {
		h.h.Reset()
	}
	h.Max = 0
}

// Quantile is what a part q of all was at most, from 0 to 1; 0 of nothing.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.h == nil {
		return 0
	}
	return min(h.Max, time.Duration(h.h.ValueAtQuantile(100*q)))
}

// Count is of how many it is.
func (h *Histogram) Count() uint64 {
	if h.h == nil {
		return 0
	}
	return uint64(h.h.TotalCount())
}
