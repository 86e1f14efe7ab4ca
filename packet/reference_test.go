package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"gomahi/packet"
)

// A recipe says what a frame is made of; bytes makes it, with every length and sum right.
type recipe struct {
	v6, udp    bool
	ipOptions  []byte // of IPv4, a multiple of 4
	ext        []ext  // of IPv6
	tcpOptions []byte // a multiple of 4
	flags      byte
	id         uint16
	seq        uint32
	payload    int
	gso        int // 0: one wire packet
	ecn        bool
	hdrLen     int // what the virtio header says, where not 0; the kernel calls it a hint and may count payload in
}

// An ext is an IPv6 extension header, without its first two bytes.
type ext struct {
	kind byte
	data []byte
}

var (
	hopByHop = ext{0, []byte{1, 4, 0, 0, 0, 0}}
	destOpts = ext{60, []byte{1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
	// Mobile IPv6's, RFC 6275 section 6.4: the transport's checksum is for the address in it.
	routing2 = ext{43, append([]byte{2, 1, 0, 0, 0, 0}, addr6(0x77)...)}
	// Segment routing's, RFC 8754: the first address of the list is the last hop.
	routing4 = ext{43, slices.Concat([]byte{4, 1, 1, 0, 0, 0}, addr6(0x55), addr6(0x66))}
	// All segments done: the address in the IP header counts.
	routingDone = ext{43, append([]byte{2, 0, 0, 0, 0, 0}, addr6(0x77)...)}
)

const (
	fin, syn, rst, psh, ack, urg, ece, cwr = 1, 2, 4, 8, 16, 32, 64, 128
)

func addr6(last byte) []byte {
	a := make([]byte, 16)
	copy(a, []byte{0x20, 0x01, 0x0d, 0xb8, 0, 2})
	a[15] = last
	return a
}

var timestamps = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}

func (r recipe) bytes() []byte {
	be := binary.BigEndian
	proto, l4len := byte(6), 20+len(r.tcpOptions)
	if r.udp {
		proto, l4len = 17, 8
	}
	var ip []byte
	if r.v6 {
		ip = make([]byte, 40)
		ip[0], ip[1], ip[3], ip[7] = 0x60, 0x2a, 0x99, 64
		copy(ip[8:], addr6(1))
		copy(ip[24:], addr6(2))
		next := 6
		for _, e := range r.ext {
			ip[next], next = e.kind, len(ip)
			ip = append(ip, 0, byte((len(e.data)+2)/8-1))
			ip = append(ip, e.data...)
		}
		ip[next] = proto
		be.PutUint16(ip[4:], uint16(len(ip)-40+l4len+r.payload))
	} else {
		ip = append(make([]byte, 20), r.ipOptions...)
		ip[0], ip[1], ip[6], ip[8], ip[9] = byte(0x40|len(ip)/4), 2, 0x40, 64, proto
		be.PutUint16(ip[2:], uint16(len(ip)+l4len+r.payload))
		be.PutUint16(ip[4:], r.id)
		copy(ip[12:], []byte{192, 0, 2, 2, 198, 51, 100, 2})
		be.PutUint16(ip[10:], ^fold(0, ip))
	}
	l4 := make([]byte, l4len)
	be.PutUint16(l4, 40000)
	be.PutUint16(l4[2:], 443)
	field := 6
	if r.udp {
		be.PutUint16(l4[4:], uint16(l4len+r.payload))
	} else {
		field = 16
		be.PutUint32(l4[4:], r.seq)
		be.PutUint32(l4[8:], 0x01020304)
		l4[12], l4[13], l4[15] = byte(l4len/4<<4), r.flags, 99
		copy(l4[20:], r.tcpOptions)
	}
	start := len(ip)
	f := slices.Concat(make([]byte, packet.VnetLen), ip, l4, make([]byte, r.payload))
	x := uint32(r.payload)*2654435761 + r.seq
	for i := len(f) - r.payload; i < len(f); i++ {
		x = x*1664525 + 1013904223
		f[i] = byte(x >> 24)
	}
	be.PutUint16(f[packet.VnetLen+start+field:], pseudo(f[packet.VnetLen:], start, proto))

	le := binary.LittleEndian
	f[0] = 1
	if r.gso > 0 {
		switch {
		case r.udp:
			f[1] = 5
		case r.v6:
			f[1] = 4
		default:
			f[1] = 1
		}
	}
	if r.ecn {
		f[1] |= 0x80
	}
	hdrLen := start + l4len
	if r.hdrLen > 0 {
		hdrLen = r.hdrLen
	}
	le.PutUint16(f[2:], uint16(hdrLen))
	le.PutUint16(f[4:], uint16(r.gso))
	le.PutUint16(f[6:], uint16(start))
	le.PutUint16(f[8:], uint16(field))
	return f
}

// headers is the length of all headers of a packet of the recipe.
func (r recipe) headers() int {
	r.payload = 0
	return len(r.bytes()) - packet.VnetLen
}

// fold is the ones' complement sum of b, continuing s; an odd last byte is padded, RFC 1071 section 1.
func fold(s uint16, b []byte) uint16 {
	t := uint64(s)
	for ; len(b) > 1; b = b[2:] {
		t += uint64(b[0])<<8 + uint64(b[1])
	}
	if len(b) == 1 {
		t += uint64(b[0]) << 8
	}
	for t > 0xffff {
		t = t>>16 + t&0xffff
	}
	return uint16(t)
}

// pseudo is the sum of the pseudo-header, RFC 9293 section 3.1, RFC 768, and RFC 8200 section 8.1: with a routing header
// that is not used up, the destination is the final one.
func pseudo(ip []byte, l4 int, proto byte) uint16 {
	n := uint32(len(ip) - l4)
	tail := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 0, 0, 0, proto}
	if ip[0]>>4 == 4 {
		return fold(fold(0, ip[12:20]), tail)
	}
	dst := ip[24:40]
	for next, at := ip[6], 40; at < l4; {
		if next == 43 && ip[at+3] > 0 {
			dst = ip[at+8 : at+24] // of a type 2 the only address, of a type 4 the final segment
		}
		next, at = ip[at], at+8*(1+int(ip[at+1]))
	}
	return fold(fold(fold(0, ip[8:24]), dst), tail)
}

// locate finds the transport header of a well-formed packet.
func locate(ip []byte) (l4 int, proto byte, err error) {
	be := binary.BigEndian
	switch ip[0] >> 4 {
	case 4:
		l4 = 4 * int(ip[0]&15)
		if int(be.Uint16(ip[2:])) != len(ip) {
			return 0, 0, fmt.Errorf("IPv4 says %d bytes, has %d", be.Uint16(ip[2:]), len(ip))
		}
		if fold(0, ip[:l4]) != 0xffff {
			return 0, 0, errors.New("IPv4 header checksum is wrong")
		}
		return l4, ip[9], nil
	case 6:
		if int(be.Uint16(ip[4:]))+40 != len(ip) {
			return 0, 0, fmt.Errorf("IPv6 says %d bytes, has %d", be.Uint16(ip[4:]), len(ip)-40)
		}
		l4, proto = 40, ip[6]
		for proto == 0 || proto == 43 || proto == 60 {
			proto, l4 = ip[l4], l4+8*(1+int(ip[l4+1]))
		}
		return l4, proto, nil
	}
	return 0, 0, fmt.Errorf("IP version %d", ip[0]>>4)
}

// segment is the reference: it returns the wire packets that a frame stands for, all checksums complete, and refuses a
// frame that the kernel would refuse or that holds anything wrong. It shares nothing with Run: headers are made from
// the frame's first principles, and sums from the addresses.
func segment(frame []byte) ([][]byte, error) {
	be, le := binary.BigEndian, binary.LittleEndian
	ip := frame[packet.VnetLen:]
	kind, ecn := frame[1]&0x7f, frame[1]&0x80 != 0
	hdrLen, gso := int(le.Uint16(frame[2:])), int(le.Uint16(frame[4:]))
	start, field := int(le.Uint16(frame[6:])), int(le.Uint16(frame[8:]))
	if frame[0] != 1 {
		return nil, fmt.Errorf("virtio flags %#x", frame[0])
	}
	// drivers/net/tun_vnet.h, tun_vnet_hdr_get
	if max(hdrLen, start+field+2) > len(ip) {
		return nil, fmt.Errorf("EINVAL: hdr_len %d of %d bytes", hdrLen, len(ip))
	}
	l4, proto, err := locate(ip)
	if err != nil {
		return nil, err
	}
	if l4 != start {
		return nil, fmt.Errorf("csum_start %d, transport header at %d", start, l4)
	}
	if got, want := be.Uint16(ip[l4+field:]), pseudo(ip, l4, proto); got%0xffff != want%0xffff {
		return nil, fmt.Errorf("unfinished checksum %#x, pseudo-header %#x", got, want)
	}
	hdr := l4 + 8
	wantField, wantKind := 6, byte(5)
	if proto == 6 {
		hdr = l4 + int(ip[l4+12]>>4)*4
		wantField, wantKind = 16, 1
		if ip[0]>>4 == 6 {
			wantKind = 4
		}
	} else if int(be.Uint16(ip[l4+4:])) != len(ip)-l4 {
		return nil, fmt.Errorf("UDP says %d bytes, has %d", be.Uint16(ip[l4+4:]), len(ip)-l4)
	}
	if field != wantField {
		return nil, fmt.Errorf("csum_offset %d", field)
	}
	if kind == 0 {
		if gso != 0 || ecn {
			return nil, fmt.Errorf("one packet with gso_size %d, ECN %v", gso, ecn)
		}
		p := bytes.Clone(ip)
		complete(p, l4, field, proto)
		return [][]byte{p}, nil
	}
	if kind != wantKind {
		return nil, fmt.Errorf("gso_type %d", kind)
	}
	if gso == 0 || len(ip)-hdr <= gso {
		return nil, fmt.Errorf("gso_size %d for %d bytes", gso, len(ip)-hdr)
	}

	var out [][]byte
	rest := ip[hdr:]
	for i := 0; len(rest) > 0; i++ {
		n := min(gso, len(rest))
		p := append(bytes.Clone(ip[:hdr]), rest[:n]...)
		rest = rest[n:]
		if p[0]>>4 == 4 {
			be.PutUint16(p[2:], uint16(len(p)))
			be.PutUint16(p[4:], uint16((int(be.Uint16(p[4:]))+i)%65536))
			p[10], p[11] = 0, 0
			be.PutUint16(p[10:], ^fold(0, p[:l4]))
		} else {
			be.PutUint16(p[4:], uint16(len(p)-40))
		}
		if proto == 6 {
			be.PutUint32(p[l4+4:], uint32((uint64(be.Uint32(p[l4+4:]))+uint64(i)*uint64(gso))%(1<<32)))
			if len(rest) > 0 {
				p[l4+13] &= 0xff - fin - psh
			}
			if i > 0 {
				p[l4+13] &= 0xff - cwr
			}
		} else {
			be.PutUint16(p[l4+4:], uint16(8+n))
		}
		complete(p, l4, field, proto)
		out = append(out, p)
	}
	return out, nil
}

// complete fills in the transport checksum of one wire packet.
func complete(p []byte, l4, field int, proto byte) {
	at := l4 + field
	p[at], p[at+1] = 0, 0
	c := ^fold(pseudo(p, l4, proto), p[l4:])
	if proto == 17 && c == 0 {
		c = 0xffff // zero means none, RFC 768
	}
	binary.BigEndian.PutUint16(p[at:], c)
}
