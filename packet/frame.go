// Package packet holds what is read from a packet device (a Frame) and the wire packets that it stands for.
//
// With segmentation offload one read of a TUN device returns up to 64 KiB: one set of headers and the payload of many
// wire packets. Effects decide per wire packet, so each gets a small descriptor (Packet), while the payload stays where
// the kernel put it. On the way out, neighbouring packets of one frame leave as a run (Frame.Run).
package packet

import (
	"encoding/binary"
	"time"
)

// VnetLen is the length of struct virtio_net_hdr (include/uapi/linux/virtio_net.h), which stands before every frame.
// Its fields are in the machine's byte order, which is little-endian on all that gomahi supports.
const VnetLen = 10

// Fields of struct virtio_net_hdr, and their values.
const (
	VnetFlags      = 0
	VnetGSOType    = 1
	VnetHdrLen     = 2
	VnetGSOSize    = 4
	VnetCsumStart  = 6
	VnetCsumOffset = 8

	VnetNeedsCsum = 1 // in VnetFlags: the transport checksum is yet to be computed
	VnetDataValid = 2 // in VnetFlags: it has been checked

	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
	GSOUDP   = 5    // VIRTIO_NET_HDR_GSO_UDP_L4
	GSOECN   = 0x80 // the first segment has CWR, the others not
)

const (
	headLen  = 2048     // holds a frame of one wire packet, and all headers of a larger one
	tailLen  = 16 << 10 // the rest of a larger frame comes in pieces of this size
	maxTails = 4
)

// MaxFrame is the length of the largest frame that a device may deliver, with its virtio header.
const MaxFrame = headLen + maxTails*tailLen

// Parts is the most slices that make up a frame or a run.
const Parts = 2 + maxTails

// A Frame is one buffer as read from a device: a virtio header, then an IP packet which the kernel may have left
// unsegmented. It lies in pieces, so that one of 100 bytes does not occupy 64 KiB while it waits in a delay.
// A Frame belongs to the pool it came from and is used by one goroutine.
type Frame struct {
	pool *Pool
	head []byte
	tail [maxTails][]byte
	n    int // length, virtio header included
	live int // packets that are neither written nor dropped

	segs int // wire packets
	gso  int // payload of each but the last
	l4   int // offset of the transport header within the IP packet
	hdr  int // length of all headers; meaningful where segs > 1
	tcp  bool

	marked []uint64 // a bit for each packet that MarkCE marked, where there are several
	marks  int
}

// A Packet is one wire packet of a frame, or several that follow each other in it and fare alike.
type Packet struct {
	Frame   *Frame
	Index   uint16        // its place within the frame, from 0
	More    uint16        // how many it stands for beside itself
	Size    int32         // length of the IP packet, in bytes; of several, of all together
	Arrival time.Duration // when it came, since the container's start
	Due     time.Duration // when it was to leave; the stage that lets it go says so
}

// Release gives up the packet: it was written, or it is dropped.
func (p Packet) Release() {
	p.Frame.live -= p.Len()
	if p.Frame.live <= 0 {
		p.Frame.pool.put(p.Frame)
	}
}

// Len is the number of wire packets that it stands for.
func (p Packet) Len() int { return 1 + int(p.More) }

// Each yields those one by one.
func (p Packet) Each(yield func(Packet) bool) {
	for i := range p.Len() {
		q := p
		q.Index, q.More, q.Size = p.Index+uint16(i), 0, int32(p.Frame.size(int(p.Index)+i))
		if !yield(q) {
			return
		}
	}
}

// Copy is the packet once more, to be written or dropped by itself. An ECN mark of one is a mark of both.
func (p Packet) Copy() Packet {
	p.Frame.live++
	return p
}

// Len is the number of wire packets.
func (f *Frame) Len() int { return f.segs }

// Bytes is the length of the frame as read, without its virtio header.
func (f *Frame) Bytes() int { return f.n - VnetLen }

// Packet describes the wire packet i, read at the given time.
func (f *Frame) Packet(i int, arrival time.Duration) Packet {
	return Packet{Frame: f, Index: uint16(i), Size: int32(f.size(i)), Arrival: arrival, Due: arrival}
}

// Whole describes all wire packets of the frame as one.
func (f *Frame) Whole(arrival time.Duration) Packet {
	return Packet{Frame: f, More: uint16(f.segs - 1), Size: int32(f.n - VnetLen + (f.segs-1)*f.hdr), Arrival: arrival, Due: arrival}
}

func (f *Frame) size(i int) int {
	switch {
	case f.segs == 1:
		return f.n - VnetLen
	case i < f.segs-1:
		return f.hdr + f.gso
	}
	return f.n - VnetLen - f.gso*i
}

// Headers is the beginning of the IP packet, as far as it lies in one piece: at least 2,000 bytes or the whole packet.
// For a frame of several packets it is what the first of them begins with.
func (f *Frame) Headers() []byte { return f.head[VnetLen:min(f.n, headLen)] }

// Buffers appends to bufs the pieces to read the frame into, leaving out the first skip bytes.
func (f *Frame) Buffers(bufs [][]byte, skip int) [][]byte {
	bufs = append(bufs, f.head[skip:])
	for _, t := range f.tail {
		bufs = append(bufs, t)
	}
	return bufs
}

// Filled says that n bytes were read, virtio header included. A header that makes no sense is ignored: the frame then is one
// wire packet of its length, and the kernel it is written to decides what it thinks of it.
func (f *Frame) Filled(n int) {
	f.n = n
	for i := range f.tail {
		if n <= headLen+i*tailLen {
			f.pool.putTail(&f.tail[i])
		}
	}
	f.segs, f.gso, f.l4, f.hdr, f.tcp = 1, 0, 0, 0, false
	f.parse()
	f.live = f.segs
}

// FilledPlain says the same for a read of n bytes at offset VnetLen by a device without a virtio header.
func (f *Frame) FilledPlain(n int) {
	clear(f.head[:VnetLen])
	f.Filled(n + VnetLen)
}

// parse finds the segments of a frame that the kernel left whole.
func (f *Frame) parse() {
	v := f.head
	if v[VnetFlags]&VnetNeedsCsum == 0 || f.n <= VnetLen+20 {
		return
	}
	ip := f.Headers()
	l4, proto := transport(ip, f.n-VnetLen)
	if l4 == 0 || l4 != int(binary.LittleEndian.Uint16(v[VnetCsumStart:])) {
		return
	}
	hdr, field := l4+8, 6
	switch kind := v[VnetGSOType] &^ GSOECN; {
	case kind == GSOTCPv4 && proto == 6 && ip[0]>>4 == 4, kind == GSOTCPv6 && proto == 6 && ip[0]>>4 == 6:
		if len(ip) < l4+20 || ip[l4+12]>>4 < 5 {
			return
		}
		hdr, field = l4+int(ip[l4+12]>>4)*4, 16
	case kind == GSOUDP && proto == 17:
		if len(ip) < hdr || int(binary.BigEndian.Uint16(ip[l4+4:])) != f.n-VnetLen-l4 {
			return
		}
	default:
		return
	}
	gso := int(binary.LittleEndian.Uint16(v[VnetGSOSize:]))
	payload := f.n - VnetLen - hdr
	if hdr > len(ip) || gso == 0 || payload <= gso || int(binary.LittleEndian.Uint16(v[VnetCsumOffset:])) != field {
		return
	}
	f.segs, f.gso, f.l4, f.hdr, f.tcp = (payload+gso-1)/gso, gso, l4, hdr, proto == 6
}

// transport finds the transport header of an IP packet of n bytes that begins with ip, and its protocol number.
// It returns 0 for anything that has none or cannot be trusted: a fragment, or lengths that contradict each other.
func transport(ip []byte, n int) (offset int, proto byte) {
	switch ip[0] >> 4 {
	case 4:
		ihl := int(ip[0]&15) * 4
		if ihl < 20 || ihl > len(ip) || int(binary.BigEndian.Uint16(ip[2:])) != n ||
			binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return 0, 0
		}
		return ihl, ip[9]
	case 6:
		if len(ip) < 48 || int(binary.BigEndian.Uint16(ip[4:]))+40 != n {
			return 0, 0
		}
		return past(ip, 40, ip[6])
	}
	return 0, 0
}

// past goes past IPv6's hop-by-hop options, routing and destination options, which all begin with next header and length
// (RFC 8200 section 4), from one of a protocol at an offset on. It returns 0 where the next header does not begin in ip.
func past(ip []byte, offset int, proto byte) (int, byte) {
	for proto == 0 || proto == 43 || proto == 60 {
		if offset+8 > len(ip) {
			return 0, 0
		}
		proto, offset = ip[offset], offset+8+int(ip[offset+1])*8
	}
	if offset+8 > len(ip) {
		return 0, 0
	}
	return offset, proto
}
