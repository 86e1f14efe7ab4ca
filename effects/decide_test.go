package effects

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"gomahi/effects/queue"
	"gomahi/effects/record"
	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// script decides what it says, and then 0.
type script []uint64

func (s *script) Decide(time.Duration, packet.Packet) (d uint64) {
	if len(*s) > 0 {
		d, *s = (*s)[0], (*s)[1:]
	}
	return d
}

func decides(d ...uint64) *script { return (*script)(&d) }

// within fails the test if a value is further than three standard deviations from its mean.
func within(t *testing.T, what string, got, mean, deviation float64) {
	t.Helper()
	if math.Abs(got-mean) > 3*deviation {
		t.Errorf("%s is %v, want %v +- %v", what, got, mean, 3*deviation)
	}
}

// share is within for the share of n independent draws.
func share(t *testing.T, what string, count, n int, p float64) {
	t.Helper()
	within(t, what, float64(count)/float64(n), p, math.Sqrt(p*(1-p)/float64(n)))
}

// The mean of a Chance is its rate, whatever the correlation; and what follows a 1 or a 0 is as likely as that says.
func TestChance(t *testing.T) {
	const n = 300_000
	for _, row := range []struct{ rate, correlation float64 }{
		{0.01, 0}, {0.25, 0}, {0.25, 0.5}, {0.01, 0.9}, {0.9, 0.25}, {0.5, 0.99},
	} {
		t.Run(fmt.Sprint(row), func(t *testing.T) {
			r, c := row.rate, row.correlation
			d := NewChance(r, c, Random(1, "uplink"))
			var ones, again, last int
			for range n {
				is := int(d.Decide(0, packet.Packet{}))
				ones, again, last = ones+is, again+is*last, is
			}
			within(t, "the rate", float64(ones)/n, r, math.Sqrt(r*(1-r)/n*(1+c)/(1-c)))
			share(t, "1 after 1", again, ones, r+c*(1-r))
			share(t, "1 after 0", ones-again, n-ones, r*(1-c))
		})
	}
	for _, rate := range []float64{0, 1} {
		d := NewChance(rate, 0.5, Random(1, "uplink"))
		for range 1000 {
			if got := d.Decide(0, packet.Packet{}); float64(got) != rate {
				t.Fatalf("at a rate of %v it decides %d", rate, got)
			}
		}
	}
}

// random are the stages that decide at random, and what they are drawn from.
var random = []struct {
	name  string
	draw  func() Decider
	stage func(Decider, Observer) Stage
}{
	{"loss", func() Decider { return NewChance(0.05, 0, Random(7, "uplink")) },
		func(d Decider, o Observer) Stage { return NewDecidedLoss(d, "random loss", o) }},
	{"burst", func() Decider { return NewBurst(SimpleGilbert(0.05, 4), Random(7, "uplink")) },
		func(d Decider, o Observer) Stage { return NewDecidedLoss(d, "burst loss", o) }},
	{"loss trace", func() Decider { return NewLossTrace([]byte{1, 0, 0, 1, 0, 0, 0}, false) },
		func(d Decider, o Observer) Stage { return NewDecidedLoss(d, "traced loss", o) }},
	{"reorder", func() Decider { return NewSpaced(NewChance(0.1, 0.5, Random(7, "uplink")), 3) },
		func(d Decider, o Observer) Stage { return NewReorder(d, 5*ms, o) }},
	{"duplicate", func() Decider { return NewChance(0.05, 0, Random(7, "uplink")) },
		func(d Decider, o Observer) Stage { return NewDuplicate(d, o) }},
	{"corrupt", func() Decider { return NewFlips(0.05, Region{}, Random(7, "uplink")) },
		func(d Decider, o Observer) Stage { return NewCorrupt(d, Region{}, o) }},
	{"bit errors", func() Decider { return NewBitErrors(1e-3, Region{}, Random(7, "uplink")) },
		func(d Decider, o Observer) Stage { return NewCorrupt(d, Region{}, o) }},
	{"jitter", func() Decider { return NewSpread(5*ms, Uniform, Random(7, "uplink")) },
		func(d Decider, _ Observer) Stage { return NewJitter(d, true) }},
	{"free jitter", func() Decider { return NewSpread(5*ms, Pareto, Random(7, "uplink")) },
		func(d Decider, _ Observer) Stage { return NewJitter(d, false) }},
}

// A fate is when a packet leaves and what it then is, or why it does not.
type fate struct {
	at     time.Duration
	is     uint32
	reason string
}

// observed are the fates of n packets, one a millisecond.
func observed(s Stage, drops *lastDrop, n int) []fate {
	var out []fate
	var pool packet.Pool
	take := func(until time.Duration) {
		for p, ok := s.Pop(until); ok; p, ok = s.Pop(until) {
			out = append(out, fate{p.Due, crc32.ChecksumIEEE(p.Frame.Headers()), ""})
			p.Release()
		}
	}
	for i := range n {
		now := time.Duration(i) * ms
		take(now)
		s.Push(now, tuntest.Frame(&pool, plain(i, 40+i%20)).Packet(0, now))
		if drops.reason != "" {
			out = append(out, fate{now, uint32(i), drops.reason})
			drops.reason = ""
		}
	}
	take(math.MaxInt64)
	return out
}

type lastDrop struct{ reason string }

func (l *lastDrop) Drop(_ time.Duration, _ packet.Packet, reason string) { l.reason = reason }

// A record repeats all of its packets: by number, by hash, and in its own record.
func TestRepeat(t *testing.T) {
	n := 100_000
	for _, row := range random {
		t.Run(row.name, func(t *testing.T) {
			defer func() { n = 10_000 }() // for the others
			run := func(d Decider) (fates []fate, file string) {
				var out memory
				r := record.New()
				r.Decisions("x", "uplink", &out)
				r.Start()
				var drops lastDrop
				fates = observed(row.stage(Logged{d, r}, &drops), &drops, n)
				if err := r.Close(0); err != nil {
					t.Fatal(err)
				}
				return fates, record.DecisionsHead("gm-x", "uplink") + out.String()
			}
			fates, file := run(row.draw())
			if bytes.Count([]byte(file), []byte("\n")) != n+1 {
				t.Fatalf("a record of %d lines", bytes.Count([]byte(file), []byte("\n")))
			}
			for _, by := range []string{"number", "hash"} {
				repeats, err := record.ParseDecisions("x", "gm-x", strings.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				r := repeats["uplink"]
				if by == "hash" {
					r.ByHash()
				}
				again, second := run(r)
				if r.Missing > 0 || second != file {
					t.Errorf("by %s: %d packets are missing, the same record %v", by, r.Missing, second == file)
				}
				if !slices.Equal(fates, again) {
					t.Errorf("by %s packets have other fates", by)
				}
			}
		})
	}
}

// The steady state allocates nothing.
func TestImpairmentsAllocate(t *testing.T) {
	for _, row := range impaired() {
		t.Run(row.name, func(t *testing.T) {
			turn := row.turn()
			for range 20_000 {
				turn()
			}
			if n := testing.AllocsPerRun(1000, turn); n != 0 {
				t.Errorf("%v allocations a packet", n)
			}
		})
	}
}

func BenchmarkImpairment(b *testing.B) {
	for _, row := range impaired() {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			turn := row.turn()
			for b.Loop() {
				turn()
			}
		})
	}
}

func impaired() (out []steady) {
	for _, row := range random {
		out = append(out, steady{row.name, row.stage(row.draw(), &counts{})})
	}
	return append(out,
		steady{"shape", NewShape(1e9, 1500, 2e9, queue.Spec{}.New(queue.Config{}), &counts{})},
		steady{"police", NewShape(1e6, 1500, 0, nil, &counts{})})
}
