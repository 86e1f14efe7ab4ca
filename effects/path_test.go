package effects

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
	"gomahi/scenario"
)

// played is a path whose packets are followed.
type played struct {
	*Path
	t     testing.TB
	pool  packet.Pool
	index map[*packet.Frame]int
	n     int      // packets so far
	lines []string // "0 41ms": packet 0 was delivered then; "1 5ms queue full"
	moved []string // "11ms route 0": a change
}

func (*played) Arrive(time.Duration, packet.Packet)        {}
func (*played) Depart(time.Duration, packet.Packet, int64) {}
func (p *played) Change(c scenario.Change) {
	p.moved = append(p.moved, fmt.Sprintf("%v route %d %v %d bit/s", c.At, c.Route, c.Delay, c.Rate))
}
func (p *played) Drop(now time.Duration, k packet.Packet, reason string) {
	p.lines = append(p.lines, fmt.Sprintf("%d %v %s", p.index[k.Frame], now, reason))
}

// playing is a scenario's uplink.
func playing(t testing.TB, rows string) *scenario.Player { return scripted(t, rows, false, false) }

func scripted(t testing.TB, rows string, interpolate, loop bool) *scenario.Player {
	t.Helper()
	s, err := scenario.Parse("scenario", strings.NewReader(rows), scenario.Queue{Unit: scenario.BDP, Value: 1})
	if err != nil {
		t.Fatal(err)
	}
	return scenario.Play(s.Uplink, interpolate, loop)
}

func newPlayed(t testing.TB, s *scenario.Player, c *Clock, o PathOptions) *played {
	p := &played{t: t, index: map[*packet.Frame]int{}}
	o.Seen, o.Beyond = p, p
	if o.LossFrom == nil {
		o.LossFrom, o.JitterFrom = Random(1, "uplink"), Random(1, "uplink jitter")
	}
	p.Path = NewPath(s, c, o)
	return p
}

// settle fetches what is due, as the ferry would, had it no lateness.
func (p *played) settle(until time.Duration) {
	for next, ok := p.Next(); ok && next <= until; next, ok = p.Next() {
		if k, early := p.Pop(next - 1); early {
			p.t.Errorf("packet %d left at %v, before %v", p.index[k.Frame], k.Due, next)
		}
		k, left := p.Pop(next)
		if left && k.Due != next {
			p.t.Errorf("packet %d is due at %v and left at %v", p.index[k.Frame], k.Due, next)
		}
		if left {
			p.lines = append(p.lines, fmt.Sprintf("%d %v", p.index[k.Frame], k.Due))
			k.Release()
		}
	}
}

// arrive pushes packets one after the other.
func (p *played) arrive(kind byte, arrivals ...arrival) {
	for _, a := range arrivals {
		p.settle(a.at)
		f := p.pool.Get()
		b := f.Buffers(nil, packet.VnetLen)[0]
		clear(b[:40])
		b[0], b[2], b[3], b[9] = 0x45, byte(a.size>>8), byte(a.size), kind
		b[32] = 0x50
		p.push(f, a)
	}
}

func (p *played) push(f *packet.Frame, a arrival) {
	f.FilledPlain(a.size)
	p.index[f] = p.n
	p.n++
	p.Push(a.at, f.Packet(0, a.at))
}

// each is n packets of 1500 bytes, one each interval, from a time on.
func each(n int, from, interval time.Duration) (out []arrival) {
	for i := range n {
		out = append(out, arrival{from + time.Duration(i)*interval, 1500})
	}
	return out
}

const (
	header = "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n" // phantomlink's; 12 Mbit/s is a packet of 1500 bytes each ms
	us     = time.Microsecond
)

// What phantomlink's documentation says, sentence by sentence, and what this adds.
func TestPath(t *testing.T) {
	for _, row := range []struct {
		name     string
		rows     string
		o        PathOptions
		arrivals []arrival
		want     []string
	}{
		{"a queue, then length by rate, then in flight for the delay", header + "0,0,40,12\n", PathOptions{},
			append(each(2, 0, 0), arrival{10 * ms, 750}), []string{"0 41ms", "1 42ms", "2 50.5ms"}},
		{"the delay is one way, and not cut to whole milliseconds", header + "0,0,41.2,12\n", PathOptions{},
			each(1, 0, 0), []string{"0 42.2ms"}},
		{"no loss, jitter or duplication unless it says so", header + "0,0,1,12\n", PathOptions{},
			each(3, 0, ms), []string{"0 2ms", "1 3ms", "2 4ms"}},

		{"a step function: each row holds until the next", header + "0,0,40,12\n100,0,50,12\n200,0,60,12\n", PathOptions{},
			[]arrival{{98*ms + 999*us, 1500}, {99*ms + 1, 1500}, {199*ms + 1, 1500}},
			[]string{"0 139.999ms", "1 150.999ms", "2 260.000001ms"}},
		{"the first row applies at once, whatever its time", header + "90,0,40,12\n100,0,50,12\n", PathOptions{},
			each(2, 0, 100*ms), []string{"0 41ms", "1 151ms"}},
		{"the last row stays", header + "0,0,40,12\n100,0,50,12\n", PathOptions{}, each(1, time.Hour, 0), []string{"0 1h0m0.051s"}},
		{"a packet that has left at the very time of a change is of before", header + "0,0,40,12\n1,0,50,12\n", PathOptions{},
			each(2, 0, 0), []string{"0 41ms", "1 52ms"}},

		{"the queue holds rate x 2 x delay", header + "0,0,2,12\n", PathOptions{}, // 6000 bytes, besides the one under way
			each(6, 0, 0), []string{"5 0s queue full", "0 3ms", "1 4ms", "2 5ms", "3 6ms", "4 7ms"}},
		{"and drops at its tail, to the byte", header + "0,0,2,12\n", PathOptions{},
			append(each(4, 0, 0), arrival{0, 1501}, arrival{0, 1500}, arrival{0, 1}),
			[]string{"4 0s queue full", "6 0s queue full", "0 3ms", "1 4ms", "2 5ms", "3 6ms", "5 7ms"}},
		{"it is resized only when the route changes", header + "0,0,1,12\n10,0,4,12\n20,1,4,12\n", PathOptions{},
			append(each(4, 10*ms, 0), each(10, 20*ms, 0)...),
			[]string{"3 10ms queue full", "0 15ms", "1 16ms", "2 17ms", "13 20ms queue full", "4 25ms", "5 26ms", "6 27ms", "7 28ms",
				"8 29ms", "9 30ms", "10 31ms", "11 32ms", "12 33ms"}},
		{"or always", header + "0,0,1,12\n10,0,2,12\n", PathOptions{Resize: true},
			each(6, 10*ms, 0), []string{"5 10ms queue full", "0 13ms", "1 14ms", "2 15ms", "3 16ms", "4 17ms"}},
		{"a queue that shrinks loses nothing, and takes nothing until there is room", header + "0,0,2,12\n1,1,1,12\n", PathOptions{},
			append(each(5, 0, 0), arrival{1 * ms, 1500}, arrival{3 * ms, 1500}),
			[]string{"5 1ms queue full", "0 3ms", "1 3ms", "2 4ms", "3 5ms", "4 6ms", "6 7ms"}},

		{"within a route nothing overtakes, though the delay falls", header + "0,0,40,12\n3,0,37,12\n", PathOptions{},
			each(6, 0, ms), []string{"0 41ms", "1 42ms", "2 43ms", "3 43ms", "4 43ms", "5 43ms"}},
		{"on a new route only the due time counts", header + "0,0,41.2,12\n10,1,37,12\n", PathOptions{}, each(14, 0, ms), // phantomlink's change, at 10 ms
			[]string{"0 42.2ms", "1 43.2ms", "2 44.2ms", "3 45.2ms", "4 46.2ms", "5 47.2ms", "10 48ms", "6 48.2ms", "11 49ms", "7 49.2ms",
				"12 50ms", "8 50.2ms", "13 51ms", "9 51.2ms"}},
		{"and a route that comes back remembers its last", header + "0,0,40,12\n1,1,10,12\n2,0,20,12\n", PathOptions{}, each(3, 0, 0),
			[]string{"1 12ms", "0 41ms", "2 41ms"}},

		{"a change of route pauses sending, and queues what comes", header + "0,0,10,12\n20,1,10,12\n", PathOptions{Pause: 5 * ms},
			[]arrival{{20*ms - 250*us, 1500}, {21 * ms, 1500}, {22 * ms, 1500}},
			[]string{"0 35.75ms", "1 36.75ms", "2 37.75ms"}},
		{"gsl: what is in flight keeps its time, but for the pause", header + "0,0,10,12\n20,1,10,12\n", PathOptions{Pause: 5 * ms},
			append([]arrival{{9 * ms, 1500}, {11 * ms, 1500}, {13*ms + 1, 1500}}, each(2, 15*ms, ms)...),
			[]string{"0 20ms", "1 25ms", "2 25ms", "3 26ms", "4 27ms"}},
		{"all: it is shifted by the pause", header + "0,0,10,12\n20,1,10,12\n", PathOptions{Pause: 5 * ms, Shift: true},
			append([]arrival{{9 * ms, 1500}, {11 * ms, 1500}}, each(2, 15*ms, ms)...),
			[]string{"0 20ms", "1 27ms", "2 31ms", "3 32ms"}},
		{"all: also for those who come back to a route", header + "0,0,40,12\n1.5,1,10,12\n10,0,10,12\n", PathOptions{Pause: 5 * ms, Shift: true},
			[]arrival{{0, 1500}, {12 * ms, 1500}}, []string{"0 51ms", "1 51ms"}},
		{"what comes to an idle link in a pause is sent after it", header + "0,0,10,12\n20,1,10,12\n", PathOptions{Pause: 5 * ms},
			[]arrival{{21 * ms, 1500}}, []string{"0 36ms"}},
		{"a pause within a pause lengthens it", header + "0,0,10,12\n20,1,10,12\n22,2,10,12\n", PathOptions{Pause: 5 * ms},
			[]arrival{{11 * ms, 1500}, {21 * ms, 1500}}, []string{"0 27ms", "1 38ms"}},
		{"no pause without a change of route", header + "0,0,10,12\n20,0,11,12\n", PathOptions{Pause: 5 * ms},
			each(1, 20*ms, 0), []string{"0 32ms"}},
		{"what is held up leaves in the order of its own times", header + "0,0,30,12\n10,1,10,12\n20,2,10,12\n", PathOptions{Pause: 25 * ms},
			each(2, 0, ms), []string{"0 45ms", "1 45ms"}},
		{"though an older route's is later", header + "0,0,29,12\n2,1,9,12\n11,2,9,12\n", PathOptions{Pause: 0}, each(3, 0, ms),
			[]string{"2 12ms", "0 30ms", "1 31ms"}},

		{"a packet under way finishes at the new rate", header + "0,0,0,12\n0.25,0,0,6\n", PathOptions{}, // 1125 of 1500 bytes are left
			each(1, 0, 0), []string{"0 1.75ms"}},
		{"through several changes, without loss of a bit", header + "0,0,0,12\n0.25,0,0,6\n0.75,0,0,24\n", PathOptions{},
			each(2, 0, 0), []string{"0 1ms", "1 1.5ms"}},
		{"thirds of nanoseconds are carried along", header + "0,0,0,3\n0.0001,0,0,3000\n", PathOptions{}, // 300 of 12000 bits in 100 ns
			[]arrival{{0, 100}, {0, 100}, {0, 100}}, []string{"0 367ns", "1 634ns", "2 900ns"}},
		{"no rate: no time", "Time[ms],Delay[ms]\n0,5\n", PathOptions{}, each(3, 0, 0), []string{"0 5ms", "1 5ms", "2 5ms"}},

		{"while the link is down, what comes is lost and what waits waits", "Time[ms],Delay[ms],Rate[Mbps],Link[up|down]\n0,5,12,\n0.5,,,down\n10,,,up\n", PathOptions{},
			append(each(2, 0, 0), arrival{5 * ms, 1500}, arrival{10 * ms, 1500}),
			[]string{"2 5ms link down", "0 15.5ms", "1 16.5ms", "3 17.5ms"}},
		{"what is in flight arrives", "Time[ms],Delay[ms],Link[up|down]\n0,5,\n1,,down\n", PathOptions{}, each(1, 0, 0), []string{"0 5ms"}},
		{"a link that was down comes up within a pause", "Time[ms],RouteID,Delay[ms],Rate[Mbps],Link[up|down]\n0,0,5,12,\n1,,,,down\n3,1,,,\n4,,,,up\n",
			PathOptions{Pause: 5 * ms}, each(2, 0, 0), []string{"0 8ms", "1 14ms"}},
		{"loss is behind the queue", "Time[ms],Delay[ms],Rate[Mbps],Loss[%]\n0,5,12,\n2,,,100\n", PathOptions{}, each(3, 0, ms),
			[]string{"2 3ms random loss", "0 6ms", "1 7ms"}},
		{"limits in packets", "Time[ms],Rate[Mbps],Queue[packets]\n0,12,1\n3,,2\n", PathOptions{}, append(each(3, 0, 0), each(4, 3*ms, 0)...),
			[]string{"2 0s queue full", "0 1ms", "1 2ms", "6 3ms queue full", "3 4ms", "4 5ms", "5 6ms"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPlayed(t, playing(t, row.rows), NewClock(nil), row.o)
			p.arrive(tcpNumber, row.arrivals...)
			p.settle(24 * time.Hour)
			if d := cmp.Diff(row.want, p.lines); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

const icmpNumber, tcpNumber, udpNumber = 1, 6, 17

// The clock starts at once, or with the first packet of a kind, in whichever direction.
func TestClock(t *testing.T) {
	for _, row := range []struct {
		name   string
		starts func(packet.Packet) bool
		began  time.Duration
	}{
		{"now", nil, 0},
		{"the first packet", AnyPacket, 1 * ms},
		{"the first transport packet", TransportPacket, 2 * ms},
		{"the first large transport packet", LargePacket, 4 * ms},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := NewClock(row.starts)
			up := newPlayed(t, playing(t, header+"0,0,10,12\n10,0,20,12\n"), c, PathOptions{})
			down := newPlayed(t, playing(t, header+"0,0,10,12\n10,0,20,12\n"), c, PathOptions{})
			up.arrive(icmpNumber, arrival{1 * ms, 1500})
			down.arrive(udpNumber, arrival{2 * ms, 64})
			up.arrive(tcpNumber, arrival{3 * ms, 1485})
			down.arrive(udpNumber, arrival{4 * ms, 1486})
			up.arrive(tcpNumber, arrival{5 * ms, 1500})
			if at, ok := c.Began(); at != row.began || !ok {
				t.Errorf("it began at %v, %v; want %v", at, ok, row.began)
			}
			up.Advance(time.Second)
			down.Advance(time.Second)
			want := []string{"0s route 0 10ms 12000000 bit/s", fmt.Sprint(row.began+10*ms, " route 0 20ms 12000000 bit/s")}
			if d := cmp.Diff([][]string{want, want}, [][]string{up.moved, down.moved}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A direction that waits hears in time that the other has started the clock.
func TestClockElsewhere(t *testing.T) {
	c := NewClock(LargePacket)
	up := newPlayed(t, playing(t, "Time[ms],Rate[Mbps]\n0,0.012\n5,12\n"), c, PathOptions{})
	down := newPlayed(t, playing(t, "Time[ms],Rate[Mbps]\n0,12\n5,12\n"), c, PathOptions{})
	up.arrive(icmpNumber, arrival{0, 1500}) // a second's worth
	if at, ok := up.Next(); at != 5*ms || !ok {
		t.Errorf("it looks again at %v %v, want 5 ms", at, ok)
	}
	up.settle(6 * ms)
	down.arrive(tcpNumber, arrival{7 * ms, 1500})
	up.settle(time.Hour)
	// 12 ms of 1000 for the first 12 of 1000 parts, then at 12 Mbit/s
	if d := cmp.Diff([]string{"0 12.988ms"}, up.lines); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Of a clock that the other direction has started in its own, earlier time, no change is in the past.
func TestClockLate(t *testing.T) {
	c := NewClock(AnyPacket)
	up := newPlayed(t, playing(t, header+"0,0,10,12\n10,0,20,12\n"), c, PathOptions{})
	down := newPlayed(t, playing(t, header+"0,0,10,12\n10,0,20,12\n"), c, PathOptions{})
	up.Advance(20 * ms)
	down.arrive(tcpNumber, arrival{5 * ms, 1500})
	up.Advance(21 * ms)
	if d := cmp.Diff([]string{"0s route 0 10ms 12000000 bit/s", "20ms route 0 20ms 12000000 bit/s"}, up.moved); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// An idle path wakes nobody; its changes are noted with their times when it is looked at.
func TestPathIdle(t *testing.T) {
	p := newPlayed(t, scripted(t, header+"0,0,10,12\n10,1,20,6\n", false, true), NewClock(nil), PathOptions{})
	if at, ok := p.Next(); ok {
		t.Errorf("it wakes at %v", at)
	}
	p.Advance(45 * ms)
	want := []string{"0s route 0 10ms 12000000 bit/s", "10ms route 1 20ms 6000000 bit/s", "20ms route 0 10ms 12000000 bit/s",
		"30ms route 1 20ms 6000000 bit/s", "40ms route 0 10ms 12000000 bit/s"}
	if d := cmp.Diff(want, p.moved); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A change from outside is whole, between two packets; with a wrong state it does not come this far.
func TestPathSet(t *testing.T) {
	p := newPlayed(t, playing(t, header+"0,0,10,12\n"), NewClock(nil), PathOptions{})
	p.arrive(tcpNumber, each(3, 0, 0)...)
	s := p.State
	s.Rate, s.Delay = 6e6, 20*ms
	p.settle(1500 * us)
	p.Set(1500*us, s)
	p.settle(time.Hour)
	if d := cmp.Diff([]string{"0 11ms", "1 22.5ms", "2 24.5ms"}, p.lines); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Delay and rate on a line, a step each millisecond.
func TestPathInterpolated(t *testing.T) {
	p := newPlayed(t, scripted(t, "Time[ms],Delay[ms]\n0,10\n100,20\n", true, false), NewClock(nil), PathOptions{})
	p.arrive(tcpNumber, arrival{0, 100}, arrival{50 * ms, 100}, arrival{99*ms + 500*us, 100}, arrival{200 * ms, 100})
	p.settle(time.Hour)
	if d := cmp.Diff([]string{"0 10ms", "1 65ms", "2 119.4ms", "3 220ms"}, p.lines); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Loss and jitter are what the rows say, each while it holds.
func TestPathChance(t *testing.T) {
	p := newPlayed(t, playing(t, "Time[s],RouteID,Loss[%],Jitter[ms]\n0,,5,\n10,,0,8\n"), NewClock(nil), PathOptions{})
	p.arrive(tcpNumber, each(10000, 0, ms)...)
	const n, loss = 10000, 0.05
	if lost := len(p.lines) - countWithout(p.lines, "random loss"); math.Abs(float64(lost)-n*loss) > 3*math.Sqrt(n*loss*(1-loss)) {
		t.Errorf("%d of %d lost, want %v", lost, n, n*loss)
	}
	p.lines = nil
	var sum time.Duration
	const m, apart = 2000, 10 * ms // none waits for another
	for i := range m {
		at := 20*time.Second + time.Duration(i)*apart
		p.arrive(tcpNumber, arrival{at, 100})
		p.Advance(at)
		next, _ := p.Next()
		if d := next - at; d < 0 || d > 8*ms {
			t.Fatalf("delayed by %v", d)
		}
		sum += next - at
	}
	if mean := float64(sum) / m; math.Abs(mean-float64(4*ms)) > 3*float64(8*ms)/math.Sqrt(12*m) {
		t.Errorf("mean jitter %v, want 4 ms", time.Duration(mean))
	}
	if d := countWithout(p.lines, "random loss"); d != len(p.lines) {
		t.Errorf("%d lost with no loss", len(p.lines)-d)
	}
}

func countWithout(lines []string, word string) (n int) {
	for _, l := range lines {
		if !strings.Contains(l, word) {
			n++
		}
	}
	return n
}

// However late it is looked at, the same packets leave at the same times: of random scenarios and arrivals.
func TestPathLate(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows := "Time[ms],RouteID,Delay[ms],Rate[Mbps],Jitter[ms],Loss[%],Queue[packets],Link[up|down]\n"
		for at := 0; at < 50; at += 1 + r.IntN(5) {
			rows += fmt.Sprintf("%d,%d,%d,%d,%d,%d,%d,%s\n", at, r.IntN(3), r.IntN(20), 1+r.IntN(30), r.IntN(2), r.IntN(10), 1+r.IntN(20),
				[]string{"up", "up", "down"}[r.IntN(3)])
		}
		rows += "60,,,,,,,up\n"
		var arrivals []arrival
		for at := time.Duration(0); at < 60*ms; at += time.Duration(r.Int64N(int64(2 * ms))) {
			arrivals = append(arrivals, arrival{at, 20 + r.IntN(1480)})
		}
		o := PathOptions{Pause: time.Duration(r.IntN(3)) * ms, Shift: r.IntN(2) == 0, Resize: r.IntN(2) == 0}
		clock := []func(packet.Packet) bool{nil, AnyPacket}[r.IntN(2)]
		run := func(settled bool) *played {
			o.LossFrom, o.JitterFrom = Random(seed, "loss"), Random(seed, "jitter")
			p := newPlayed(t, playing(t, rows), NewClock(clock), o)
			if settled {
				p.arrive(tcpNumber, arrivals...)
				p.settle(time.Hour)
				return p
			}
			for _, a := range arrivals { // nobody looks until the end
				p.push(p.pool.Get(), a)
			}
			for k, ok := p.Pop(time.Hour); ok; k, ok = p.Pop(time.Hour) {
				p.lines = append(p.lines, fmt.Sprintf("%d %v", p.index[k.Frame], k.Due))
			}
			return p
		}
		inTime, late := run(true), run(false)
		if len(inTime.lines) != len(arrivals) {
			t.Fatalf("seed %d: of %d packets %d have an end", seed, len(arrivals), len(inTime.lines))
		}
		a, b := delivered(inTime.lines), delivered(late.lines)
		if d := cmp.Diff(a, b); d != "" {
			t.Fatalf("seed %d (-in time +late):\n%s\n%s", seed, d, rows)
		}
	}
}

// delivered are the lines but for drops, of which one that is late hears in another order.
func delivered(lines []string) (out []string) {
	for _, l := range lines {
		if len(strings.Fields(l)) == 2 {
			out = append(out, l)
		}
	}
	return out
}

func BenchmarkPath(b *testing.B) {
	p := newPlayed(b, scripted(b, header+"0,0,1,10000\n1,1,1.1,10000\n", false, true), NewClock(nil), PathOptions{})
	f := p.pool.Get()
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		f.FilledPlain(1500)
		now += 2 * us
		p.Push(now, f.Packet(0, now).Copy())
		for k, ok := p.Pop(now); ok; k, ok = p.Pop(now) {
			_ = k
		}
	}
}
