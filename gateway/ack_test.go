package gateway

import (
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
)

// ackFrom is a packet that acknowledges up to a number, with the options given.
func ackFrom(host string, number byte, options ...byte) []byte {
	a := netip.MustParseAddr(host)
	tcp := append([]byte{0x12, 0x34, 0, 80, 0, 0, 0, 1, 0xff, 0xff, 0xff, number, byte(20+len(options)) << 2, 0x10, 1, 0, 0, 0, 0, 0}, options...)
	if a.Is4() {
		ip := []byte{0x45, 0, 0, byte(20 + len(tcp)), 0, number, 0x40, 0, 64, 6, 0, 0}
		return slices.Concat(ip, a.AsSlice(), []byte{192, 0, 2, 1}, tcp)
	}
	ip := []byte{0x60, 0, 0, 0, 0, byte(len(tcp)), 6, 64}
	return slices.Concat(ip, a.AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice(), tcp)
}

func TestSupersedes(t *testing.T) {
	stamp := func(at byte) []byte { return []byte{1, 1, 8, 10, 0, 0, 0, at, 0, 0, 0, 0} }
	with := func(b []byte, at int, v byte) []byte {
		b = slices.Clone(b)
		b[at] = v
		return b
	}
	const a, b = "100.64.0.2", "100.64.0.3"
	const a6, b6 = "2001:db8::2", "2001:db8::3"
	for _, row := range []struct {
		name        string
		first, next []byte
		want        bool
	}{
		{"more is acknowledged", ackFrom(a, 1), ackFrom(a, 9), true},
		{"with timestamps", ackFrom(a, 1, stamp(1)...), ackFrom(a, 9, stamp(2)...), true},
		{"over IPv6", ackFrom(a6, 1), ackFrom(a6, 9), true},
		{"the number wraps", ackFrom(a, 0xff), with(with(with(ackFrom(a, 3), 28, 0), 29, 0), 30, 0), true},
		{"a duplicate", ackFrom(a, 9), ackFrom(a, 9), false},
		{"an old one", ackFrom(a, 9), ackFrom(a, 1), false},
		{"another host", ackFrom(a, 1), ackFrom(b, 9), false},
		{"another host, IPv6", ackFrom(a6, 1), ackFrom(b6, 9), false},
		{"another port", ackFrom(a, 1), with(ackFrom(a, 9), 23, 81), false},
		{"another family", ackFrom(a, 1), ackFrom(a6, 9), false},
		{"data", ackFrom(a, 1), append(ackFrom(a, 9), 'x'), false},
		{"data before", append(ackFrom(a, 1), 'x'), ackFrom(a, 9), false},
		{"SACK", ackFrom(a, 1), ackFrom(a, 9, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2), false},
		{"a FIN", ackFrom(a, 1), with(ackFrom(a, 9), 33, 0x11), false},
		{"an echo of congestion", ackFrom(a, 1), with(ackFrom(a, 9), 33, 0x50), false},
		{"a fragment", ackFrom(a, 1), with(ackFrom(a, 9), 6, 0x20), false},
		{"UDP", ackFrom(a, 1), with(ackFrom(a, 9), 9, 17), false},
		{"cut off", ackFrom(a, 1), ackFrom(a, 9)[:39], false},
		{"nothing", nil, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			first, next := frame{first: buffer.NewViewWithData(row.first)}, frame{first: buffer.NewViewWithData(row.next)}
			if got := next.supersedes(&first); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}
