package tun_test

import (
	"bytes"
	"encoding/binary"
	"slices"

	"gomahi/packet"
)

// A recipe says what a frame to forward is made of.
type recipe struct {
	name    string
	v6, udp bool
	ext     []byte // IPv4 options, or IPv6 extension headers whose last next-header byte is at last
	first   byte   // the first extension header's kind
	last    int
	final   []byte // the transport's destination, where a routing header says so
	options []byte // of TCP
	flags   byte
	id      uint16
	seq     uint32
	payload int
	gso     int // 0: one packet
	ecn     bool
	hdrLen  int // beyond the headers
}

const (
	fin, psh, ack, urg, ece, cwr = 1, 8, 16, 32, 64, 128
)

var (
	timestamps = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	final6     = append(bytes.Clone(dst6[:15]), 9)
)

// families are the flows; sizes and flags vary within each.
var families = []recipe{
	{name: "tcp4", flags: ack},
	{name: "tcp4 timestamps", flags: ack, options: timestamps},
	{name: "tcp4 IP options", flags: ack, ext: []byte{1, 1, 1, 1, 1, 1, 1, 0}},
	{name: "tcp4 record route", flags: ack, ext: []byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
	{name: "tcp4 all options", flags: ack, ext: bytes.Repeat([]byte{1}, 40), options: bytes.Repeat([]byte{1}, 40)},
	{name: "tcp6", v6: true, flags: ack},
	{name: "tcp6 timestamps", v6: true, flags: ack, options: timestamps},
	{name: "tcp6 hop-by-hop", v6: true, flags: ack, first: 0, ext: []byte{0, 0, 1, 4, 0, 0, 0, 0}},
	{name: "tcp6 destination options", v6: true, flags: ack, first: 60, ext: []byte{0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
	{name: "tcp6 routing", v6: true, flags: ack, first: 43, ext: slices.Concat([]byte{0, 2, 2, 1, 0, 0, 0, 0}, final6), final: final6},
	{name: "tcp6 segment routing", v6: true, flags: ack, first: 43, ext: slices.Concat([]byte{0, 4, 4, 1, 1, 0, 0, 0}, final6, dst6), final: final6},
	{name: "tcp6 three headers", v6: true, flags: ack, first: 0, last: 32, final: final6,
		ext: slices.Concat([]byte{43, 0, 1, 4, 0, 0, 0, 0, 60, 2, 2, 1, 0, 0, 0, 0}, final6, []byte{0, 0, 1, 4, 0, 0, 0, 0})},
	{name: "udp4", udp: true},
	{name: "udp4 IP options", udp: true, ext: []byte{1, 1, 1, 0}},
	{name: "udp6", v6: true, udp: true},
	{name: "udp6 hop-by-hop", v6: true, udp: true, first: 0, ext: []byte{0, 0, 1, 4, 0, 0, 0, 0}},
	{name: "udp6 routing", v6: true, udp: true, first: 43, ext: slices.Concat([]byte{0, 2, 2, 1, 0, 0, 0, 0}, final6), final: final6},
}

func (r recipe) headers() int {
	n := 20 + len(r.ext) + 8
	if r.v6 {
		n += 20
	}
	if !r.udp {
		n += 12 + len(r.options)
	}
	return n
}

// bytes is the frame with its virtio header, as the kernel likes one: the field of the transport's checksum holds the
// sum of the pseudo-header.
func (r recipe) bytes() []byte {
	be, le := binary.BigEndian, binary.LittleEndian
	proto, field, kind := byte(6), 16, byte(1)
	if r.udp {
		proto, field, kind = 17, 6, 5
	} else if r.v6 {
		kind = 4
	}
	size := r.headers() + r.payload
	frame := make([]byte, packet.VnetLen+size)
	ip := frame[packet.VnetLen:]
	start := 20 + len(r.ext)
	var sum uint32
	if r.v6 {
		start += 20
		ip[0], ip[7], ip[6] = 0x60, 64, proto
		if len(r.ext) > 0 {
			ip[6] = r.first
			copy(ip[40:], r.ext)
			ip[40+r.last] = proto
		}
		be.PutUint16(ip[4:], uint16(size-40))
		copy(ip[8:], dst6)
		ip[13] = 1
		copy(ip[24:], dst6)
		dst := dst6
		if r.final != nil {
			dst = r.final
		}
		sum = add(add(0, ip[8:24]), dst)
	} else {
		ip[0], ip[6], ip[8], ip[9] = byte(0x40|start/4), 0x40, 64, proto
		be.PutUint16(ip[2:], uint16(size))
		be.PutUint16(ip[4:], r.id)
		copy(ip[12:], []byte{192, 0, 2, 2})
		copy(ip[16:], dst4)
		copy(ip[20:], r.ext)
		be.PutUint16(ip[10:], ^uint16(add(0, ip[:start])))
		sum = add(0, ip[12:20])
	}
	l4 := ip[start:]
	copy(l4, []byte{0x9c, 0x40, 0x01, 0xbb})
	if r.udp {
		be.PutUint16(l4[4:], uint16(len(l4)))
	} else {
		be.PutUint32(l4[4:], r.seq)
		l4[11], l4[12], l4[13], l4[15] = 1, byte((20+len(r.options))/4<<4), r.flags, 77
		copy(l4[20:], r.options)
	}
	be.PutUint16(l4[field:], uint16(add(sum, []byte{0, proto, byte(len(l4) >> 8), byte(len(l4))})))
	x := r.seq + uint32(r.payload)
	for i := r.headers(); i < size; i++ {
		x = x*1664525 + 1013904223
		ip[i] = byte(x >> 24)
	}

	frame[0] = 1
	if r.gso > 0 {
		frame[1] = kind
	}
	if r.ecn {
		frame[1] |= 0x80
	}
	le.PutUint16(frame[2:], uint16(r.headers()+r.hdrLen))
	le.PutUint16(frame[4:], uint16(r.gso))
	le.PutUint16(frame[6:], uint16(start))
	le.PutUint16(frame[8:], uint16(field))
	return frame
}

// add continues a ones' complement sum over b, which has an even length.
func add(sum uint32, b []byte) uint32 {
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}
