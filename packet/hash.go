package packet

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Hash is a number made of what a packet says, that is the same in a second run of the same programs: of its protocol,
// its payload, and TCP's SYN, FIN and RST; or of ICMP's type, code and sequence number. Left out is what is drawn anew in
// each run or changes on the way: addresses, ports, TCP's sequence numbers, identifications, timestamps (of which the
// payload of a ping has one), hop limits and checksums.
func (p Packet) Hash() uint64 {
	f, i := p.Frame, int(p.Index)
	start, proto, says := f.payload()
	if proto == tcp && i < f.segs-1 {
		says &^= 1 // FIN is the last one's
	}
	end := f.Bytes()
	if f.segs > 1 {
		start += i * f.gso
		end = min(start+f.gso, end)
	}
	var bufs [Parts][]byte
	var a, b uint32 // two CRCs, for which there are instructions, are as good as one of 64 bits
	for _, piece := range f.slice(bufs[:0], VnetLen+start, VnetLen+end) {
		if proto == icmp || proto == icmp6 {
			break
		}
		a = crc32.Update(a, crc32.IEEETable, piece)
		b = crc32.Update(b, castagnoli, piece)
	}
	return mix(mix(uint64(a)<<32|uint64(b), uint64(end-start)), uint64(proto)<<32|uint64(says))
}

const icmp, tcp, udp, icmp6 = 1, 6, 17, 58

// Payload is where in the IP packet the payload of TCP, UDP or ICMP begins, or of IP for any other protocol and for
// fragments. It is the packet's size where there is none.
func (p Packet) Payload() int {
	start, _, _ := p.Frame.payload()
	return min(start, int(p.Size))
}

// Transport says whether the packet is one of TCP or UDP, or the first fragment of one: whether it has such a header.
func (p Packet) Transport() bool {
	ip, proto := p.Frame.Headers(), byte(0)
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4 && binary.BigEndian.Uint16(ip[6:])&0x1fff == 0:
		proto = ip[9]
	case len(ip) >= 40 && ip[0]>>4 == 6:
		var at int
		at, proto = past(ip, 40, ip[6])
		if proto == 44 && binary.BigEndian.Uint16(ip[at+2:])>>3 == 0 { // a first fragment, RFC 8200 section 4.5
			_, proto = past(ip, at+8, ip[at])
		}
	}
	return proto == tcp || proto == udp
}

// payload finds the payload of the frame's first packet, its protocol, and what of the transport header Hash is about.
func (f *Frame) payload() (start int, proto byte, says uint32) {
	ip, n := f.Headers(), f.Bytes()
	if len(ip) < 20 {
		return 0, 0, 0
	}
	start, proto = transport(ip, n)
	rest := ip[start:]
	switch {
	case start == 0 && ip[0]>>4 == 4: // a fragment
		start, proto = int(ip[0]&15)*4, 0
	case start == 0 && ip[0]>>4 == 6 && n >= 40:
		start, proto = 40, 0
	case start == 0:
	case proto == tcp && len(rest) >= 20:
		start, says = start+int(rest[12]>>4)*4, uint32(rest[13]&7)
	case proto == udp && len(rest) >= 8:
		start += 8
	case (proto == icmp || proto == icmp6) && len(rest) >= 8:
		start, says = start+8, uint32(rest[0])<<24|uint32(rest[1])<<16|uint32(rest[6])<<8|uint32(rest[7])
	}
	return min(start, n), proto, says
}
