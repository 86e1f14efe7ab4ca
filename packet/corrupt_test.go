package packet_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// A corrupt packet is the wire packet, checksums complete, but for the bits that were flipped; its neighbours are whole.
func TestCorrupt(t *testing.T) {
	more := []struct {
		name string
		recipe
	}{
		{"one packet of TCP", recipe{flags: ack, payload: 100}},
		{"one packet of UDP, odd", recipe{udp: true, payload: 101}},
		{"one packet of TCP over IPv6, no payload", recipe{v6: true, flags: syn}},
		{"one packet beyond the head", recipe{v6: true, udp: true, payload: 20001}},
	}
	for _, tt := range append(more, recipes...) {
		t.Run(tt.name, func(t *testing.T) {
			data := tt.bytes()
			whole, err := segment(data)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			var pool packet.Pool
			f := tuntest.Frame(&pool, data)
			for i, want := range whole {
				p := f.Packet(i, 7)
				p.Due = 9
				last := len(want)*8 - 1
				bits := [][]int{nil, {0}, {last}, {3, 9, last}, {r.IntN(last + 1)}}[i%5]
				for _, b := range bits {
					want[b/8] ^= 0x80 >> (b % 8)
				}
				q := p.Corrupt(bits)
				got := tuntest.Run(q.Frame, 0, 1)
				if !bytes.Equal(got[packet.VnetLen:], want) {
					t.Errorf("packet %d:\n%x, want\n%x", i, got[packet.VnetLen:], want)
				}
				if !bytes.Equal(got[:packet.VnetLen], make([]byte, packet.VnetLen)) {
					t.Errorf("packet %d has the virtio header %x", i, got[:packet.VnetLen])
				}
				if q.Frame == f || q.Index != 0 || q.Size != p.Size || q.Arrival != 7 || q.Due != 9 {
					t.Errorf("packet %d is %+v, was %+v", i, q, p)
				}
				q.Release()
			}
			if got := []*packet.Frame{pool.Get(), pool.Get()}; got[0] != f && got[1] != f {
				t.Error("the frame is not back in its pool")
			}
		})
	}
}

// Whatever a frame is, a packet that is corrupted twice in the same bits is what it was, and has its length.
func FuzzCorrupt(f *testing.F) {
	for _, tt := range captures {
		data, err := hex.DecodeString(tt.frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(1), uint16(77))
	}
	f.Add([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0x45, 1, 2}, uint16(0), uint16(5))
	f.Add(append([]byte{1, 5, 0, 0, 1, 0, 255, 255, 255, 255}, make([]byte, 3000)...), uint16(0), uint16(5))
	f.Fuzz(func(t *testing.T, data []byte, i, bit uint16) {
		data = data[:min(len(data), packet.MaxFrame)]
		if len(data) <= packet.VnetLen {
			return
		}
		var pool packet.Pool
		frame := tuntest.Frame(&pool, data)
		p := frame.Packet(int(i)%frame.Len(), 0)
		bits := []int{int(bit) % (8 * int(p.Size))}
		if at := p.Payload(); at < 0 || at > int(p.Size) {
			t.Fatalf("the payload of %d bytes begins at %d", p.Size, at)
		}
		h := p.Copy().Hash()
		want := tuntest.Run(p.Copy().Corrupt(nil).Frame, 0, 1)
		got := tuntest.Run(p.Copy().Corrupt(bits).Corrupt(bits).Frame, 0, 1)
		if len(want) != packet.VnetLen+int(p.Size) || !bytes.Equal(got, want) {
			t.Fatalf("%x, want\n%x", got, want)
		}
		if again := p.Hash(); again != h {
			t.Fatalf("the hash is %x, and then %x", h, again)
		}
	})
}

// Both of a packet and its copy have to go before the frame does.
func TestCopy(t *testing.T) {
	var pool packet.Pool
	f := tuntest.Frame(&pool, recipe{udp: true, payload: 300, gso: 100}.bytes())
	second := f.Packet(1, 0).Copy()
	for i := range 3 {
		f.Packet(i, 0).Release()
	}
	other := pool.Get()
	if other == f {
		t.Fatal("the frame is back in its pool")
	}
	pool.Discard(other)
	second.Release()
	if pool.Get(); pool.Get() != f {
		t.Error("the frame is not back in its pool")
	}
}

func TestCorruptAllocatesNothing(t *testing.T) {
	var pool packet.Pool
	data := recipe{flags: ack, payload: 4000, gso: 1000}.bytes()
	bits := []int{5, 500}
	var sum uint64
	turn := func() {
		f := fill(&pool, nil, data)
		for i := range f.Len() {
			p := f.Packet(i, 0)
			sum += p.Hash() + uint64(p.Payload())
			p.Corrupt(bits).Release()
		}
	}
	turn()
	fills := testing.AllocsPerRun(100, func() { // of the test's own
		f := fill(&pool, nil, data)
		for i := range f.Len() {
			f.Packet(i, 0).Release()
		}
	})
	if n := testing.AllocsPerRun(100, turn) - fills; n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCorrupt(b *testing.B) {
	var pool packet.Pool
	f := tuntest.Frame(&pool, recipe{flags: ack, payload: 14480, gso: 1448}.bytes())
	b.Run("corrupt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Packet(5, 0).Copy().Corrupt(nil).Release()
		}
	})
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Packet(5, 0).Hash()
		}
	})
}
