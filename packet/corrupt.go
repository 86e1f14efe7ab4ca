package packet

import "encoding/binary"

// Corrupt flips bits of the packet, counted from the first of its IP header, and returns it as a frame of its own; p is
// given up. Its checksums are completed before, as a sender's network card does, so that the receiver finds them wrong.
func (p Packet) Corrupt(bits []int) Packet {
	var bufs [Parts][]byte
	pool, i, n := p.Frame.pool, int(p.Index), 0
	f := pool.Get()
	for _, b := range p.Frame.Run(bufs[:0], pool.room[:], i, i+1) {
		for len(b) > 0 {
			k := copy(f.from(n), b)
			b, n = b[k:], n+k
		}
	}
	Complete(f.slice(bufs[:0], 0, n))
	for _, bit := range bits {
		f.from(VnetLen + bit/8)[0] ^= 0x80 >> (bit % 8)
	}
	f.FilledPlain(n - VnetLen)
	q := f.Packet(0, p.Arrival)
	q.Due = p.Due
	p.Release()
	return q
}

// from is the frame's piece that holds byte i, from there on.
func (f *Frame) from(i int) []byte {
	if i < headLen {
		return f.head[i:]
	}
	i -= headLen
	return f.tail[i/tailLen][i%tailLen:]
}

// Complete does what VIRTIO_NET_HDR_F_NEEDS_CSUM asks for: it completes the transport checksum of one wire packet, which
// comes in pieces of even length, but for the last. The first begins with the virtio header and holds all others.
func Complete(pieces [][]byte) {
	head := pieces[0]
	start := VnetLen + int(binary.LittleEndian.Uint16(head[VnetCsumStart:]))
	field := start + int(binary.LittleEndian.Uint16(head[VnetCsumOffset:]))
	if head[VnetFlags]&VnetNeedsCsum == 0 || field+2 > len(head) {
		return
	}
	var s uint32 // the field holds the pseudo-header's part
	for i, b := range pieces {
		if i == 0 {
			b = b[start:]
		}
		s += uint32(sum(b))
		if len(b)%2 > 0 {
			s += uint32(b[len(b)-1]) << 8
		}
	}
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	if s == 0xffff {
		s = 0 // the complement is then all ones, which for UDP says 0 (RFC 768), and for TCP is 0 as well
	}
	binary.BigEndian.PutUint16(head[field:], ^uint16(s))
}
