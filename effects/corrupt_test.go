package effects

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// flipped counts the bits in which the second frame's packet differs from the first, and says where the first one is.
func flipped(t *testing.T, was, is packet.Packet) (n, first int) {
	t.Helper()
	a := tuntest.Run(was.Copy().Corrupt(nil).Frame, 0, 1)
	b := tuntest.Run(is.Frame, int(is.Index), int(is.Index)+1)
	if is.Frame == was.Frame {
		b = a
	}
	if len(a) != len(b) {
		t.Fatalf("%d bytes became %d", len(a), len(b))
	}
	first = -1
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
		if first < 0 && n > 0 {
			first = i - packet.VnetLen
		}
	}
	return n, first
}

// A decision flips as many bits as it says, in the region that it may, and always the same.
func TestCorrupt(t *testing.T) {
	bare := plain(0, 40) // an acknowledgement
	copy(bare[packet.VnetLen:], []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6})
	bare[packet.VnetLen+32] = 0x50
	for _, row := range []struct {
		name     string
		decision uint64
		region   Region
		frame    []byte
		want     int
	}{
		{"nothing", 0, Region{}, plain(1, 100), 0},
		{"one bit", 77<<16 | 1, Region{}, plain(1, 100), 1},
		{"one of the payload", 77<<16 | 1, Region{PayloadOnly: true}, tuntest.Segmented(2), 1},
		{"many", 77<<16 | 500, Region{}, plain(1, 100), 500},
		{"all", 77<<16 | 800, Region{}, plain(1, 100), 800},
		{"no more than there are", 77<<16 | 0xffff, Region{}, plain(1, 100), 800},
		{"the whole payload", 77<<16 | 0xffff, Region{PayloadOnly: true}, tuntest.Segmented(2), 8000},
		{"no payload", 77<<16 | 5, Region{PayloadOnly: true}, bare, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			var before []byte
			for range 2 {
				p := tuntest.Frame(&pool, row.frame).Packet(0, 0)
				s := NewCorrupt(decides(row.decision), row.region, nil)
				s.Push(0, p.Copy())
				q, ok := s.Pop(0)
				if !ok {
					t.Fatal("it did not leave")
				}
				n, first := flipped(t, p, q)
				if n != row.want {
					t.Errorf("%d bits flipped, want %d", n, row.want)
				}
				if row.region.PayloadOnly && n > 0 && first < 40 {
					t.Errorf("byte %d is not of the payload", first)
				}
				after := slices.Clone(q.Frame.Headers())
				if before != nil && !slices.Equal(before, after) {
					t.Error("a second time it flips others")
				}
				before = after
			}
		})
	}
}

// Each bit is flipped as often as any other.
func TestCorruptSpreads(t *testing.T) {
	const n, size = 40_000, 10
	c := NewCorrupt(nil, Region{}, nil)
	var hits [8 * size]int
	r := Random(1, "seed")
	for range n {
		for _, b := range c.choose(r.Uint64()<<16|3, 0, 8*size) {
			hits[b]++
		}
	}
	p := 3.0 / (8 * size)
	for b, h := range hits { // of 80, some are beyond three sigma
		if d := math.Abs(float64(h) - n*p); d > 4.5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("bit %d is flipped %d times, want %v", b, h, n*p)
		}
	}
}

// The number of flipped bits is binomially distributed, or with a rate one of each packet.
func TestFlips(t *testing.T) {
	const n = 100_000
	for _, row := range []struct {
		name    string
		flips   func(Region) *Flips
		region  Region
		bits    int // in reach
		mean    float64
		touched float64
	}{
		{"rate 0.05", func(r Region) *Flips { return NewFlips(0.05, r, Random(1, "uplink")) }, Region{}, 8320, 0.05, 0.05},
		{"rate 0", func(r Region) *Flips { return NewFlips(0, r, Random(1, "uplink")) }, Region{}, 8320, 0, 0},
		{"rate 1", func(r Region) *Flips { return NewFlips(1, r, Random(1, "uplink")) }, Region{PayloadOnly: true}, 8000, 1, 1},
		{"ber 0", func(r Region) *Flips { return NewBitErrors(0, r, Random(1, "uplink")) }, Region{}, 8320, 0, 0},
		{"ber 1e-6", func(r Region) *Flips { return NewBitErrors(1e-6, r, Random(1, "uplink")) }, Region{}, 8320, 0, 0},
		{"ber 1e-4", func(r Region) *Flips { return NewBitErrors(1e-4, r, Random(1, "uplink")) }, Region{}, 8320, 0, 0},
		{"ber 1e-2 of the payload", func(r Region) *Flips { return NewBitErrors(1e-2, r, Random(1, "uplink")) },
			Region{PayloadOnly: true}, 8000, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pool packet.Pool
			p := tuntest.Frame(&pool, tuntest.Segmented(2)).Packet(1, 0)
			f := row.flips(row.region)
			deviation := math.Sqrt(row.mean * (1 - row.mean) / n)
			var ber float64
			if fmt.Sscanf(row.name, "ber %g", &ber); ber > 0 {
				row.mean, row.touched = float64(row.bits)*ber, 1-math.Pow(1-ber, float64(row.bits))
				deviation = math.Sqrt(row.mean * (1 - ber) / n)
			}
			var sum, touched int
			for range n {
				d := f.Decide(0, p)
				sum += int(d & 0xffff)
				if d != 0 {
					touched++
				}
			}
			within(t, "the number of bits", float64(sum)/n, row.mean, deviation)
			share(t, "the share of packets", touched, n, row.touched)
		})
	}
}
