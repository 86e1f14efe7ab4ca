package queue

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// workload plays the same packets for one seed, whatever the queue: bursts and pauses of arrivals and of the link, of
// milliseconds mostly and of a minute at times.
func workload(b *bench, seed uint64) (out []outcome, depths [][2]int) {
	r := rand.New(rand.NewPCG(seed, 0))
	now := time.Duration(0)
	for range 40 {
		arrive, leave := 1+r.IntN(3), r.IntN(4)
		for range r.IntN(200) {
			now += time.Duration(r.Int64N(int64(2 * ms)))
			for range r.IntN(arrive + 1) {
				b.push(now, 28+r.IntN(1473), byte(r.IntN(4)), uint16(r.IntN(6)))
			}
			for range r.IntN(leave + 1) {
				b.pop(now)
			}
			depths = append(depths, [2]int{b.Len(), b.Bytes()})
		}
		switch r.IntN(8) {
		case 0:
			now += time.Duration(r.Int64N(int64(time.Minute)))
		case 1:
			now += time.Duration(r.Int64N(int64(time.Second)))
		case 2:
			for b.Len() > 0 {
				b.pop(now)
			}
		}
	}
	return b.all(now), depths
}

func TestAgainstReferences(t *testing.T) {
	const overhead = 4
	for _, row := range []struct {
		kind, args string
		reference  func(Config) Queue
	}{
		{"codel", "packets=1000000, target=5, interval=20", func(c Config) Queue {
			return &refCoDel{Config: c, reason: "codel", target: 5 * ms, interval: 20 * ms, maxpacket: 1504}
		}},
		{"codel", "packets=1000000, ecn", func(c Config) Queue {
			return &refCoDel{Config: c, reason: "codel", target: 5 * ms, interval: 100 * ms, maxpacket: 1504, ecn: true}
		}},
		{"fq_codel", "packets=60, target=2.5, interval=20, quantum=300, flows=4, ecn", func(c Config) Queue {
			q := &refFQ{Config: c, seed: c.Random.Uint64(), limit: 60, quantum: 300}
			for range 4 {
				q.queues = append(q.queues, &refFlow{refCoDel: refCoDel{Config: c, reason: "fq_codel", target: 5 * ms / 2,
					interval: 20 * ms, maxpacket: 1504, ecn: true}})
			}
			return q
		}},
		{"fq_codel", "packets=1000", func(c Config) Queue {
			q := &refFQ{Config: c, seed: c.Random.Uint64(), limit: 1000, quantum: 1514}
			for range 1024 {
				q.queues = append(q.queues, &refFlow{refCoDel: refCoDel{Config: c, reason: "fq_codel", target: 5 * ms,
					interval: 100 * ms, maxpacket: 1504}})
			}
			return q
		}},
		{"pie", "packets=1000000", func(c Config) Queue {
			return &refPIE{Config: c, ref: 0.015, maxBurst: 0.150, left: 0.150}
		}},
		{"pie", "packets=1000000, qdelay_ref=5, max_burst=30, ecn", func(c Config) Queue {
			return &refPIE{Config: c, ref: 0.005, maxBurst: 0.030, left: 0.030, ecn: true}
		}},
		{"red", "packets=1000000, min_bytes=5000", func(c Config) Queue {
			return &refRED{Config: c, minth: 5000, maxth: 15000, maxp: 0.1, wq: 1 - math.Exp(-8*1504/c.Rate), count: -1}
		}},
		{"red", "packets=1000000, max_bytes=60000, ecn", func(c Config) Queue {
			return &refRED{Config: c, minth: 20000, maxth: 60000, maxp: 0.1, wq: 1 - math.Exp(-8*1504/c.Rate), count: -1,
				ecn: true}
		}},
	} {
		t.Run(row.kind+" "+row.args, func(t *testing.T) {
			ends := map[string]int{}
			for seed := range uint64(15) {
				b, ref := setUp(t, row.kind, row.args, overhead), &bench{}
				ref.Queue = row.reference(ref.config(overhead))
				got, depths := workload(b, seed)
				want, refDepths := workload(ref, seed)
				if !slices.Equal(want, got) {
					t.Fatalf("seed %d (-reference +queue):\n%s", seed, cmp.Diff(want, got))
				}
				if !slices.Equal(refDepths, depths) {
					t.Fatalf("seed %d, packets and bytes that wait (-reference +queue):\n%s", seed, cmp.Diff(refDepths, depths))
				}
				if b.next != len(got) {
					t.Fatalf("seed %d: %d packets came, %d left or were dropped", seed, b.next, len(got))
				}
				for _, o := range got {
					ends[o.What]++
				}
			}
			if ends["left"] < 1000 || ends[row.kind] < 1000 {
				t.Errorf("a workload that tries little: %v", ends)
			}
		})
	}
}
