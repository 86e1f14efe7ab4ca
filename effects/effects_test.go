package effects

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/trace"
	"gomahi/tun/tuntest"
)

const ms = time.Millisecond

type stage = Stage

// plain is a frame of one wire packet of the given size, its number in its first bytes.
func plain(number, size int) []byte {
	b := make([]byte, packet.VnetLen+size)
	binary.BigEndian.PutUint32(b[packet.VnetLen+16:], uint32(number))
	return b
}

// one is the only packet of a new frame.
func one(pool *packet.Pool, number int, now time.Duration) packet.Packet {
	return tuntest.Frame(pool, plain(number, 100)).Packet(0, now)
}

func number(p packet.Packet) int { return int(binary.BigEndian.Uint32(p.Frame.Headers()[16:])) }

// departure is one packet's end: when it left, or was dropped and why.
type departure struct {
	Number int
	At     time.Duration
	Reason string
}

// watch is an observer that keeps what it is told.
type watch struct{ drops []departure }

func (w *watch) Drop(now time.Duration, p packet.Packet, reason string) {
	w.drops = append(w.drops, departure{number(p), now, reason})
}

// play pushes one packet at each of the arrivals and pops each exactly when Next says, as the ferry would, had it no
// lateness. It fails the test where the stage breaks the contract of Next and Pop.
func play(t *testing.T, s stage, pool *packet.Pool, arrivals []time.Duration) (out []departure) {
	t.Helper()
	settle := func(until time.Duration) {
		for {
			next, waiting := s.Next()
			if !waiting {
				if p, ok := s.Pop(until); ok {
					t.Fatalf("Pop gave packet %d though Next promised none", number(p))
				}
				return
			}
			if next > until {
				if p, ok := s.Pop(until); ok {
					t.Fatalf("Pop(%v) gave packet %d though Next said %v", until, number(p), next)
				}
				return
			}
			if p, ok := s.Pop(next - 1); ok {
				t.Fatalf("packet %d left 1 ns early, before %v", number(p), next)
			}
			p, ok := s.Pop(next)
			if !ok {
				t.Fatalf("Pop(%v) gave nothing though Next said so", next)
			}
			if p.Due != next {
				t.Fatalf("packet %d is due at %v, Next said %v", number(p), p.Due, next)
			}
			out = append(out, departure{Number: number(p), At: p.Due})
			p.Release()
		}
	}
	for i, at := range arrivals {
		settle(at)
		s.Push(at, one(pool, i, at))
	}
	settle(1<<63 - 1)
	return out
}

func TestDepartures(t *testing.T) {
	every := func(n int, step time.Duration) (out []time.Duration) {
		for i := range n {
			out = append(out, time.Duration(i)*step)
		}
		return out
	}
	for _, row := range []struct {
		name     string
		stage    func(Observer) stage
		arrivals []time.Duration
		left     []departure
		dropped  []departure
	}{
		{
			name:     "delay",
			stage:    func(Observer) stage { return NewDelay(50 * ms) },
			arrivals: []time.Duration{0, 1, 1, 7 * ms, 50 * ms, 50*ms + 1, time.Hour},
			left: []departure{{0, 50 * ms, ""}, {1, 50*ms + 1, ""}, {2, 50*ms + 1, ""}, {3, 57 * ms, ""}, {4, 100 * ms, ""},
				{5, 100*ms + 1, ""}, {6, time.Hour + 50*ms, ""}},
		},
		{
			name:     "no delay",
			stage:    func(Observer) stage { return NewDelay(0) },
			arrivals: []time.Duration{0, 3, 3},
			left:     []departure{{0, 0, ""}, {1, 3, ""}, {2, 3, ""}},
		},
		{
			name:     "one nanosecond",
			stage:    func(Observer) stage { return NewDelay(1) },
			arrivals: []time.Duration{0, 1},
			left:     []departure{{0, 1, ""}, {1, 2, ""}},
		},
		{
			name:     "no loss",
			stage:    func(o Observer) stage { return NewLoss(0, Random(1, "uplink"), o) },
			arrivals: every(4, 5),
			left:     []departure{{0, 0, ""}, {1, 5, ""}, {2, 10, ""}, {3, 15, ""}},
		},
		{
			name:     "all lost",
			stage:    func(o Observer) stage { return NewLoss(1, Random(1, "uplink"), o) },
			arrivals: every(3, 5),
			dropped:  []departure{{0, 0, "random loss"}, {1, 5, "random loss"}, {2, 10, "random loss"}},
		},
		{
			name:     "half lost, seed 7",
			stage:    func(o Observer) stage { return NewLoss(0.5, Random(7, "uplink"), o) },
			arrivals: every(8, ms),
			left:     []departure{{0, 0, ""}, {3, 3 * ms, ""}, {7, 7 * ms, ""}},
			dropped: []departure{{1, 1 * ms, "random loss"}, {2, 2 * ms, "random loss"}, {4, 4 * ms, "random loss"},
				{5, 5 * ms, "random loss"}, {6, 6 * ms, "random loss"}},
		},
		{
			name:     "fixed outage at its boundaries",
			stage:    func(o Observer) stage { return NewOutage(Fixed{OnFor: 10 * ms, OffFor: 5 * ms}, o) },
			arrivals: []time.Duration{0, 10*ms - 1, 10 * ms, 15*ms - 1, 15 * ms, 25*ms - 1, 25 * ms, 150 * ms, 160 * ms},
			left:     []departure{{0, 0, ""}, {1, 10*ms - 1, ""}, {4, 15 * ms, ""}, {5, 25*ms - 1, ""}, {7, 150 * ms, ""}},
			dropped: []departure{{2, 10 * ms, "link off"}, {3, 15*ms - 1, "link off"}, {6, 25 * ms, "link off"},
				{8, 160 * ms, "link off"}},
		},
		{
			name:     "exponential outage, seed 7",
			stage:    func(o Observer) stage { return NewOutage(NewExponential(ms, ms, Random(7, "outage")), o) },
			arrivals: every(10, ms/2),
			left: []departure{{0, 0, ""}, {1, ms / 2, ""}, {2, 1 * ms, ""}, {4, 2 * ms, ""},
				{5, 5 * ms / 2, ""}, {8, 4 * ms, ""}},
			dropped: []departure{{3, 3 * ms / 2, "link off"}, {6, 3 * ms, "link off"}, {7, 7 * ms / 2, "link off"},
				{9, 9 * ms / 2, "link off"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			var w watch
			left := play(t, row.stage(&w), &pool, row.arrivals)
			if d := cmp.Diff(row.left, left); d != "" {
				t.Errorf("departures (-want +got):\n%s", d)
			}
			if d := cmp.Diff(row.dropped, w.drops); d != "" {
				t.Errorf("drops (-want +got):\n%s", d)
			}
			again := play(t, row.stage(nil), &pool, row.arrivals)
			if d := cmp.Diff(left, again); d != "" {
				t.Errorf("a second run differs, without an observer (-first +second):\n%s", d)
			}
		})
	}
}

// A late Pop settles everything that is due, in order and with the times at which it was due.
func TestLatePop(t *testing.T) {
	var pool packet.Pool
	s := NewDelay(10 * ms)
	for i := range 5 {
		s.Push(time.Duration(i)*ms, one(&pool, i, time.Duration(i)*ms))
	}
	var got []departure
	for p, ok := s.Pop(12 * ms); ok; p, ok = s.Pop(12 * ms) {
		got = append(got, departure{Number: number(p), At: p.Due})
		p.Release()
	}
	want := []departure{{0, 10 * ms, ""}, {1, 11 * ms, ""}, {2, 12 * ms, ""}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if next, ok := s.Next(); !ok || next != 13*ms {
		t.Errorf("Next is %v, %v; want 13ms, true", next, ok)
	}
}

func TestStreams(t *testing.T) {
	for _, row := range []struct {
		name   string
		seed   uint64
		stream string
		want   []uint64
	}{
		{"uplink of 0", 0, "uplink", []uint64{17292573319143490405, 15633622637327150704}},
		{"downlink of 0", 0, "downlink", []uint64{3296174967752253542, 5000908775146781540}},
		{"uplink of 1", 1, "uplink", []uint64{13228027112405913621, 2824519428614750066}},
		{"outage of the largest", 1<<64 - 1, "outage", []uint64{9717769870138309806, 4331359677455111302}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := Random(row.seed, row.stream)
			if d := cmp.Diff(row.want, []uint64{r.Uint64(), r.Uint64()}); d != "" {
				t.Errorf("a seed no longer means what it did (-want +got):\n%s", d)
			}
		})
	}
}

// One direction's traffic never shifts the other's decisions.
func TestStreamsAreIndependent(t *testing.T) {
	var pool packet.Pool
	fates := func(uplinkPackets int) string {
		var w watch
		up, down := NewLoss(0.5, Random(3, "uplink"), nil), NewLoss(0.5, Random(3, "downlink"), &w)
		out := ""
		for i := range 64 {
			now := time.Duration(i)
			for range uplinkPackets {
				up.Push(now, one(&pool, i, now))
				if p, ok := up.Pop(now); ok {
					p.Release()
				}
			}
			down.Push(now, one(&pool, i, now))
			if p, ok := down.Pop(now); ok {
				p.Release()
				out += "+"
			} else {
				out += "-"
			}
		}
		return out
	}
	alone := fates(0)
	for _, n := range []int{1, 3} {
		if got := fates(n); got != alone {
			t.Errorf("with %d uplink packets for each downlink packet:\n%s, without:\n%s", n, got, alone)
		}
	}
}

func TestLossRate(t *testing.T) {
	const n = 100_000
	for _, row := range []struct {
		rate   float64
		seed   uint64
		stream string
		want   int
	}{
		{0.0001, 1, "uplink", 9},
		{0.01, 1, "uplink", 1046},
		{0.1, 1, "uplink", 10071},
		{0.1, 1, "downlink", 10069},
		{0.1, 2, "uplink", 10013},
		{0.5, 1, "uplink", 49846},
		{0.999, 1, "uplink", 99889},
	} {
		t.Run(fmt.Sprintf("%v of %s, seed %d", row.rate, row.stream, row.seed), func(t *testing.T) {
			var pool packet.Pool
			s := NewLoss(row.rate, Random(row.seed, row.stream), nil)
			lost := 0
			f := tuntest.Frame(&pool, plain(0, 100))
			for i := range n {
				s.Push(time.Duration(i), f.Packet(0, time.Duration(i)))
				p, ok := s.Pop(time.Duration(i))
				if !ok {
					lost++
				} else {
					p.Release()
				}
				f = refill(&pool)
			}
			if lost != row.want {
				t.Errorf("%d of %d lost, want %d", lost, n, row.want)
			}
			if off := math.Abs(float64(lost) - n*row.rate); off > 3*math.Sqrt(n*row.rate*(1-row.rate)) {
				t.Errorf("%d of %d lost is not a rate of %v", lost, n, row.rate)
			}
		})
	}
}

// refill takes a frame from the pool as a device would read into it.
func refill(pool *packet.Pool) *packet.Frame {
	f := pool.Get()
	f.FilledPlain(100)
	return f
}

// A frame goes back to its pool when the last of its packets is written or dropped, and not before.
func TestFramesReturn(t *testing.T) {
	for _, row := range []struct {
		name  string
		stage stage
		leave int // of 5 packets
	}{
		{"all pass a delay", NewDelay(5), 5},
		{"all lost", NewLoss(1, Random(1, "uplink"), nil), 0},
		{"some lost", NewLoss(0.5, Random(7, "uplink"), nil), 2},
		{"link off", NewOutage(Fixed{OffFor: 1}, nil), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			f := tuntest.Frame(&pool, tuntest.Segmented(5))
			if f.Len() != 5 {
				t.Fatalf("the frame stands for %d packets", f.Len())
			}
			for i := range f.Len() {
				row.stage.Push(0, f.Packet(i, 0))
			}
			left := 0
			for p, ok := row.stage.Pop(5); ok; p, ok = row.stage.Pop(5) {
				if other := pool.Get(); other == f {
					t.Fatal("the frame is back in the pool though a packet of it is not written")
				} else {
					pool.Discard(other)
				}
				left++
				p.Release()
			}
			if left != row.leave {
				t.Errorf("%d packets left, want %d", left, row.leave)
			}
			if row.leave > 0 {
				pool.Get() // the other one
			}
			if pool.Get() != f {
				t.Error("the frame is not back in the pool")
			}
		})
	}
}

type steady struct {
	name  string
	stage stage
}

func steadies() []steady {
	every, err := trace.Parse("every 5 µs", strings.NewReader("0.005\n"))
	if err != nil {
		panic(err)
	}
	return []steady{
		{"delay", NewDelay(100)},
		{"loss", NewLoss(0.3, Random(1, "uplink"), &counts{})},
		{"fixed outage", NewOutage(Fixed{OnFor: 7, OffFor: 3}, &counts{})},
		{"exponential outage", NewOutage(NewExponential(MinMean, MinMean, Random(1, "outage")), &counts{})},
		{"link with a schedule", NewTraced(every, false, queue.Spec{}.New(queue.Config{Overhead: Overhead}), Unobserved{})},
		{"link of a rate", Chain{NewRated(1e9, queue.Spec{}.New(queue.Config{}), Unobserved{}), NewDelay(100)}},
	}
}

// turn takes a stage to its steady state, and returns what pushes one packet and pops what is due.
func (s steady) turn() func() {
	var pool packet.Pool
	now := time.Duration(0)
	turn := func() {
		now += 10 * time.Microsecond
		s.stage.Push(now, refill(&pool).Packet(0, now))
		for p, ok := s.stage.Pop(now); ok; p, ok = s.stage.Pop(now) {
			p.Release()
		}
	}
	for range 500 {
		turn()
	}
	return turn
}

// The steady state allocates nothing.
func TestAllocations(t *testing.T) {
	for _, row := range steadies() {
		t.Run(row.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(1000, row.turn()); n != 0 {
				t.Errorf("%v allocations a packet", n)
			}
		})
	}
}

func BenchmarkStage(b *testing.B) {
	for _, row := range steadies() {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			turn := row.turn()
			for b.Loop() {
				turn()
			}
		})
	}
}

type counts struct{ n int }

func (c *counts) Drop(time.Duration, packet.Packet, string) { c.n++ }
