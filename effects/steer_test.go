package effects

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/scenario"
)

// drive tells what becomes of arrivals while a stage is changed. Of an arrival and a change at one time the arrival is first.
func drive(t *testing.T, make func(LinkObserver) Steered, arrivals []arrival, changes []scenario.Change) (lines []string) {
	t.Helper()
	s := &story{index: map[*packet.Frame]int{}}
	l := make(s)
	settle := func(until time.Duration) {
		for next, ok := l.Next(); ok && next <= until; next, ok = l.Next() {
			if p, left := l.Pop(next); left {
				if p.Due != next {
					t.Errorf("packet %d is due at %v and left at %v", s.index[p.Frame], p.Due, next)
				}
				lines = append(lines, fmt.Sprint(s.index[p.Frame], " ", p.Due))
			}
		}
	}
	pool := &packet.Pool{}
	for i, a := range arrivals {
		for len(changes) > 0 && changes[0].At < a.at {
			settle(changes[0].At)
			l.Set(changes[0].At, changes[0].State)
			changes = changes[1:]
		}
		settle(a.at)
		f := pool.Get()
		f.FilledPlain(a.size)
		s.index[f] = i
		l.Push(a.at, f.Packet(0, a.at))
	}
	for _, c := range changes {
		settle(c.At)
		l.Set(c.At, c.State)
	}
	settle(24 * time.Hour)
	for _, line := range s.lines {
		if !strings.Contains(line, " in ") { // which are departures from links
			lines = append(lines, line)
		}
	}
	return lines
}

// Changes take effect at their nanosecond, and lose and reorder nothing.
func TestSteered(t *testing.T) {
	way := func(s scenario.State, trace, kind, args string) func(LinkObserver) Steered {
		return func(seen LinkObserver) Steered {
			spec, err := queue.Parse(kind, args)
			if err != nil {
				t.Fatal(err)
			}
			o := WayOptions{Seen: seen, Lost: seen, Random: Random(1, "uplink")}
			c := queue.Config{Rate: float64(s.Rate), Seen: seen}
			o.Limits = func(s scenario.State) (int, int) {
				if s.Queue.Unit != "" {
					return s.Limits()
				}
				return spec.Limits(c)
			}
			o.Queue = spec.New(c)
			if trace != "" {
				o.Link = NewTraced(schedule(t, trace), false, o.Queue, seen)
			} else {
				o.Link = NewRated(s.Rate, o.Queue, seen)
			}
			return NewWay(s, o)
		}
	}
	state := func(f func(*scenario.State)) scenario.State {
		s := scenario.State{Rate: 12e6} // 1500 bytes a millisecond
		f(&s)
		return s
	}
	plain := state(func(*scenario.State) {})
	packets := func(n float64) scenario.Queue { return scenario.Queue{Unit: scenario.Packets, Value: n} }
	for _, row := range []struct {
		name     string
		make     func(LinkObserver) Steered
		arrivals []arrival
		changes  []scenario.Change
		want     []string
	}{
		{"a longer delay, for what arrives after", func(LinkObserver) Steered { return NewDelay(10 * ms) }, each(3, 0, 5*ms),
			[]scenario.Change{{At: 5*ms + 1, State: scenario.State{Delay: 20 * ms}}}, []string{"0 10ms", "1 15ms", "2 30ms"}},
		{"a shorter one: nothing overtakes", func(LinkObserver) Steered { return NewDelay(10 * ms) }, each(4, 0, 5*ms),
			[]scenario.Change{{At: 5*ms + 1, State: scenario.State{Delay: ms}}}, []string{"0 10ms", "1 15ms", "2 15ms", "3 16ms"}},
		{"loss from the next packet on", func(o LinkObserver) Steered { return NewLoss(0, Random(1, "x"), o) }, each(4, 0, ms),
			[]scenario.Change{{At: ms + 1, State: scenario.State{Loss: 1}}, {At: 2*ms + 1}},
			[]string{"0 0s", "1 1ms", "3 3ms", "2 2ms random loss"}},
		{"jitter", func(LinkObserver) Steered {
			return NewJitter(Logged{NewSpread(0, func(*rand.Rand) float64 { return 1 }, nil), nobody{}}, true)
		}, each(3, 0, ms), []scenario.Change{{At: ms + 1, State: scenario.State{Jitter: 3 * ms}}}, []string{"0 0s", "1 1ms", "2 5ms"}},

		{"a way without changes", way(plain, "", "", ""), each(2, 0, 0), nil, []string{"0 1ms", "1 2ms"}},
		{"what is being sent takes the new rate for what is left", way(plain, "", "", ""), each(2, 0, 0),
			[]scenario.Change{{At: ms / 2, State: state(func(s *scenario.State) { s.Rate = 6e6 })}}, []string{"0 1.5ms", "1 3.5ms"}},
		{"a faster rate, at once", way(plain, "", "", ""), each(3, 0, 0),
			[]scenario.Change{{At: ms / 2, State: state(func(s *scenario.State) { s.Rate = 120e6 })}}, []string{"0 550µs", "1 650µs", "2 750µs"}},
		{"a delay of what leaves the link after", way(plain, "", "", ""), each(3, 0, 0),
			[]scenario.Change{{At: ms, State: state(func(s *scenario.State) { s.Delay = 10 * ms })}}, []string{"0 1ms", "1 12ms", "2 13ms"}},
		{"a delay that goes away", way(state(func(s *scenario.State) { s.Delay = 10 * ms }), "", "", ""), each(3, 0, 0),
			[]scenario.Change{{At: ms, State: plain}}, []string{"0 11ms", "1 11ms", "2 11ms"}},
		{"loss behind the link", way(plain, "", "", ""), each(3, 0, 0),
			[]scenario.Change{{At: ms, State: state(func(s *scenario.State) { s.Loss = 1 })}, {At: 2 * ms, State: plain}},
			[]string{"0 1ms", "2 3ms", "1 2ms random loss"}},
		{"down: the queue waits, what arrives is dropped", way(plain, "", "", ""), each(4, 0, ms/4),
			[]scenario.Change{{At: ms / 2, State: state(func(s *scenario.State) { s.Down = true })}, {At: 10 * ms, State: plain}},
			[]string{"0 10.5ms", "1 11.5ms", "2 12.5ms", "3 750µs link down"}},
		{"a shorter queue keeps what it has", way(plain, "", "droptail", "packets=10"), append(each(4, 0, 0), arrival{ms / 4, 1500}),
			[]scenario.Change{{At: 1, State: state(func(s *scenario.State) { s.Queue = packets(1) })}},
			[]string{"0 1ms", "1 2ms", "2 3ms", "3 4ms", "4 250µs queue full"}},
		{"drophead too, but for what the new packet displaces", way(plain, "", "drophead", "packets=10"),
			append(each(4, 0, 0), arrival{ms / 4, 1500}), []scenario.Change{{At: 1, State: state(func(s *scenario.State) { s.Queue = packets(1) })}},
			[]string{"0 1ms", "2 2ms", "3 3ms", "4 4ms", "1 250µs queue full"}},
		{"an infinite queue gets a limit", way(plain, "", "", ""), append(each(2, 0, 0), arrival{ms / 4, 1500}),
			[]scenario.Change{{At: 1, State: state(func(s *scenario.State) { s.Queue = packets(1) })}},
			[]string{"0 1ms", "1 2ms", "2 250µs queue full"}},

		{"a trace that is down passes its opportunities", way(scenario.State{}, "10\n", "", ""), append(each(2, 0, 0), arrival{20 * ms, 1500}),
			[]scenario.Change{{At: 15 * ms, State: scenario.State{Down: true}}, {At: 39 * ms}}, []string{"0 10ms", "1 40ms", "2 20ms link down"}},
		{"a trace with a delay", way(scenario.State{}, "10\n", "", ""), each(2, 0, 0),
			[]scenario.Change{{At: 15 * ms, State: scenario.State{Delay: 5 * ms}}}, []string{"0 10ms", "1 25ms"}},

		{"a bucket's rate: the tokens that are there stay", func(o LinkObserver) Steered {
			return NewShape(12e6, 1500, 0, queue.Spec{}.New(queue.Config{}), o)
		}, each(3, 0, 0), []scenario.Change{{At: ms / 2, State: state(func(s *scenario.State) { s.Rate = 6e6 })}},
			[]string{"0 0s", "1 1.5ms", "2 3.5ms"}},
		{"a bucket that is down", func(o LinkObserver) Steered {
			return NewShape(12e6, 1500, 0, queue.Spec{}.New(queue.Config{}), o)
		}, each(3, 0, ms/2), []scenario.Change{{At: ms * 3 / 4, State: state(func(s *scenario.State) { s.Down = true })}, {At: 9 * ms, State: plain}},
			[]string{"0 0s", "1 9ms", "2 1ms link down"}},
		{"a bucket's queue", func(o LinkObserver) Steered {
			return NewShape(12e6, 1500, 0, queue.NewDroptail(queue.Config{Seen: o}, 10, 1e9), o)
		}, append(each(3, 0, 0), arrival{ms / 4, 1500}), []scenario.Change{{At: 1, State: state(func(s *scenario.State) { s.Queue = packets(1) })}},
			[]string{"0 0s", "1 1ms", "2 2ms", "3 250µs queue full"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, drive(t, row.make, row.arrivals, row.changes)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

type nobody struct{}

func (nobody) Decided(time.Duration, packet.Packet, uint64) {}

// What is set holds until the script gives that quantity another value; a new script says everything.
func TestPathSteered(t *testing.T) {
	p := newPlayed(t, playing(t, header+"0,0,10,12\n10,0,10,24\n20,0,30,24\n"), NewClock(nil), PathOptions{})
	p.arrive(17, each(1, 0, 0)...)
	p.settle(2 * ms)
	s := p.Holds(2 * ms)
	s.Delay, s.Down = 50*ms, true
	p.Set(2*ms, s)
	if got := p.Holds(10 * ms); got.Rate != 24e6 || got.Delay != 50*ms || !got.Down {
		t.Errorf("after a row with another rate %v", got)
	}
	if got := p.Holds(20 * ms); got.Delay != 30*ms || !got.Down {
		t.Errorf("after a row with another delay %v", got)
	}
	c := NewClock(AnyPacket)
	p.Play(25*ms, playing(t, header+"0,0,5,12\n10,0,7,12\n"), c)
	if got := p.Holds(25 * ms); got.Delay != 5*ms || got.Rate != 12e6 || got.Down {
		t.Errorf("another script begins with %v", got)
	}
	if began, _ := c.Began(); began != 25*ms {
		t.Errorf("and began at %v", began)
	}
	if got := p.Holds(35 * ms); got.Delay != 7*ms {
		t.Errorf("and goes on with %v", got)
	}
	want := []string{"0s route 0 10ms 12000000 bit/s", "2ms route 0 50ms 12000000 bit/s", "10ms route 0 50ms 24000000 bit/s",
		"20ms route 0 30ms 24000000 bit/s", "25ms route 0 5ms 12000000 bit/s", "35ms route 0 7ms 12000000 bit/s"}
	if d := cmp.Diff(want, p.moved); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
}
