package effects

import (
	"net/netip"
	"time"

	"gomahi/packet"
)

// A ByAddress decides on delays by one of a packet's two IP addresses: for NewJitter, which keeps the order of packets
// that are delayed for the same time.
type ByAddress struct {
	delays  map[netip.Addr]time.Duration
	offset4 int // of the address within an IPv4 header
	offset6 int
}

// NewByAddress makes one of the source address or, if it is false, of the destination. Addresses without a delay have
// none.
func NewByAddress(delays map[netip.Addr]time.Duration, source bool) *ByAddress {
	if source {
		return &ByAddress{delays, 12, 8}
	}
	return &ByAddress{delays, 16, 24}
}

// Decide looks the address up.
func (b *ByAddress) Decide(_ time.Duration, p packet.Packet) uint64 {
	ip := p.Frame.Headers()
	var a netip.Addr
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		a = netip.AddrFrom4([4]byte(ip[b.offset4:]))
	case len(ip) >= 40 && ip[0]>>4 == 6:
		a = netip.AddrFrom16([16]byte(ip[b.offset6:]))
	}
	return uint64(b.delays[a])
}
