package packet

import (
	"bytes"
	"encoding/binary"
)

// MostJoined is the most datagrams that a Row has: UDP_MAX_SEGMENTS of include/linux/udp.h, before Linux 6.10 made it 128.
const MostJoined = 64

// A Row is UDP datagrams of one flow, each of them a frame of its own, that the kernel can take as one frame: what its
// segmentation makes of that is the datagrams again (net/ipv4/udp_offload.c, __udp_gso_segment). So all but the last are
// of one size, and their headers differ in nothing but lengths and sums; and in IPv4's identification, which segmentation
// counts up, and which means nothing in a datagram that must not be fragmented (RFC 6864, section 4.1).
type Row struct {
	frames [MostJoined]*Frame
	n      int
	l4     int // offset of the UDP header within the IP packet
	size   int // payload of each but the last
	total  int // payload
	full   bool
}

// Len is the number of datagrams.
func (r *Row) Len() int { return r.n }

// Start makes f the first, if it is a datagram that others may follow.
func (r *Row) Start(f *Frame) bool {
	*r = Row{l4: f.datagram()}
	if r.l4 == 0 {
		return false
	}
	r.size = r.payload(f)
	r.add(f)
	return true
}

func (r *Row) payload(f *Frame) int { return f.n - VnetLen - r.l4 - 8 }

func (r *Row) add(f *Frame) {
	r.frames[r.n] = f
	r.n++
	r.total += r.payload(f)
	r.full = r.n == MostJoined || r.payload(f) < r.size
}

// Add adds the next, if it may follow.
func (r *Row) Add(f *Frame) bool {
	if r.full || f.datagram() != r.l4 || r.payload(f) > r.size || r.l4+8+r.total+r.payload(f) > 65535 {
		return false
	}
	a, b := r.frames[0].head[VnetLen:], f.head[VnetLen:]
	sum := [2]byte(a[r.l4+6:])
	if patch(sum[:], r.size+8, r.payload(f)+8); !bytes.Equal(sum[:], b[r.l4+6:r.l4+8]) {
		return false
	}
	end := r.l4 + 4 // of the ports
	if a[0]>>4 == 4 {
		const dontFragment = 0x40
		if !bytes.Equal(a[:2], b[:2]) || !bytes.Equal(a[6:10], b[6:10]) || !bytes.Equal(a[12:end], b[12:end]) ||
			a[6]&dontFragment == 0 && binary.BigEndian.Uint16(b[4:])-binary.BigEndian.Uint16(a[4:]) != uint16(r.n) {
			return false
		}
	} else if !bytes.Equal(a[:4], b[:4]) || !bytes.Equal(a[6:end], b[6:end]) {
		return false
	}
	r.add(f)
	return true
}

// datagram returns where the UDP header of a frame begins that is one whole datagram, of which the kernel has still to
// compute the checksum. It is 0 for all others.
func (f *Frame) datagram() int {
	v := f.head
	if v[VnetFlags] != VnetNeedsCsum || v[VnetGSOType] != GSONone || f.n <= VnetLen+28 || f.n > headLen {
		return 0
	}
	ip := f.Headers()
	l4, proto := transport(ip, len(ip))
	if proto != 17 || len(ip) <= l4+8 || int(binary.BigEndian.Uint16(ip[l4+4:])) != len(ip)-l4 ||
		int(binary.LittleEndian.Uint16(v[VnetCsumStart:])) != l4 || binary.LittleEndian.Uint16(v[VnetCsumOffset:]) != 6 ||
		ip[0]>>4 == 4 && sum(ip[:int(ip[0]&15)*4]) != 0xffff || // which the kernel would refuse, and mend in a row
		int(binary.LittleEndian.Uint16(v[VnetHdrLen:])) > len(ip) || binary.LittleEndian.Uint16(v[VnetGSOSize:]) != 0 {
		return 0
	}
	return l4
}

// Buffers appends to bufs the pieces of the one frame, virtio header included. Its headers are built in room (HeaderRoom
// bytes, used until the pieces are written).
func (r *Row) Buffers(bufs [][]byte, room []byte) [][]byte {
	h := room[:VnetLen+r.l4+8]
	copy(h, r.frames[0].head)
	h[VnetGSOType] = GSOUDP
	binary.LittleEndian.PutUint16(h[VnetHdrLen:], uint16(r.l4+8))
	binary.LittleEndian.PutUint16(h[VnetGSOSize:], uint16(r.size))

	ip := h[VnetLen:]
	size := r.l4 + 8 + r.total
	if ip[0]>>4 == 4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(size))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:int(ip[0]&15)*4]))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(size-40))
	}
	udp := ip[r.l4:]
	was, is := r.size+8, r.total+8
	binary.BigEndian.PutUint16(udp[4:], uint16(is))
	patch(udp[6:], was, is)

	bufs = append(bufs, h)
	for _, f := range r.frames[:r.n] {
		bufs = append(bufs, f.head[VnetLen+r.l4+8:f.n])
	}
	return bufs
}
