package effects

import (
	"testing"
	"time"

	"gomahi/packet"
)

// The ring grows wherever its head stands, and keeps its order.
func TestLineGrows(t *testing.T) {
	for _, row := range []struct {
		name        string
		before      int // pushed and popped first, which moves the head
		push, grown int
	}{
		{"the first", 0, 1, 64},
		{"as many as it holds", 0, 64, 64},
		{"one more, head at the start", 0, 65, 128},
		{"one more, head at the end", 63, 65, 128},
		{"one more, head in the middle", 30, 65, 128},
		{"as many as it holds, across the end", 40, 64, 64},
		{"several times over", 17, 1000, 1024},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			var l line
			add := func(k int) {
				p := one(&pool, k, 0)
				p.Due = time.Duration(k)
				l.add(p)
			}
			pop := func(k int) {
				t.Helper()
				if next, ok := l.Next(); !ok || next != time.Duration(k) {
					t.Fatalf("Next is %v, %v; want %v", next, ok, time.Duration(k))
				}
				if _, ok := l.Pop(time.Duration(k) - 1); ok {
					t.Fatalf("packet %d left early", k)
				}
				p, ok := l.Pop(time.Duration(k))
				if !ok || number(p) != k {
					t.Fatalf("no packet %d", k)
				}
				p.Release()
			}
			for k := range row.before {
				add(k)
				pop(k)
			}
			for k := range row.push {
				add(row.before + k)
			}
			if len(l.ring) != row.grown {
				t.Errorf("the ring has %d places, want %d", len(l.ring), row.grown)
			}
			for k := range row.push {
				pop(row.before + k)
			}
			if _, ok := l.Next(); ok {
				t.Error("Next promises something of an empty line")
			}
			if _, ok := l.Pop(1<<63 - 1); ok {
				t.Error("Pop gives something of an empty line")
			}
			for i, p := range l.ring {
				if p.Frame != nil {
					t.Fatalf("place %d still holds a frame", i)
				}
			}
		})
	}
}
