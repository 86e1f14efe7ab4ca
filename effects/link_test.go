package effects

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/trace"
)

// arrival is a packet of the given size, the IP packet's, that comes at a time.
type arrival struct {
	at   time.Duration
	size int
}

// story is what a link does to arrivals: "1 500ms" says that packet 1 left then, in order.
type story struct {
	lines []string
	index map[*packet.Frame]int
}

func (s *story) Arrive(time.Duration, packet.Packet) {}
func (s *story) Depart(at time.Duration, p packet.Packet, opportunity int64) {
	s.lines = append(s.lines, fmt.Sprintf("%d %v in %d", s.index[p.Frame], at, opportunity))
}
func (s *story) Drop(now time.Duration, p packet.Packet, reason string) {
	s.lines = append(s.lines, fmt.Sprintf("%d %v %s", s.index[p.Frame], now, reason))
}

// tell runs a link as the ferry would, had it no lateness.
func tell(t *testing.T, link func(LinkObserver) Stage, arrivals []arrival) []string {
	t.Helper()
	s := &story{index: map[*packet.Frame]int{}}
	l := link(s)
	settle := func(until time.Duration) {
		for next, ok := l.Next(); ok && next <= until; next, ok = l.Next() {
			p, left := l.Pop(next)
			if left && p.Due != next {
				t.Errorf("packet %d is due at %v and left at %v", s.index[p.Frame], p.Due, next)
			}
			if next == until && !left {
				return
			}
		}
	}
	pool := &packet.Pool{}
	for i, a := range arrivals {
		settle(a.at)
		f := pool.Get()
		f.FilledPlain(a.size)
		s.index[f] = i
		l.Push(a.at, f.Packet(0, a.at))
	}
	settle(24 * time.Hour)
	return s.lines
}

func schedule(t *testing.T, lines string) *trace.Schedule {
	t.Helper()
	s, err := trace.Parse("trace", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func queueOf(t *testing.T, kind, args string, c queue.Config) queue.Queue {
	t.Helper()
	spec, err := queue.Parse(kind, args)
	if err != nil {
		t.Fatal(err)
	}
	return spec.New(c)
}

func TestTraced(t *testing.T) {
	for _, row := range []struct {
		name       string
		trace      string
		once       bool
		kind, args string
		arrivals   []arrival
		want       []string
	}{
		{"an opportunity at the arrival is used up already", "1\n2\n", false, "", "",
			[]arrival{{1 * ms, 1500}}, []string{"0 2ms in 1"}},
		{"to the nanosecond", "1\n2\n", false, "", "",
			[]arrival{{1*ms - 1, 1500}, {2 * ms, 1500}}, []string{"0 1ms in 0", "1 3ms in 2"}},
		{"small packets share one", "5\n", false, "", "",
			[]arrival{{0, 372}, {1, 372}, {2, 372}, {3, 372}, {4, 1}},
			[]string{"0 5ms in 0", "1 5ms in 0", "2 5ms in 0", "3 5ms in 0", "4 10ms in 1"}},
		{"a packet may end in the next", "5\n", false, "", "",
			[]arrival{{0, 1000}, {1, 1000}, {2, 988}},
			// 1004, then 500 of the second's 1004; its other 504 and 992 of the third's 992
			[]string{"0 5ms in 0", "1 10ms in 1", "2 10ms in 1"}},
		{"what is left of one is lost", "5\n", false, "", "",
			[]arrival{{0, 100}, {6 * ms, 1500}}, []string{"0 5ms in 0", "1 10ms in 1"}},
		{"several at one time", "3\n3\n4\n", false, "", "",
			[]arrival{{0, 1500}, {1, 1500}, {2, 1500}, {3, 1500}},
			[]string{"0 3ms in 0", "1 3ms in 1", "2 4ms in 2", "3 7ms in 3"}},
		{"long idle, then in the right period", "0\n5\n10\n", false, "", "",
			[]arrival{{time.Hour + 5*ms - 1, 1500}, {time.Hour + 10*ms - 1, 1500}, {time.Hour + 10*ms - 1, 1500}},
			// 360,000 periods of 3 opportunities; the period's last and the next one's first come at one time
			[]string{"0 1h0m0.005s in 1080001", "1 1h0m0.01s in 1080002", "2 1h0m0.01s in 1080003"}},
		{"finer than a millisecond", "0.25\n0.5\n", false, "", "",
			[]arrival{{0, 1500}, {1, 1500}, {2, 1500}}, []string{"0 250µs in 0", "1 500µs in 1", "2 750µs in 2"}},
		{"once", "1\n2\n", true, "", "",
			[]arrival{{0, 1500}, {1, 1500}, {2, 1500}}, []string{"0 1ms in 0", "1 2ms in 1"}},
		{"droptail: the packet under way is no longer in the queue", "5\n", false, "droptail", "packets=1",
			[]arrival{{0, 2000}, {1, 1500}, {5 * ms, 1500}, {6 * ms, 1500}},
			[]string{"1 1ns queue full", "3 6ms queue full", "0 10ms in 1", "2 15ms in 2"}},
		{"drophead", "5\n", false, "drophead", "packets=1",
			[]arrival{{0, 1500}, {1, 1500}}, []string{"0 1ns queue full", "1 5ms in 0"}},
		{"a limit in bytes counts the 4 more", "5\n", false, "droptail", "bytes=3007",
			[]arrival{{0, 1500}, {1, 1500}, {2, 1499}}, []string{"1 1ns queue full", "0 5ms in 0", "2 10ms in 1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := tell(t, func(o LinkObserver) Stage {
				return NewTraced(schedule(t, row.trace), row.once, queueOf(t, row.kind, row.args, queue.Config{Overhead: Overhead, Seen: o}), o)
			}, row.arrivals)
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRated(t *testing.T) {
	for _, row := range []struct {
		name     string
		rate     int64
		arrivals []arrival
		want     []string
	}{
		{"12 Mbit/s is one packet a millisecond", 12e6, []arrival{{0, 1500}, {0, 1500}, {5 * ms, 1500}},
			[]string{"0 1ms in -1", "1 2ms in -1", "2 6ms in -1"}},
		{"each leaves with its last bit", 8e6, []arrival{{0, 40}, {0, 1000}, {10, 1}},
			[]string{"0 40µs in -1", "1 1.04ms in -1", "2 1.041ms in -1"}},
		// 100 bytes at 3 Gbit/s take 266 2/3 ns: rounded up each time, but the error is not carried along.
		{"thirds of a nanosecond", 3e9, []arrival{{0, 100}, {0, 100}, {0, 100}},
			[]string{"0 267ns in -1", "1 534ns in -1", "2 800ns in -1"}},
		{"slow", 1000, []arrival{{7, 1500}}, []string{"0 12.000000007s in -1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := tell(t, func(o LinkObserver) Stage { return NewRated(row.rate, queueOf(t, "", "", queue.Config{}), o) }, row.arrivals)
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// What leaves the link at a time arrives behind it at that time, however late anybody looks.
func TestChain(t *testing.T) {
	chain := Chain{NewRated(12e6, queueOf(t, "", "", queue.Config{}), Unobserved{}), NewLoss(0, Random(1, "x"), nil), NewDelay(20 * ms)}
	var pool packet.Pool
	for range 3 {
		f := pool.Get()
		f.FilledPlain(1500)
		chain.Push(0, f.Packet(0, 0))
	}
	if at, ok := chain.Next(); at != ms || !ok {
		t.Errorf("next %v %v, want 1 ms", at, ok)
	}
	var due []time.Duration
	for p, ok := chain.Pop(22*ms + 1); ok; p, ok = chain.Pop(22*ms + 1) {
		due = append(due, p.Due)
	}
	if d := cmp.Diff([]time.Duration{21 * ms, 22 * ms}, due); d != "" {
		t.Errorf("due (-want +got):\n%s", d)
	}
	if at, ok := chain.Next(); at != 23*ms || !ok {
		t.Errorf("next %v %v, want 23 ms", at, ok)
	}
}

// A link that plays its trace once is done when that ends, busy or not; an idle one wakes for it.
func TestOnce(t *testing.T) {
	l := NewTraced(schedule(t, "1\n2\n"), true, queueOf(t, "", "", queue.Config{}), Unobserved{})
	chain := Chain{l, NewDelay(10 * ms)}
	if at, ok := chain.Next(); at != 2*ms || !ok || chain.Done() {
		t.Errorf("next %v %v done %v, want 2 ms", at, ok, chain.Done())
	}
	var pool packet.Pool
	for range 3 {
		f := pool.Get()
		f.FilledPlain(1500)
		chain.Push(1, f.Packet(0, 1))
	}
	left := 0
	for at, ok := chain.Next(); ok; at, ok = chain.Next() {
		if p, ok := chain.Pop(at); ok {
			left++
			if want := time.Duration(left)*ms + 10*ms; p.Due != want {
				t.Errorf("due %v, want %v", p.Due, want)
			}
		}
	}
	if left != 2 || !chain.Done() {
		t.Errorf("%d packets left, done %v; want 2, and done", left, chain.Done())
	}
}
