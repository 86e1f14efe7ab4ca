package queue

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A queue that stands still from 0 on: at each update the delay is 15 ms more, so that the controller's p is
// 0.125 (delay - 0.015) + 1.25 * 0.015 = 0.01875 + 0.001875 k at update k from 0, divided by what the last probability
// calls for: 0.01875/2048, then 0.020625/512, 0.0225/128, ...
func TestPIEProbability(t *testing.T) {
	b := setUp(t, "pie", "packets=100", 0)
	q := b.Queue.(*pie)
	for range 90 {
		b.push(0, 1500, 0, 0)
	}
	for _, row := range []struct {
		at, burst time.Duration
		prob      float64
	}{
		{15*ms - 1, 150 * ms, 0},
		{15 * ms, 135 * ms, 0.01875 / 2048},                           // 0.0000092
		{30 * ms, 120 * ms, 0.01875/2048 + 0.020625/512},              // 0.000049
		{45 * ms, 105 * ms, 0.01875/2048 + 0.020625/512 + 0.0225/128}, // 0.00023
		{60 * ms, 90 * ms, 0.000986938},                               // + 0.024375/32
		{75 * ms, 75 * ms, 0.001807251},                               // + 0.02625/32
		{90 * ms, 60 * ms, 0.005322876},                               // + 0.028125/8
		{135 * ms, 15 * ms, 0.029932251},                              // + 0.03/8 + 0.031875/8 + 0.03375/2
		{150 * ms, 0, 0.047744751},                                    // + 0.035625/2
		{195 * ms, 0, 0.106807251},                                    // + 0.0375/2 + 0.039375/2 + 0.04125/2
		{210 * ms, 0, 0.126807251},                                    // + 0.02 from 0.1 on
		{210*ms + 43*15*ms, 0, 0.986807251},
		{210*ms + 44*15*ms, 0, 1},
		{time.Hour + 14*ms, 0, 1},
	} {
		q.update(row.at)
		if math.Abs(q.prob-row.prob) > 1e-9 || q.burst != row.burst {
			t.Errorf("at %v: probability %.9f, allowance %v; want %.9f, %v", row.at, q.prob, q.burst, row.prob, row.burst)
		}
	}
	if q.old != time.Hour || q.next != time.Hour+15*ms {
		t.Errorf("after an hour: delay %v, next update at %v", q.old, q.next)
	}
}

func TestPIEDecay(t *testing.T) {
	q := setUp(t, "pie", "packets=100", 0).Queue.(*pie)
	q.prob, q.burst = 0.5, 0
	q.update(30 * ms)
	// Twice p = -0.125 * 0.015, then times 0.98.
	if want := ((0.5-0.001875)*0.98 - 0.001875) * 0.98; math.Abs(q.prob-want) > 1e-12 || q.burst != 0 {
		t.Errorf("probability %v, allowance %v; want %v, 0", q.prob, q.burst, want)
	}
	if q.update(1000 * time.Hour); q.prob != 0 || q.burst != 150*ms || q.next != 1000*time.Hour+15*ms {
		t.Errorf("after idling: probability %v, allowance %v, next update %v", q.prob, q.burst, q.next)
	}
}

func TestEarly(t *testing.T) {
	const n = 10000
	standing := func(packets int) func(*bench) {
		return func(b *bench) {
			for range packets {
				b.push(0, 1500, 0, 0)
			}
		}
	}
	average := func(bytes float64) func(*bench) {
		return func(b *bench) {
			standing(10)(b)
			q := b.Queue.(*red)
			q.average, q.weight = bytes, 0
		}
	}
	const reds = "packets=100000, min_bytes=10000, max_bytes=30000"
	for _, row := range []struct {
		name, kind, args string
		before           func(*bench)
		at               time.Duration
		ecn              byte
		what             string
		want, within     int // of n packets
	}{
		{"allowance left", "pie", "packets=100000", standing(90), 150*ms - 1, 0, "left", n, 0},
		{"0.0477 at 150 ms", "pie", "packets=100000", standing(90), 150 * ms, 0, "pie", 477, 64},
		{"marks as often", "pie", "packets=100000, ecn", standing(90), 150 * ms, 2, "left marked", 477, 64},
		{"marks none that is not capable", "pie", "packets=100000, ecn", standing(90), 150 * ms, 0, "pie", 477, 64},
		{"no marks from 0.1 on", "pie", "packets=100000, ecn", standing(90), 195 * ms, 1, "pie", 1068, 93},
		{"all after 2 s", "pie", "packets=100000, ecn", standing(90), 2 * time.Second, 1, "pie", n, 0},
		{"all but what finds two or fewer", "pie", "packets=100000", standing(2), 2 * time.Second, 0, "pie", n - 1, 0},
		{"average below min", "red", reds, average(9999), 0, 0, "left", n, 0},
		// p is 0.05: every 1st to 19th packet, see TestREDSpreads.
		{"average in the middle", "red", reds, average(20000), 0, 0, "red", n / 10, 50},
		{"marks as well", "red", reds + ", ecn", average(20000), 0, 2, "left marked", n / 10, 50},
		{"not those not capable", "red", reds + ", ecn", average(20000), 0, 0, "red", n / 10, 50},
		// p is 0.1 + 0.9 * 3000/30000 = 0.19: the next to the 4th with 0.19/0.81 each, or else the 5th; every 2.65th.
		{"gentle", "red", reds + ", ecn", average(33000), 0, 2, "red", n * 100 / 265, 100},
		{"average at twice max", "red", reds + ", ecn", average(60000), 0, 2, "red", n, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, row.kind, row.args, 0)
			row.before(b)
			first := b.next
			for range n {
				b.push(row.at, 100, row.ecn, 0)
			}
			ends := map[string]int{}
			for _, o := range b.all(row.at) {
				if o.Number >= first {
					ends[o.What]++
				}
			}
			if off := ends[row.what] - row.want; off < -row.within || off > row.within || ends["left"]+ends[row.what] < n {
				t.Errorf("%v, want %d (or %d off) of %s", ends, row.want, row.within, row.what)
			}
		})
	}
}

// With p = 1/20 each of the 19 packets after a drop is as likely to be the next. (It would be 20, did the pseudocode of
// the 1993 paper count from 0.)
func TestREDSpreads(t *testing.T) {
	b := setUp(t, "red", "packets=100000, min_bytes=10000, max_bytes=30000", 0)
	b.push(0, 1500, 0, 0)
	q := b.Queue.(*red)
	q.average, q.weight = 20000, 0 // p is 0.05
	var gaps [20]int
	last := 0
	for range 20000 {
		b.push(0, 100, 0, 0)
		if q.count == 0 && len(b.out) > 0 && b.out[len(b.out)-1].Number == b.next-1 {
			if last > 0 {
				gaps[min(b.next-last, 19)]++
				if b.next-last > 19 {
					t.Fatalf("%d packets without a drop", b.next-last-1)
				}
			}
			last = b.next
		}
	}
	for gap, n := range gaps[1:] {
		if n < 60 || n > 150 { // about 20000/10/19 = 105 each
			t.Errorf("%d drops were %d packets after the last", n, gap+1)
		}
	}
}

func TestREDAdapts(t *testing.T) {
	for _, row := range []struct {
		name    string
		average float64
		after   time.Duration
		want    float64
	}{
		{"not yet", 29000, 500*ms - 1, 0.1},
		{"up", 29000, 500 * ms, 0.11},
		{"up and up", 29000, 2 * time.Second, 0.14},
		{"no further than a half", 29000, time.Hour, 0.5},
		{"in the middle", 20000, time.Hour, 0.1},
		{"down", 11000, time.Second, 0.081},
		{"no further than just below 0.01", 11000, time.Hour, 0.1 * math.Pow(0.9, 22)},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, "red", "packets=1000, min_bytes=10000, max_bytes=30000", 0)
			b.push(0, 1500, 0, 0)
			q := b.Queue.(*red)
			q.average = row.average
			if q.adapt(row.after); math.Abs(q.maxP-row.want) > 1e-9 || q.next <= row.after {
				t.Errorf("max_p is %v, want %v; next change at %v", q.maxP, row.want, q.next)
			}
		})
	}
	b := setUp(t, "red", "packets=120", 0)
	q := b.Queue.(*red)
	if q.min != 15000 || q.max != 45000 {
		t.Errorf("of 120 full packets, the thresholds are %v and %v", q.min, q.max)
	}
	q.average = 1000
	if got := q.averageAt(2 * time.Second); math.Abs(got-1000/math.E/math.E) > 1e-9 {
		t.Errorf("after 2 s without packets the average of 1000 is %v", got)
	}
}

func TestFQCoDel(t *testing.T) {
	type event struct {
		flow uint16 // to push one of, or 0 to pop
		n    int
	}
	for _, row := range []struct {
		name, args string
		events     []event
		want       []outcome
	}{
		// The quantum of 1514 lets flow 1 send two; then flow 2 is new and sends two, and then each has a turn: flow 1 has
		// credits of 28, then 42, flow 2 one of 28 but no packet.
		{"a new flow goes first", "", []event{{1, 6}, {0, 2}, {2, 2}, {0, 6}},
			[]outcome{{0, 0, "left"}, {0, 1, "left"}, {0, 6, "left"}, {0, 7, "left"}, {0, 2, "left"}, {0, 3, "left"},
				{0, 4, "left"}, {0, 5, "left"}}},
		{"half of the largest queue goes", "packets=10", []event{{1, 9}, {2, 2}, {0, 1}},
			[]outcome{{0, 0, "queue full"}, {0, 1, "queue full"}, {0, 2, "queue full"}, {0, 3, "queue full"}, {0, 4, "left"}}},
		{"again if that is not enough", "bytes=6000", []event{{1, 2}, {2, 3}, {0, 4}},
			[]outcome{{0, 2, "queue full"}, {0, 0, "left"}, {0, 1, "left"}, {0, 3, "left"}, {0, 4, "left"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, "fq_codel", row.args, 0)
			for _, e := range row.events {
				for range e.n {
					if e.flow == 0 {
						b.pop(0)
					} else {
						b.push(0, 1500, 0, e.flow)
					}
				}
			}
			if d := cmp.Diff(row.want, b.out); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A queue holds 10,240 packets unless told otherwise, and at most 64 are dropped at once.
func TestFQCoDelDefaultLimit(t *testing.T) {
	b := setUp(t, "fq_codel", "", 0)
	for range 10241 {
		b.push(0, 100, 0, 1)
	}
	if b.Len() != 10241-64 || len(b.out) != 64 {
		t.Errorf("%d packets wait, %d are dropped", b.Len(), len(b.out))
	}
}
