package effects

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// Packets have 100 bytes: at 8 Mbit/s that is 100 µs each, and at 7 Mbit/s 114285 5/7 ns.
func TestShape(t *testing.T) {
	const us = time.Microsecond
	at := func(times ...time.Duration) (out []departure) {
		for i, d := range times {
			out = append(out, departure{Number: i, At: d})
		}
		return out
	}
	droptail, err := queue.Parse("droptail", "packets=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name              string
		rate, burst, peak int64
		queue             *queue.Spec
		arrivals          []time.Duration
		left, dropped     []departure
	}{
		{"a burst, then the rate", 8e6, 300, 0, &queue.Spec{}, make([]time.Duration, 5), at(0, 0, 0, 100*us, 200*us), nil},
		{"parts of nanoseconds are kept", 7e6, 100, 0, &queue.Spec{}, make([]time.Duration, 8),
			at(0, 114286, 228572, 342858, 457143, 571429, 685715, 800000), nil},
		{"it fills up in a pause, but no more than full", 8e6, 200, 0, &queue.Spec{},
			[]time.Duration{0, 0, 150 * us, 150 * us, time.Hour, time.Hour, time.Hour},
			at(0, 0, 150*us, 200*us, time.Hour, time.Hour, time.Hour+100*us), nil},
		{"a peak spaces out what is beyond 1500 bytes", 8e6, 10000, 80e6, &queue.Spec{}, make([]time.Duration, 18),
			at(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10*us, 20*us, 30*us), nil},
		{"a queue with a limit", 8e6, 100, 0, &droptail, []time.Duration{0, 0, 0, 0, 100 * us},
			[]departure{{0, 0, ""}, {1, 100 * us, ""}, {2, 200 * us, ""}, {4, 300 * us, ""}}, []departure{{3, 0, "queue full"}}},
		{"policed", 8e6, 200, 0, nil, []time.Duration{0, 0, 0, 100*us - 1, 100 * us, 199 * us, 300 * us},
			[]departure{{0, 0, ""}, {1, 0, ""}, {4, 100 * us, ""}, {6, 300 * us, ""}},
			[]departure{{2, 0, "policed"}, {3, 100*us - 1, "policed"}, {5, 199 * us, "policed"}}},
		{"larger than the burst", 8e6, 99, 0, &queue.Spec{}, make([]time.Duration, 1), nil, []departure{{0, 0, "larger than the burst"}}},
		{"the slowest", 1, 100, 0, &queue.Spec{}, make([]time.Duration, 3), at(0, 800*time.Second, 1600*time.Second), nil},
		{"the fastest, and the largest bucket", 1e12, MaxBurst, 0, &queue.Spec{}, []time.Duration{0, 1, 1e18}, at(0, 1, 1e18), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			var w watch
			var q queue.Queue
			if row.queue != nil {
				q = row.queue.New(queue.Config{Seen: &w})
			}
			left := play(t, NewShape(row.rate, row.burst, row.peak, q, &w), &pool, row.arrivals)
			if d := cmp.Diff(row.left, left); d != "" {
				t.Errorf("departures (-want +got):\n%s", d)
			}
			if d := cmp.Diff(row.dropped, w.drops); d != "" {
				t.Errorf("drops (-want +got):\n%s", d)
			}
		})
	}
}

// Over a long time, and with odd numbers, a shaper is the bucket of the definition, computed in fractions: each packet
// leaves at the first nanosecond at which there are tokens for it.
func TestShapeIsExact(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := Random(seed, "shape")
			rate, burst := 1+r.Int64N(1e7), 1500+r.Int64N(5000)
			s := NewShape(rate, burst, 0, queue.Spec{}.New(queue.Config{}), nil)
			var pool packet.Pool
			rat := func(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
			perNs := big.NewRat(rate, 8e9)
			level, last := rat(burst), time.Duration(0)
			var arrived time.Duration
			for range 500 {
				arrived += time.Duration(r.ExpFloat64() * 8e9 * 700 / float64(rate))
				size := 20 + r.IntN(1481)
				s.Push(arrived, tuntest.Frame(&pool, plain(0, size)).Packet(0, arrived))

				want := max(arrived, last)
				level.Add(level, new(big.Rat).Mul(perNs, rat(int64(want-last))))
				if full := rat(burst); level.Cmp(full) > 0 {
					level = full
				}
				if lack := new(big.Rat).Sub(rat(int64(size)), level); lack.Sign() > 0 {
					wait := lack.Quo(lack, perNs)
					up := new(big.Int).Add(wait.Num(), new(big.Int).Sub(wait.Denom(), big.NewInt(1)))
					ns := up.Quo(up, wait.Denom()).Int64()
					want += time.Duration(ns)
					level.Add(level, new(big.Rat).Mul(perNs, rat(ns)))
				}
				level.Sub(level, rat(int64(size)))
				last = want

				// Each leaves before the next is looked at, so that one comes out at a time.
				next, ok := s.Next()
				if ok {
					arrived = max(arrived, next)
				}
				p, popped := s.Pop(next)
				if !ok || !popped || p.Due != want {
					t.Fatalf("a packet leaves at %d (%v), want %d", p.Due, popped, want)
				}
				p.Release()
			}
		})
	}
}
