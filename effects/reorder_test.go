package effects

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
)

func TestReorder(t *testing.T) {
	for _, row := range []struct {
		name     string
		ahead    []uint64
		arrivals []time.Duration
		left     []departure
	}{
		{"none is chosen", nil, []time.Duration{0, 3}, []departure{{0, 10, ""}, {1, 13, ""}}},
		{"all are", []uint64{1, 1}, []time.Duration{0, 3}, []departure{{0, 0, ""}, {1, 3, ""}}},
		{"one overtakes those of the last 10", []uint64{0, 0, 0, 1}, []time.Duration{0, 5, 6, 12, 13},
			[]departure{{0, 10, ""}, {3, 12, ""}, {1, 15, ""}, {2, 16, ""}, {4, 23, ""}}},
		{"at the same time it goes first", []uint64{0, 1}, []time.Duration{0, 10}, []departure{{0, 10, ""}, {1, 10, ""}}},
		{"and so do two, in their order", []uint64{0, 1, 1}, []time.Duration{0, 9, 9}, []departure{{1, 9, ""}, {2, 9, ""}, {0, 10, ""}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			if d := cmp.Diff(row.left, play(t, NewReorder(decides(row.ahead...), 10, nil), &pool, row.arrivals)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	// A late ferry takes what is due in the order of its times; one sent ahead goes first where these are the same.
	var pool packet.Pool
	s := NewReorder(decides(0, 1, 0, 1), 10, nil)
	for i, at := range []time.Duration{0, 10, 10, 11} {
		s.Push(at, one(&pool, i, at))
	}
	var got []departure
	for p, ok := s.Pop(50); ok; p, ok = s.Pop(50) {
		got = append(got, departure{Number: number(p), At: p.Due})
	}
	if d := cmp.Diff([]departure{{1, 10, ""}, {0, 10, ""}, {3, 11, ""}, {2, 20, ""}}, got); d != "" {
		t.Errorf("late (-want +got):\n%s", d)
	}
}

func TestSpaced(t *testing.T) {
	for _, row := range []struct {
		name string
		gap  int
		of   []uint64
		want []uint64
	}{
		{"gap 1", 1, []uint64{1, 0, 1, 1}, []uint64{1, 0, 1, 1, 0, 0}},
		{"gap 3, always", 3, []uint64{1, 1, 1}, []uint64{0, 0, 1, 0, 0, 1, 0, 0, 1}},
		{"gap 2, sometimes", 2, []uint64{0, 0, 1, 1}, []uint64{0, 0, 0, 1, 0, 1, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := NewSpaced(decides(row.of...), row.gap)
			var got []uint64
			for range row.want {
				got = append(got, s.Decide(0, packet.Packet{}))
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
