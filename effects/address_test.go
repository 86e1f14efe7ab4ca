package effects

import (
	"net/netip"
	"testing"
	"time"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// Packets are delayed by their destination, or source, and those of one keep their order.
func TestByAddress(t *testing.T) {
	near, far, far6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")
	delays := map[netip.Addr]time.Duration{far: 40 * time.Millisecond, far6: 60 * time.Millisecond}
	ip := func(src, dst netip.Addr) []byte {
		b := make([]byte, packet.VnetLen+40)
		h := b[packet.VnetLen:]
		if dst.Is4() {
			h[0] = 0x45
			copy(h[12:], src.AsSlice())
			copy(h[16:], dst.AsSlice())
		} else {
			h[0] = 0x60
			copy(h[8:], src.AsSlice())
			copy(h[24:], dst.AsSlice())
		}
		return b
	}
	pool := new(packet.Pool)
	six := netip.MustParseAddr("2001:db8::2")
	for _, row := range []struct {
		name     string
		src, dst netip.Addr
		up, down time.Duration // by destination, and by source
	}{
		{"to far", near, far, 40 * time.Millisecond, 0},
		{"from far", far, near, 0, 40 * time.Millisecond},
		{"between others", near, near, 0, 0},
		{"IPv6, to", six, far6, 60 * time.Millisecond, 0},
		{"IPv6, from", far6, six, 0, 60 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			for source, want := range map[bool]time.Duration{false: row.up, true: row.down} {
				s := NewJitter(NewByAddress(delays, source), false)
				f := tuntest.Frame(pool, ip(row.src, row.dst))
				s.Push(time.Second, f.Packet(0, time.Second))
				if due, ok := s.Next(); !ok || due != time.Second+want {
					t.Errorf("by source %v: due at %v", source, due)
				}
				p, ok := s.Pop(time.Second + want)
				if !ok {
					t.Fatal("it does not leave")
				}
				p.Release()
			}
		})
	}
}
