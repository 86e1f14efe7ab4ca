package packet_test

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// fill puts the bytes into a new frame without allocating.
func fill(pool *packet.Pool, bufs [][]byte, data []byte) *packet.Frame {
	f := pool.Get()
	n := 0
	for _, b := range f.Buffers(bufs[:0], 0) {
		n += copy(b, data[n:])
	}
	f.Filled(n)
	return f
}

func TestPoolKeepsAll(t *testing.T) {
	small, large := recipe{flags: ack, payload: 100}, recipe{flags: ack, payload: 60000, gso: 1400}
	middle := recipe{flags: ack, payload: 20000, gso: 1400}
	full, over := recipe{flags: ack, payload: 1998, gso: 1000}, recipe{flags: ack, payload: 1999, gso: 1000}
	for _, tt := range []struct {
		name   string
		cycle  []recipe
		frames int // made in all
		pieces int // of them and their tails
	}{
		// A frame is read into with all tails, and keeps of them what it needs.
		{"small", []recipe{small, small, small}, 3, 3 + 4},
		{"large", []recipe{large, large}, 2, 2 + 8},
		{"filling the head", []recipe{full, full, full}, 3, 3 + 4},
		{"one byte in a tail", []recipe{over, over, over}, 3, 3 + 3 + 3},
		{"mixed", []recipe{small, large, middle, small}, 4, 4 + 4 + 2 + 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var pool packet.Pool
			frames, pieces := map[*packet.Frame]bool{}, map[*byte]bool{}
			for range 10 {
				var held []packet.Packet
				var want [][]byte
				for i, r := range tt.cycle {
					r.seq = uint32(i)
					data := r.bytes()
					f := pool.Get()
					frames[f] = true
					bufs := f.Buffers(nil, 0)
					if len(bufs) != packet.Parts-1 {
						t.Fatalf("%d pieces to read into", len(bufs))
					}
					n, room := 0, 0
					for _, b := range bufs {
						pieces[unsafe.SliceData(b)] = true
						n += copy(b, data[n:])
						room += len(b)
					}
					if room != packet.MaxFrame {
						t.Fatalf("room for %d bytes, want %d", room, packet.MaxFrame)
					}
					f.Filled(n)
					for i := range f.Len() {
						held = append(held, f.Packet(i, 0))
					}
					want = append(want, data)
				}
				k := 0
				for _, p := range held {
					if p.Index == 0 {
						if !bytes.Equal(tuntest.Run(p.Frame, 0, p.Frame.Len()), want[k]) {
							t.Fatalf("frame %d was written over by another", k)
						}
						k++
					}
				}
				// Backwards, and the packets of a frame not together.
				for step := range 3 {
					for i := len(held) - 1 - step; i >= 0; i -= 3 {
						held[i].Release()
					}
				}
			}
			if len(frames) != tt.frames || len(pieces) != tt.pieces {
				t.Errorf("%d frames and %d pieces were made, want %d and %d", len(frames), len(pieces), tt.frames, tt.pieces)
			}
		})
	}
}

// No packet may see a frame that is still waiting for another of its packets.
func TestFrameIsKeptUntilTheLastRelease(t *testing.T) {
	var pool packet.Pool
	f := fill(&pool, nil, recipe{flags: ack, payload: 3000, gso: 1000}.bytes())
	for i := range 3 {
		if g := pool.Get(); g == f {
			t.Fatalf("given out again after %d of 3 packets", i)
		} else {
			pool.Discard(g)
		}
		f.Packet(i, 0).Release()
	}
	pool.Get() // the one discarded
	if g := pool.Get(); g != f {
		t.Error("not given out again after its last packet")
	}
}

func TestDiscard(t *testing.T) {
	var pool packet.Pool
	f := pool.Get()
	pool.Discard(f)
	if pool.Get() != f {
		t.Error("a discarded frame is not the next one given")
	}
}

func TestPacket(t *testing.T) {
	var pool packet.Pool
	f := fill(&pool, nil, recipe{flags: ack, payload: 2500, gso: 1000}.bytes())
	for i, want := range []packet.Packet{
		{Frame: f, Index: 0, Size: 1040, Arrival: 7 * time.Second, Due: 7 * time.Second},
		{Frame: f, Index: 1, Size: 1040, Arrival: 7 * time.Second, Due: 7 * time.Second},
		{Frame: f, Index: 2, Size: 540, Arrival: 7 * time.Second, Due: 7 * time.Second},
	} {
		if got := f.Packet(i, 7*time.Second); got != want {
			t.Errorf("packet %d is %+v, want %+v", i, got, want)
		}
	}
}

// All packets of a frame may be described as one, which is all of them and gives up all.
func TestWhole(t *testing.T) {
	for name, r := range map[string]recipe{"one": {flags: ack, payload: 100}, "three": {flags: ack, payload: 2500, gso: 1000},
		"datagrams": {v6: true, udp: true, payload: 60000, gso: 1}} {
		var pool packet.Pool
		f := fill(&pool, nil, r.bytes())
		whole, size, n := f.Whole(7*time.Second), int32(0), 0
		for p := range whole.Each {
			if want := f.Packet(n, 7*time.Second); p != want {
				t.Fatalf("%s: packet %d is %+v, want %+v", name, n, p, want)
			}
			n++
			size += p.Size
		}
		if n != f.Len() || whole.Len() != n || whole.Size != size || whole.Due != 7*time.Second {
			t.Errorf("%s: %d packets of %d bytes are %+v", name, f.Len(), size, whole)
		}
		whole.Release()
		if pool.Get() != f {
			t.Errorf("%s: not given up", name)
		}
	}
}

type steady struct {
	name string
	recipe
}

var steadies = []steady{
	{"small", recipe{flags: ack, payload: 100}},
	{"full size", recipe{flags: ack, payload: 1400}},
	{"frame of 64 KiB", recipe{flags: ack, payload: 65000, gso: 1448}},
	{"datagrams", recipe{v6: true, udp: true, payload: 30000, gso: 1200}},
}

// turn returns what fills two frames, so that the pool's lists are used as well as its spare one, and writes each packet
// of one by itself.
func (s steady) turn() func() {
	var pool packet.Pool
	data, room := s.bytes(), make([]byte, packet.HeaderRoom)
	in, out := make([][]byte, 0, packet.Parts), make([][]byte, 0, packet.Parts)
	return func() {
		f, g := fill(&pool, in, data), fill(&pool, in, data)
		for i := range f.Len() {
			p, q := f.Packet(i, 0), g.Packet(i, 0)
			out = f.Run(out[:0], room, i, i+1)
			p.Release()
			q.Release()
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, tt := range steadies {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, tt.turn()); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, tt := range steadies {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			turn := tt.turn()
			for b.Loop() {
				turn()
			}
		})
	}
}

// What a burst needed beyond the usual does not stay.
func TestPoolIsBounded(t *testing.T) {
	var pool packet.Pool
	data := recipe{flags: ack, payload: 100}.bytes()
	const burst, kept = 5000, 4096
	first := map[*packet.Frame]bool{}
	for _, again := range []bool{false, true} {
		var held []*packet.Frame
		known := 0
		for range burst {
			f := fill(&pool, nil, data)
			held = append(held, f)
			if first[f] {
				known++
			}
		}
		if again && known != kept {
			t.Errorf("%d of %d frames were kept, want %d", known, burst, kept)
		}
		for _, f := range held {
			first[f] = true
			f.Packet(0, 0).Release()
		}
	}
}
