package packet_test

import (
	"testing"

	"gomahi/packet"
)

// A mark changes the ECN field of its own packet alone, and keeps the IPv4 header's checksum right.
func TestMarkCE(t *testing.T) {
	field := func(ip []byte) byte {
		if ip[0]>>4 == 6 {
			return ip[1] >> 4 & 3
		}
		return ip[1] & 3
	}
	for _, row := range []struct {
		name    string
		tos     byte // its ECN bits
		v6      bool
		payload int // of 1,000 bytes each
		capable bool
	}{
		{"not capable", 0, false, 3000, false},
		{"ECT(0)", 2, false, 3000, true},
		{"ECT(1)", 1, false, 3000, true},
		{"CE already", 3, false, 3000, true},
		{"IPv6", 2, true, 3000, true},
		{"IPv6, not capable", 0, true, 3000, false},
		{"one packet", 2, false, 900, true},
		{"one packet of IPv6", 1, true, 900, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			data := recipe{v6: row.v6, flags: ack, payload: row.payload, gso: 1000}.bytes()
			if row.payload <= 1000 {
				data = recipe{v6: row.v6, flags: ack, payload: row.payload}.bytes()
			}
			ip := data[packet.VnetLen:]
			if row.v6 {
				ip[1] = ip[1]&^0x30 | row.tos<<4
			} else {
				ip[1] = ip[1]&^3 | row.tos
				ip[10], ip[11] = 0, 0
				c := ^onesSum(ip[:20])
				ip[10], ip[11] = byte(c>>8), byte(c)
			}
			var pool packet.Pool
			for range 2 { // a frame that was marked is clean when it is used again
				f := fill(&pool, nil, data)
				marked := f.Len() / 2
				if got := f.Packet(marked, 0).MarkCE(); got != row.capable {
					t.Fatalf("capable %v, want %v", got, row.capable)
				}
				room := make([]byte, packet.HeaderRoom)
				for i := range f.Len() {
					ecn := row.tos
					if i == marked && row.capable {
						ecn = 3
					}
					var out []byte
					for _, b := range f.Run(nil, room, i, i+1) {
						out = append(out, b...)
					}
					h := out[packet.VnetLen:]
					if got := field(h); got != ecn {
						t.Errorf("packet %d has ECN %d, want %d", i, got, ecn)
					}
					if !row.v6 && onesSum(h[:20]) != 0xffff {
						t.Errorf("packet %d has a wrong header checksum", i)
					}
					want := i == marked || !row.capable || row.tos == 3
					if got := f.Packet(i, 0).Alike(f.Packet(marked, 0)); got != want {
						t.Errorf("packet %d alike %v, want %v", i, got, want)
					}
				}
				for i := range f.Len() {
					f.Packet(i, 0).Release()
				}
			}
		})
	}
}

func onesSum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
