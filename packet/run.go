package packet

import "encoding/binary"

// HeaderRoom is the length of the buffer that Run needs.
const HeaderRoom = headLen

// Run appends to bufs the pieces of a frame that stands for the packets i to j-1 alone, virtio header included. The
// whole frame goes as it came. Anything less gets headers of its own, built in room (HeaderRoom bytes, used until the
// pieces are written), as the kernel's own segmentation would make them (net/ipv4/tcp_offload.c, tcp_gso_segment;
// net/ipv4/udp_offload.c, __udp_gso_segment; net/ipv4/af_inet.c, inet_gso_segment): IP length, id and header checksum;
// TCP sequence number, FIN and PSH on the last segment only, CWR on the first only; UDP length; and the length within
// the pseudo-header's sum. The transport checksum stays to be completed by the kernel. The packets are Alike: what
// MarkCE marked is marked.
func (f *Frame) Run(bufs [][]byte, room []byte, i, j int) [][]byte {
	if i == 0 && j == f.segs && !f.isMarked(0) {
		return f.slice(bufs, 0, f.n)
	}
	start := VnetLen + f.hdr + i*f.gso
	end := min(VnetLen+f.hdr+j*f.gso, f.n)
	h := room[:VnetLen+f.hdr]
	copy(h, f.head)
	// The kernel says how much of its buffer was linear, payload included, and refuses a frame that is shorter.
	binary.LittleEndian.PutUint16(h[VnetHdrLen:], uint16(f.hdr))
	if j-i == 1 {
		h[VnetGSOType] = GSONone
		binary.LittleEndian.PutUint16(h[VnetGSOSize:], 0)
	} else if i > 0 {
		h[VnetGSOType] &^= GSOECN
	}

	ip := h[VnetLen:]
	size := f.hdr + end - start
	if ip[0]>>4 == 4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(size))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:int(ip[0]&15)*4]))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(size-40))
	}

	if f.isMarked(i) {
		setCE(ip)
	}

	l4 := ip[f.l4:]
	was, is := f.n-VnetLen-f.l4, size-f.l4
	if f.tcp {
		binary.BigEndian.PutUint32(l4[4:], binary.BigEndian.Uint32(l4[4:])+uint32(i*f.gso))
		if j < f.segs {
			l4[13] &^= 0x09 // FIN, PSH
		}
		if i > 0 {
			l4[13] &^= 0x80 // CWR
		}
		patch(l4[16:], was, is)
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(is))
		patch(l4[6:], was, is)
	}
	return f.slice(append(bufs, h), start, end)
}

// slice appends the bytes from a to b of the frame.
func (f *Frame) slice(bufs [][]byte, a, b int) [][]byte {
	if a < headLen {
		bufs = append(bufs, f.head[a:min(b, headLen)])
	}
	for i, t := range f.tail {
		off := headLen + i*tailLen
		if a < off+tailLen && b > off {
			bufs = append(bufs, t[max(a-off, 0):min(b-off, tailLen)])
		}
	}
	return bufs
}

// patch puts the length is in place of was into a pseudo-header's sum, RFC 1624 equation 3 without the complement: the
// field of an unfinished checksum holds the sum itself. So the addresses need not be known, which behind a routing
// header are not those of the IP header.
func patch(field []byte, was, is int) {
	s := uint32(binary.BigEndian.Uint16(field)) + uint32(^uint16(was)) + uint32(is)
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(field, uint16(s&0xffff+s>>16))
}

// sum is the ones' complement sum of b, RFC 1071; the length of b is even.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	s = s&0xffff + s>>16
	return uint16(s&0xffff + s>>16)
}
