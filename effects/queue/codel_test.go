package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A full packet leaves every 10 ms, of a queue with target 5 ms and interval 100 ms.
//
// The packet that leaves at 10 ms is the first to have waited too long, so from 110 ms on CoDel drops: at 110 ms, and
// then interval / sqrt(n) after when the last drop was due: at 210 ms, 210 + 100/sqrt(2) = 280.71 ms, + 100/sqrt(3) =
// 338.45, + 50 = 388.45, + 100/sqrt(5) = 433.17, + 100/sqrt(6) = 473.99, each seen to when next a packet leaves. The
// packet at 10 k ms is number k-1, and one more for each drop before.
func TestCoDel(t *testing.T) {
	fill := func(n, size int, ecn byte) func(*bench) {
		return func(b *bench) {
			for range n {
				b.push(0, size, ecn, 0)
			}
			for at := 10 * ms; at < 480*ms && b.Len() > 0; at += 10 * ms {
				b.pop(at)
			}
		}
	}
	// One arrives whenever one has left, every 20 ms, so each waits for 20 ms times their number.
	standing := func(n int) func(*bench) {
		return func(b *bench) {
			for range n {
				b.push(0, 1500, 0, 0)
			}
			for at := 20 * ms; at < 480*ms; at += 20 * ms {
				b.pop(at)
				b.push(at, 1500, 0, 0)
			}
		}
	}
	for _, row := range []struct {
		name, args string
		play       func(*bench)
		want       []outcome // but plain departures
	}{
		{
			name: "standing queue", args: "packets=100", play: fill(90, 1500, 0),
			want: []outcome{{110 * ms, 10, "codel"}, {210 * ms, 21, "codel"}, {290 * ms, 30, "codel"}, {340 * ms, 36, "codel"},
				{390 * ms, 42, "codel"}, {440 * ms, 48, "codel"}},
		},
		{
			name: "marks", args: "packets=100, ecn", play: fill(90, 1500, 2),
			want: []outcome{{110 * ms, 10, "left marked"}, {210 * ms, 20, "left marked"}, {290 * ms, 28, "left marked"},
				{340 * ms, 33, "left marked"}, {390 * ms, 38, "left marked"}, {440 * ms, 43, "left marked"}},
		},
		{
			name: "not capable of marks", args: "packets=100, ecn", play: fill(90, 1500, 0),
			want: []outcome{{110 * ms, 10, "codel"}, {210 * ms, 21, "codel"}, {290 * ms, 30, "codel"}, {340 * ms, 36, "codel"},
				{390 * ms, 42, "codel"}, {440 * ms, 48, "codel"}},
		},
		{
			name: "capable, but marks are not wanted", args: "packets=100", play: fill(12, 1500, 2),
			// When number 10 is taken there is one more full packet behind it: no more than an MTU.
		},
		{
			name: "capable, but marks are not wanted, one more", args: "packets=100", play: fill(13, 1500, 2),
			want: []outcome{{110 * ms, 10, "codel"}},
		},
		{
			name: "slower control", args: "packets=100, target=50, interval=200", play: fill(90, 1500, 0),
			// Above target from 50 ms on: at 250 and 450 ms. The next is due at 450 + 200/sqrt(2).
			want: []outcome{{250 * ms, 24, "codel"}, {450 * ms, 45, "codel"}},
		},
		{name: "never more than a packet behind", args: "packets=100", play: standing(2)},
		{name: "below target", args: "packets=100, target=60.001", play: standing(3)},
		{
			name: "at target", args: "packets=100, target=60", play: standing(3),
			// From 60 ms on; the eighth packet leaves at 160 ms. The ninth has waited for 40 ms, and then there are two.
			want: []outcome{{160 * ms, 7, "codel"}},
		},
		{name: "a limit of one packet", args: "packets=1", play: fill(1, 1500, 0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, "codel", row.args, 0)
			row.play(b)
			if d := cmp.Diff(row.want, except(b.out, "left")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// When the queue stands again soon after it was short, drops go on at about the rate that they had come to.
func TestCoDelResumes(t *testing.T) {
	for _, row := range []struct {
		name  string
		pause time.Duration
		want  []outcome
	}{
		// Of the first round there were 6 drops, 5 more than when it began: the second begins with a count of 5. Its
		// second drop is due 100/sqrt(5) = 44.72 ms after its first, its third 100/sqrt(6) = 40.82 ms later.
		{"resumes", 0, []outcome{{110 * ms, 10, "codel"}, {160 * ms, 16, "codel"}, {200 * ms, 21, "codel"}}},
		{"starts anew after 16 intervals", 2000 * ms, []outcome{{110 * ms, 10, "codel"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, "codel", "packets=100", 0)
			for range 90 {
				b.push(0, 1500, 0, 0)
			}
			for at := 10 * ms; at < 470*ms; at += 10 * ms {
				b.pop(at)
			}
			b.all(470 * ms)
			before := len(except(b.out, "left"))
			start := 500*ms + row.pause
			first := b.next
			for range 40 {
				b.push(start, 1500, 0, 0)
			}
			b.out = nil
			for at := start + 10*ms; at < start+205*ms; at += 10 * ms {
				b.pop(at)
			}
			var got []outcome
			for _, o := range except(b.out, "left") {
				got = append(got, outcome{o.At - start, o.Number - first, o.What})
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("after %d drops (-want +got):\n%s", before, d)
			}
		})
	}
}
