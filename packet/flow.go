package packet

import "encoding/binary"

// Flow is a number that is the same for all packets of a flow: of one protocol between the same addresses and, for TCP
// and UDP, ports. Each seed makes other numbers. All fragments between two addresses are one flow, since only the first
// of a packet has its ports; what is no IP packet has the flow 0.
func (p Packet) Flow(seed uint64) uint64 {
	ip := p.Frame.Headers()
	if len(ip) == 0 {
		return 0
	}
	var proto byte
	switch version := ip[0] >> 4; {
	case version == 4 && len(ip) >= 20:
		seed = mix(seed, binary.LittleEndian.Uint64(ip[12:]))
		proto = ip[9]
	case version == 6 && len(ip) >= 40:
		for i := 8; i < 40; i += 8 {
			seed = mix(seed, binary.LittleEndian.Uint64(ip[i:]))
		}
		proto = ip[6]
	default:
		return 0
	}
	last := uint64(proto)
	l4, found := transport(ip, p.Frame.n-VnetLen)
	if l4 > 0 && (found == 6 || found == 17) && len(ip) >= l4+4 {
		last = uint64(found) | uint64(binary.LittleEndian.Uint32(ip[l4:]))<<8
	}
	return mix(seed, last)
}

// mix takes another word into a hash, by the finalizer of SplitMix64, of which every bit depends on all bits of h^w.
func mix(h, w uint64) uint64 {
	h ^= w
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
