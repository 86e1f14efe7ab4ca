package shell

import (
	"testing"
	"time"
)

// No quantile is above the maximum, which is exact, and each is within 1 %.
func TestHistogram(t *testing.T) {
	const odd = 1234567 * time.Nanosecond
	var one, many, all Histogram
	one.Add(odd, 3)
	for i := range 1000 {
		many.Add(time.Duration(i)*time.Microsecond, 1)
	}
	all.merge(&one)
	all.merge(&many)
	one.merge(new(Histogram))
	for _, row := range []struct {
		name string
		h    *Histogram
		q    float64
		want time.Duration
		max  time.Duration
		n    uint64
	}{
		{"nothing", new(Histogram), 0.99, 0, 0, 0},
		{"one value, the median", &one, 0.5, odd, odd, 3},
		{"one value, all of it", &one, 1, odd, odd, 3},
		{"many, 99 %", &many, 0.99, 989 * time.Microsecond, 999 * time.Microsecond, 1000},
		{"many, all", &many, 1, 999 * time.Microsecond, 999 * time.Microsecond, 1000},
		{"both", &all, 1, odd, odd, 1003},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := row.h.Quantile(row.q)
			if got < row.want*99/100 || got > row.want*101/100 || got > row.h.Max {
				t.Errorf("%v, want %v", got, row.want)
			}
			if row.h.Max != row.max || row.h.Count() != row.n {
				t.Errorf("%d, at most %v; want %d, %v", row.h.Count(), row.h.Max, row.n, row.max)
			}
		})
	}
	all.reset()
	if all.Max != 0 || all.Count() != 0 || all.Quantile(1) != 0 {
		t.Error("something is left")
	}
	if many.Max == 0 || one.Count() != 3 {
		t.Error("a merge shares what it took")
	}
}
