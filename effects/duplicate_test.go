package effects

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

func TestDuplicate(t *testing.T) {
	var pool packet.Pool
	got := play(t, NewDuplicate(decides(0, 1, 0, 1), nil), &pool, []time.Duration{0, 5, 5, 7})
	want := []departure{{0, 0, ""}, {1, 5, ""}, {1, 5, ""}, {2, 5, ""}, {3, 7, ""}, {3, 7, ""}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Of a frame of three packets the second is duplicated: both of it leave, and the frame is kept until the last has.
func TestDuplicateWithinFrame(t *testing.T) {
	var pool packet.Pool
	f := tuntest.Frame(&pool, tuntest.Segmented(3))
	s := NewDuplicate(decides(0, 1), nil)
	for i := range f.Len() {
		s.Push(0, f.Packet(i, 0))
	}
	for i, want := range []uint16{0, 1, 1, 2} {
		p, ok := s.Pop(0)
		if !ok || p.Index != want {
			t.Fatalf("departure %d is packet %d, %v; want %d", i, p.Index, ok, want)
		}
		other := pool.Get()
		if other == f {
			t.Fatal("the frame is back in its pool too early")
		}
		pool.Discard(other)
		p.Release()
	}
	if pool.Get(); pool.Get() != f {
		t.Error("the frame is not back in its pool")
	}
}
