package packet

import "encoding/binary"

// MarkCE marks the packet as having met congestion (RFC 3168) if its sender is capable of ECN, and says whether it is.
// The mark is made in this packet alone, not in its neighbours of the same frame.
func (p Packet) MarkCE() bool {
	f := p.Frame
	switch ecn(f.head[VnetLen:min(f.n, headLen)]) {
	case 0:
		return false
	case 3:
		return true
	}
	if f.segs == 1 {
		setCE(f.head[VnetLen:])
		return true
	}
	if f.marked == nil {
		f.marked = make([]uint64, (MaxFrame+63)/64) // kept with the frame, in its pool
	}
	f.marks++
	f.marked[p.Index/64] |= 1 << (p.Index % 64)
	return true
}

// Alike says whether two packets of one frame may leave in one run.
func (p Packet) Alike(q Packet) bool {
	return p.Frame.marks == 0 || p.Frame.isMarked(int(p.Index)) == q.Frame.isMarked(int(q.Index))
}

func (f *Frame) isMarked(i int) bool { return f.marks > 0 && f.marked[i/64]>>(i%64)&1 != 0 }

func (f *Frame) unmark() {
	if f.marks > 0 {
		clear(f.marked)
		f.marks = 0
	}
}

// ecn returns the ECN field of an IP packet: 0 for one whose sender is not capable, 3 for CE.
func ecn(ip []byte) byte {
	if len(ip) < 20 {
		return 0
	}
	switch ip[0] >> 4 {
	case 4:
		return ip[1] & 3
	case 6:
		return ip[1] >> 4 & 3
	}
	return 0
}

// setCE sets the ECN field of an IP header to 3, and corrects the IPv4 header's checksum (RFC 1624, equation 3).
func setCE(ip []byte) {
	if ip[0]>>4 == 6 {
		ip[1] |= 0x30
		return
	}
	was := binary.BigEndian.Uint16(ip)
	ip[1] |= 3
	s := uint32(^binary.BigEndian.Uint16(ip[10:])) + uint32(^was) + uint32(binary.BigEndian.Uint16(ip))
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(s&0xffff+s>>16))
}
