package meter

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
)

const ms = time.Millisecond

func sized(n int32, arrival time.Duration) packet.Packet {
	return packet.Packet{Size: n, Arrival: arrival}
}

// Each event is in the bin of its time, and nowhere else.
func TestBins(t *testing.T) {
	c := NewCounter(4)
	c.Arrive(0, sized(9999, 0)) // not switched on
	c.SwitchOn()
	c.Arrive(5*ms, sized(100, 5*ms))
	c.Arrive(6*ms-1, sized(100, 6*ms-1))
	c.Arrive(6*ms, sized(1000, 6*ms))
	c.Depart(9*ms, sized(100, 5*ms), 0)
	c.Depart(9*ms, sized(100, 8*ms), 0)
	c.Drop(8*ms, sized(1000, 6*ms), "full") // late
	c.Depart(20*ms+500*time.Nanosecond, sized(100, 20*ms), 0)
	for _, row := range []struct {
		name     string
		from, to int64
		want     Sum
	}{
		{"none", 0, 5, Sum{}},
		{"two in one", 5, 6, Sum{Arrived: 208}},
		{"one", 6, 7, Sum{Arrived: 1004}},
		{"late", 8, 9, Sum{Dropped: 1}},
		{"longest delay", 9, 10, Sum{Departed: 208, Delay: 4 * ms}},
		{"all", -5, 100, Sum{Arrived: 1212, Departed: 312, Dropped: 1, Delay: 4 * ms}},
		{"backwards", 9, 5, Sum{}},
	} {
		if d := cmp.Diff(row.want, c.Sum(row.from, row.to)); d != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, d)
		}
	}
}

// After ten minutes a bin is used again, and what was in it is forgotten, also if nothing happened in between.
func TestTenMinutes(t *testing.T) {
	c := NewCounter(0)
	c.SwitchOn()
	c.Arrive(7*ms, sized(10, 0))
	c.Arrive((Bins+3)*ms, sized(20, 0))
	if got := c.Sum(0, Bins+4).Arrived; got != 30 {
		t.Errorf("%d bytes of the last ten minutes, want 30", got)
	}
	if got := c.Sum(Bins, 2*Bins).Arrived; got != 20 {
		t.Errorf("%d bytes of the second ten minutes, want 20", got)
	}
	c.Arrive((Bins+7)*ms, sized(40, 0))
	if got := c.Sum(0, Bins+8).Arrived; got != 60 {
		t.Errorf("%d bytes after the bin's second use, want 60", got)
	}
	if got := c.Sum(7, 8).Arrived; got != 0 {
		t.Errorf("%d bytes of ten minutes ago", got)
	}
}

func TestColumns(t *testing.T) {
	d := Direction{Counter: NewCounter(0), Zero: 1000*ms + 300*time.Microsecond,
		Capacity: func(t time.Duration) uint64 { return uint64(t / ms) }}
	d.Counter.SwitchOn()
	for k := range int64(100) {
		d.Counter.Arrive(time.Duration(k)*ms, sized(1, 0))
	}
	into := make([]Sum, 5)
	if n := d.Columns(40*ms, 24, into); n != 5 { // from 40 ms before the start
		t.Errorf("%d columns", n)
	}
	var got []string
	for _, s := range into {
		got = append(got, fmt.Sprint(s.Arrived, "/", s.Capacity))
	}
	if d := cmp.Diff([]string{"0/0", "39/39", "40/40", "21/40", "0/40"}, got); d != "" {
		t.Error(d)
	}
}

// The packet path allocates nothing.
func TestAllocations(t *testing.T) {
	c := NewCounter(0)
	c.SwitchOn()
	now := time.Duration(0)
	if n := testing.AllocsPerRun(10000, func() {
		now += 300 * time.Microsecond
		c.Arrive(now, sized(1500, now))
		c.Depart(now, sized(1500, now-ms), 0)
		c.Drop(now, sized(1500, now), "full")
	}); n != 0 {
		t.Errorf("%v allocations for three events", n)
	}
}

// What a reader sees is never of another time, while bins are used again beneath it; the race detector watches.
func TestConcurrentReaders(t *testing.T) {
	c := NewCounter(0)
	c.SwitchOn()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for k := int64(0); ; k++ {
				select {
				case <-done:
					return
				default:
				}
				if got := c.Sum(k%Bins, k%Bins+1); got.Arrived > 100 || got.Departed > 100 {
					t.Errorf("bin %d has %+v", k%Bins, got)
					return
				}
			}
		})
	}
	for lap := range int64(3) {
		for k := int64(0); k < Bins; k += 3 {
			now := time.Duration(lap*Bins+k) * ms
			for range 2 {
				c.Arrive(now, sized(50, now))
			}
			c.Depart(now, sized(100, now), 0)
		}
	}
	close(done)
	readers.Wait()
}

func BenchmarkCounter(b *testing.B) {
	for _, row := range []struct {
		name string
		on   bool
	}{{"off", false}, {"on", true}} {
		b.Run(row.name, func(b *testing.B) {
			c := NewCounter(0)
			if row.on {
				c.SwitchOn()
			}
			b.ReportAllocs()
			now := time.Duration(0)
			for b.Loop() {
				now += 1200 // 10 Gbit/s of full packets
				p := sized(1500, now-100)
				c.Arrive(now, p)
				c.Depart(now, p, -1)
			}
		})
	}
}

func BenchmarkSumTenMinutes(b *testing.B) {
	c := NewCounter(0)
	c.SwitchOn()
	for k := range int64(Bins) {
		c.Arrive(time.Duration(k)*ms, sized(1500, 0))
	}
	for b.Loop() {
		c.Sum(0, Bins)
	}
}
