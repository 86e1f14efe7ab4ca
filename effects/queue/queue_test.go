package queue

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
)

const ms = time.Millisecond

// make4 takes a frame from the pool and fills it with one UDP packet over IPv4: its number is its identification, its
// flow its source port.
func make4(pool *packet.Pool, number, size int, ecn byte, flow uint16) packet.Packet {
	f := pool.Get()
	f.FilledPlain(size)
	ip := f.Headers()
	clear(ip[:28])
	ip[0], ip[1], ip[8], ip[9] = 0x45, ecn, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(size))
	binary.BigEndian.PutUint16(ip[4:], uint16(number))
	binary.BigEndian.PutUint16(ip[20:], flow)
	return f.Packet(0, 12345) // no queue looks at when it was read
}

func number(p packet.Packet) int { return int(binary.BigEndian.Uint16(p.Frame.Headers()[4:])) }

// outcome is a packet's end: What is "left", "left marked", or why it was dropped.
type outcome struct {
	At     time.Duration
	Number int
	What   string
}

// bench is a queue under test, with what became of its packets.
type bench struct {
	Queue
	pool packet.Pool
	next int
	out  []outcome
}

func (b *bench) Drop(now time.Duration, p packet.Packet, reason string) {
	b.out = append(b.out, outcome{now, number(p), reason})
}

// setUp makes a queue of a link of 12 Mbit/s: a full packet a millisecond.
func setUp(t testing.TB, kind, args string, overhead int) *bench {
	t.Helper()
	s, err := Parse(kind, args)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{}
	b.Queue = s.New(b.config(overhead))
	return b
}

func (b *bench) config(overhead int) Config {
	return Config{Overhead: overhead, Rate: 12e6, Random: rand.New(rand.NewPCG(1, 2)), Seen: b}
}

func (b *bench) push(now time.Duration, size int, ecn byte, flow uint16) {
	b.Push(now, make4(&b.pool, b.next, size, ecn, flow))
	b.next++
}

func (b *bench) pop(now time.Duration) bool {
	p, ok := b.Pop(now)
	if !ok {
		return false
	}
	what := "left"
	if p.Frame.Headers()[1]&3 == 3 {
		what = "left marked"
	}
	b.out = append(b.out, outcome{now, number(p), what})
	p.Release()
	return true
}

// all pops all that is left, and returns what became of every packet.
func (b *bench) all(now time.Duration) []outcome {
	for b.pop(now) {
	}
	return b.out
}

// except returns the outcomes that are not plain departures.
func except(out []outcome, what string) (rest []outcome) {
	for _, o := range out {
		if o.What != what {
			rest = append(rest, o)
		}
	}
	return rest
}

func TestLimits(t *testing.T) {
	type event struct {
		at   time.Duration
		size int // to push, or 0 to pop
	}
	burst := func(sizes ...int) (out []event) {
		for i, size := range sizes {
			out = append(out, event{time.Duration(i), size})
		}
		return out
	}
	const end = 9 * ms
	for _, row := range []struct {
		name, kind, args string
		overhead         int
		events           []event
		want             []outcome
	}{
		{"infinite", "infinite", "", 4, burst(1500, 40, 1500),
			[]outcome{{end, 0, "left"}, {end, 1, "left"}, {end, 2, "left"}}},
		{"droptail, packets", "droptail", "packets=2", 4, burst(1500, 40, 40, 1500),
			[]outcome{{2, 2, "queue full"}, {3, 3, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, bytes, the last one fits", "droptail", "bytes=3008", 4, burst(1500, 1500, 40),
			[]outcome{{2, 2, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, one byte too many, then a smaller one", "droptail", "bytes=3007", 4, burst(1500, 1500, 1499),
			[]outcome{{1, 1, "queue full"}, {end, 0, "left"}, {end, 2, "left"}}},
		{"droptail, room again", "droptail", "packets=1", 0, []event{{0, 100}, {1, 100}, {2, 0}, {2, 100}, {3, 0}},
			[]outcome{{1, 1, "queue full"}, {2, 0, "left"}, {3, 2, "left"}}},
		{"droptail, both limits, packets first", "droptail", "packets=2, bytes=9000", 0, burst(1500, 1500, 40),
			[]outcome{{2, 2, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, both limits, bytes first", "droptail", "packets=9, bytes=3000", 0, burst(1500, 1500, 40),
			[]outcome{{2, 2, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, 2 ms of 12 Mbit/s are 3000 bytes", "droptail", "ms=2", 0, burst(1500, 1500, 40),
			[]outcome{{2, 2, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, half of 4 ms as well", "droptail", "bdp=0.5, rtt=4", 0, burst(1500, 1500, 40),
			[]outcome{{2, 2, "queue full"}, {end, 0, "left"}, {end, 1, "left"}}},
		{"droptail, of a time never less than a packet", "droptail", "ms=0.1", 4, burst(1500, 40),
			[]outcome{{1, 1, "queue full"}, {end, 0, "left"}}},
		{"droptail, too large for the queue", "droptail", "bytes=1000", 0, burst(1001, 1000),
			[]outcome{{0, 0, "queue full"}, {end, 1, "left"}}},
		{"drophead, packets", "drophead", "packets=2", 4, burst(1500, 40, 40, 1500),
			[]outcome{{2, 0, "queue full"}, {3, 1, "queue full"}, {end, 2, "left"}, {end, 3, "left"}}},
		{"drophead, one for several", "drophead", "bytes=1600", 0, burst(500, 500, 500, 1500),
			[]outcome{{3, 0, "queue full"}, {3, 1, "queue full"}, {3, 2, "queue full"}, {end, 3, "left"}}},
		{"drophead, too large for the queue", "drophead", "bytes=1000", 0, burst(400, 1001, 400),
			[]outcome{{1, 0, "queue full"}, {1, 1, "queue full"}, {end, 2, "left"}}},
		{"codel", "codel", "packets=1", 0, burst(100, 100), []outcome{{1, 1, "queue full"}, {end, 0, "left"}}},
		{"pie", "pie", "packets=1", 0, burst(100, 100), []outcome{{1, 1, "queue full"}, {end, 0, "left"}}},
		{"red", "red", "packets=1, min_bytes=9000", 0, burst(100, 100), []outcome{{1, 1, "queue full"}, {end, 0, "left"}}},
		{"fq_codel, from the head", "fq_codel", "packets=1", 0, burst(100, 100),
			[]outcome{{1, 0, "queue full"}, {end, 1, "left"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setUp(t, row.kind, row.args, row.overhead)
			for _, e := range row.events {
				if e.size == 0 {
					b.pop(e.at)
				} else {
					b.push(e.at, e.size, 0, 0)
				}
			}
			if d := cmp.Diff(row.want, b.all(end)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if b.Len() != 0 || b.Bytes() != 0 {
				t.Errorf("%d packets of %d bytes are in an empty queue", b.Len(), b.Bytes())
			}
		})
	}
}

// every has a spec of each kind.
var every = []struct{ kind, args string }{
	{"infinite", ""},
	{"droptail", "packets=20"},
	{"drophead", "packets=20"},
	{"codel", "packets=20, target=1, interval=5, ecn"},
	{"pie", "packets=20, qdelay_ref=1, max_burst=0, ecn"},
	{"fq_codel", "packets=20, target=1, interval=5, flows=8, ecn"},
	{"red", "packets=20, ecn"},
}

// steady takes a queue to its steady state and returns what passes a millisecond: one or two packets come, one goes.
func steady(t testing.TB, kind, args string) func() {
	s, err := Parse(kind, args)
	if err != nil {
		t.Fatal(err)
	}
	q := s.New(Config{Rate: 12e6, Random: rand.New(rand.NewPCG(1, 2)), Seen: silent{}})
	var pool packet.Pool
	now, i := time.Duration(0), 0
	turn := func() {
		now += ms
		for range 1 + i/8%2 {
			i++
			q.Push(now, make4(&pool, i, 1000, byte(i%3), uint16(i%5)))
		}
		for range 1 + q.Len()/20 {
			if p, ok := q.Pop(now); ok {
				p.Release()
			}
		}
	}
	for range 5000 {
		turn()
	}
	return turn
}

type silent struct{}

func (silent) Drop(time.Duration, packet.Packet, string) {}

// The steady state allocates nothing, which it would if packets were not released.
func TestAllocations(t *testing.T) {
	for _, row := range every {
		t.Run(row.kind, func(t *testing.T) {
			if n := testing.AllocsPerRun(2000, steady(t, row.kind, row.args)); n != 0 {
				t.Errorf("%v allocations a packet", n)
			}
		})
	}
}

func BenchmarkQueue(b *testing.B) {
	for _, row := range every {
		b.Run(row.kind, func(b *testing.B) {
			b.ReportAllocs()
			turn := steady(b, row.kind, row.args)
			for b.Loop() {
				turn()
			}
		})
	}
}
