package tool

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects"
	"gomahi/meter"
	"gomahi/packet"
	"gomahi/scenario"
	"gomahi/shell"
	"gomahi/tun/tuntest"
)

// carry is what carries a packet of 1000 bytes through a stage each 10 us.
func carry(s shell.Stage) (turn func()) {
	var pool packet.Pool
	now := time.Duration(0)
	return func() {
		now += 10 * time.Microsecond
		f := pool.Get()
		f.FilledPlain(1000)
		s.Push(now, f.Packet(0, now))
		for p, ok := s.Pop(now); ok; p, ok = s.Pop(now) {
			p.Release()
		}
	}
}

func helmed() *helm {
	m := new(measures)
	d := effects.NewDelay(100 * time.Microsecond)
	m.steer(d, scenario.State{Delay: 100 * time.Microsecond}, "delay")
	return newHelm(d, m, new(tally))
}

// Packets cost no memory, and what they take is counted.
func TestHelmAllocations(t *testing.T) {
	h := helmed()
	turn := carry(h)
	for range 100 {
		turn()
	}
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	var v view
	h.look(time.Second, &v)
	if held := v.in.Packets - v.out.Packets; v.in.Packets < 1000 || held != 10 || v.in.Bytes != 1000*v.in.Packets {
		t.Errorf("%+v", v)
	}
}

// Packets of a frame that come as one count as many, and are dropped one by one.
func TestHelmWhole(t *testing.T) {
	h := helmed()
	var pool packet.Pool
	push := func() (f *packet.Frame) {
		f = tuntest.Frame(&pool, tuntest.Segmented(3))
		h.Push(0, f.Whole(0))
		return f
	}
	f := push()
	if p, ok := h.Pop(time.Second); !ok || p.Frame != f || p.Len() != 3 {
		t.Errorf("%+v, %v", p, ok)
	} else {
		p.Release()
	}
	h.change(scenario.Change{State: scenario.State{Down: true}})
	f = push()
	if pool.Get() != f {
		t.Error("not given up")
	}
	if p, ok := h.Pop(time.Hour); ok {
		t.Errorf("%+v has passed a link that is down", p)
	}
	var v view
	h.look(time.Second, &v)
	if got, want := fmt.Sprint(v.in, v.out, v.drops), "{6 6240} {3 3120} [{link down 3 3120}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !h.Whole() || newHelm(effects.NewLoss(0, nil, nil), new(measures), new(tally)).Whole() {
		t.Error("a delay is whole, and a loss is not")
	}
}

// So do those that pass several stages of a process, if all of these are whole.
func TestFusedWhole(t *testing.T) {
	delay := func() shell.Stage { return effects.NewDelay(time.Millisecond) }
	var pool packet.Pool
	for _, row := range []struct {
		inner shell.Stage
		whole bool
	}{{delay(), true}, {effects.NewLoss(0, nil, nil), false}} {
		levels := []*level{{link: &Link{Uplink: delay(), Downlink: delay()}}, {link: &Link{Uplink: row.inner, Downlink: row.inner}}}
		up, down := stages(levels)
		for _, s := range []shell.Stage{up, down} {
			if got := effects.Whole(s); got != row.whole {
				t.Errorf("%T and a delay: %v", row.inner, got)
			}
		}
		if !row.whole {
			continue
		}
		up.Push(0, tuntest.Frame(&pool, tuntest.Segmented(3)).Whole(0))
		if p, ok := up.Pop(2 * time.Millisecond); !ok || p.Len() != 3 {
			t.Errorf("%+v, %v", p, ok)
		}
		for i, v := range levels {
			if c := &v.uplink.traffic; c.PacketsIn != 3 || c.PacketsOut != 3 || c.BytesOut != 3120 || c.Delay.Count() != 3 {
				t.Errorf("level %d: %+v", i, c)
			}
		}
	}
}

// The meters count what arrives when it does, and what leaves when it is due.
func TestHelmMeters(t *testing.T) {
	h := helmed()
	h.counter.SwitchOn()
	var pool packet.Pool
	f := pool.Get()
	f.FilledPlain(1000)
	const ms = time.Millisecond
	in := f.Packet(0, 2*ms)
	h.Push(2*ms, in)
	out, ok := h.Pop(8 * ms)
	in.Due = 2*ms + ms/10
	if !ok || out != in {
		t.Errorf("%+v came out, %v", out, ok)
	}
	if got := h.counter.Sum(0, 100); got.Arrived != 1000 || got.Departed != 1000 || got.Delay != ms/10 {
		t.Errorf("%+v", got)
	}
	if got := h.counter.Sum(3, 100); got != (meter.Sum{}) {
		t.Errorf("when it was noticed: %+v", got)
	}
}

// While packets pass, changes from elsewhere are whole: the race detector and the states watch. None is lost.
func TestHelmConcurrent(t *testing.T) {
	s := steeredOf(t, "gm-path "+onePath(t)+" true")
	stop := make(chan struct{})
	var seen atomic.Int64
	go func() {
		defer close(stop)
		for k := range 200 {
			rate, delay := "1Mbps", "1ms"
			if k%2 == 1 {
				rate, delay = "2Mbps", "2ms"
			}
			if err := s.set(map[string]string{"rate": rate, "delay": delay, "loss": "0"}); err != nil {
				t.Error(err)
				return
			}
			seen.Add(1)
		}
	}()
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		up, down := s.look()
		for _, d := range []*sideState{&up, &down} {
			if math.Abs(float64(*d.Rate)/1e6-*d.Delay) > 1e-9 && *d.Rate != 12e6 {
				t.Fatalf("half a change: %d bit/s and %v ms", *d.Rate, *d.Delay)
			}
		}
	}
	if n := len(s.link.Up.changes); int64(n) != 1+seen.Load() {
		t.Errorf("%d changes are reported, of %d", n, 1+seen.Load())
	}
}

func BenchmarkHelm(b *testing.B) {
	for _, row := range []struct {
		name string
		make func() shell.Stage
	}{{"without", func() shell.Stage { return effects.NewDelay(100 * time.Microsecond) }}, {"with", func() shell.Stage { return helmed() }}} {
		b.Run(row.name, func(b *testing.B) {
			turn := carry(row.make())
			b.ReportAllocs()
			for b.Loop() {
				turn()
			}
		})
	}
}

// A script changes a link at its nanosecond, also while packets wait for that; what is set holds until it says otherwise; and
// the changes that no packet meets are told at the end.
func TestScript(t *testing.T) {
	tool, _ := fill(t, "gm-link 8Mbps 8Mbps true") // 1000 bytes a millisecond
	l := &Link{UpDrops: new(tally), DownDrops: new(tally)}
	if err := tool.Link(l); err != nil {
		t.Fatal(err)
	}
	m := &l.Up
	h := newHelm(l.Uplink, m, l.UpDrops.(*tally))
	s, err := scenario.Parse("s", strings.NewReader("Time[ms],Rate[Mbps],Link[up|down]\n0,8,up\n1.5,,down\n10,16,up\n30,32,\n"), scenario.Queue{})
	if err != nil {
		t.Fatal(err)
	}
	const ms = time.Millisecond
	var pool packet.Pool
	for range 3 {
		f := pool.Get()
		f.FilledPlain(1000)
		h.Push(0, f.Packet(0, 0))
	}
	w := &wish{request: &request{clock: effects.NewClock(effects.AnyPacket)}, script: scenario.Play(s.Uplink, false, false), says: about(s.Uplink),
		done: make(chan struct{})}
	h.wish.Store(w)
	var left []time.Duration
	for at, ok := time.Duration(0), true; ok && at < time.Second; at, ok = h.Next() {
		for p, ok := h.Pop(at); ok; p, ok = h.Pop(at) {
			left = append(left, p.Due)
			p.Release()
		}
	}
	// The second is half sent when the link goes down, and needs 0.25 ms more at twice the rate.
	if want := []time.Duration{ms, 10*ms + ms/4, 10*ms + 3*ms/4}; !slices.Equal(left, want) {
		t.Errorf("left at %v, want %v", left, want)
	}
	h.obey(20*ms, &wish{change: func(s *scenario.State) { s.Delay = 5 * ms }})
	h.finish(40 * ms)
	var got []string
	for _, c := range m.changes {
		got = append(got, fmt.Sprint(time.Duration(c.At), " ", c.Rate, " ", c.Delay, " ", c.Link))
	}
	want := []string{"0s 8000000 0 up", "0s 8000000 0 up", "1.5ms 8000000 0 down", "10ms 16000000 0 up", "20ms 16000000 5 up", "30ms 32000000 5 up"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
