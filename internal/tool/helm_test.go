package tool

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"gomahi/effects"
	"gomahi/packet"
	"gomahi/scenario"
)

// helmed is a delay with a helm, and what carries a packet of 1000 bytes through it each 10 us.
func helmed() (h *helm, turn func()) {
	m := new(measures)
	d := effects.NewDelay(100 * time.Microsecond)
	m.steer(d, scenario.State{Delay: 100 * time.Microsecond}, "delay")
	h = newHelm(d, m, new(tally))
	var pool packet.Pool
	now := time.Duration(0)
	return h, func() {
		now += 10 * time.Microsecond
		f := pool.Get()
		f.FilledPlain(1000)
		h.Push(now, f.Packet(0, now))
		for p, ok := h.Pop(now); ok; p, ok = h.Pop(now) {
			p.Release()
		}
	}
}

// Packets cost no memory, and what they take is counted.
func TestHelmAllocations(t *testing.T) {
	h, turn := helmed()
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
	_, turn := helmed()
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
}
