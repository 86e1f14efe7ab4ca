package shell

import (
	"testing"
	"time"
)

func TestLateness(t *testing.T) {
	type event struct {
		due, now time.Duration // a packet, or, without due, a look at what is pending
		resumed  time.Duration
	}
	look := func(now, resumed time.Duration) event { return event{-1, now, resumed} }
	left := func(due, now time.Duration) event { return event{due: due, now: now} }
	for _, row := range []struct {
		name    string
		events  []event
		packets uint64
		max     time.Duration
	}{
		{"nothing", []event{look(time.Second, 0)}, 0, 0},
		{"in time", []event{left(5, 5), look(time.Second, 0)}, 0, 0},
		{"a little late", []event{left(5, 12), left(100, 104), look(0, 0)}, 0, 7},
		{"just not late", []event{left(ms, 2*ms), look(time.Second, 0)}, 0, ms},
		{"just late", []event{left(ms, 2*ms+1), look(time.Second, 0)}, 1, ms + 1},
		{"late, as yet unproven", []event{left(ms, 11*ms), look(31*ms-1, 0)}, 0, 0},
		{"late, just proven", []event{left(ms, 11*ms), look(31*ms, 0)}, 1, 10 * ms},
		{"late, long since", []event{left(ms, 11*ms), look(time.Hour, 0)}, 1, 10 * ms},
		{"proven from the first, not the last", []event{left(ms, 11*ms), left(20*ms, 30*ms), look(31*ms, 0)}, 2, 10 * ms},
		{"the worst of several", []event{left(1*ms, 4*ms), left(2*ms, 9*ms), left(8*ms, 10*ms), look(40*ms, 0)}, 3, 7 * ms},
		{"two periods", []event{left(1*ms, 4*ms), look(30*ms, 0), left(40*ms, 42*ms), look(70*ms, 0)}, 2, 3 * ms},
		{"the second unproven", []event{left(1*ms, 4*ms), look(30*ms, 0), left(40*ms, 60*ms), look(70*ms, 0)}, 1, 3 * ms},
		{"stopped meanwhile", []event{left(ms, 10*time.Second), look(11*time.Second, 10*time.Second)}, 0, 0},
		{"stopped, and the news came just after", []event{left(ms, 10*time.Second), look(10*time.Second+ms, 0),
			look(10*time.Second+prove, 10*time.Second+2*ms)}, 0, 0},
		{"stopped before", []event{left(2*time.Second, 3*time.Second), look(4*time.Second, time.Second)}, 1, time.Second},
		{"due when continued", []event{left(2*time.Second, 3*time.Second), look(4*time.Second, 2*time.Second)}, 0, 0},
		{"late again after a stop", []event{left(ms, time.Second), look(1100*ms, time.Second), left(2*time.Second, 2005*ms),
			look(3*time.Second, time.Second)}, 1, 5 * ms},
		{"many of a stop", []event{left(ms, time.Second), left(500*ms, time.Second), left(990*ms, time.Second),
			look(1100*ms, time.Second)}, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var l Lateness
			for _, e := range row.events {
				if e.due >= 0 {
					l.note(e.due, e.now, 1)
				} else {
					l.settle(e.now, e.resumed)
				}
			}
			if l.Packets != row.packets || l.Max != row.max {
				t.Errorf("%d late, at most %v; want %d, %v", l.Packets, l.Max, row.packets, row.max)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	var l Lateness
	for i := range 1000 {
		l.note(0, time.Duration(i)*time.Microsecond, 1)
	}
	l.note(0, time.Second, 1) // a pause, as it turns out
	l.settle(2*time.Second, time.Second)
	for _, row := range []struct {
		q    float64
		want time.Duration
	}{{0, 0}, {0.01, 9 * time.Microsecond}, {0.5, 499 * time.Microsecond}, {0.99, 989 * time.Microsecond}, {1, 999 * time.Microsecond}} {
		if got := l.Quantile(row.q); got < row.want || got > row.want*101/100 {
			t.Errorf("quantile %v is %v, want %v", row.q, got, row.want)
		}
	}
	if got := new(Lateness).Quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
