package packet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// recipes are the kinds of frames that there are; all stand for several wire packets.
var recipes = []struct {
	name string
	recipe
}{
	{"tcp4", recipe{flags: ack, payload: 4344, gso: 1448, tcpOptions: timestamps}},
	{"tcp4 without options", recipe{flags: ack, payload: 14600, gso: 1460}},
	{"tcp4, odd last segment", recipe{flags: ack | psh, payload: 1461, gso: 1460}},
	{"tcp4, odd gso size", recipe{flags: ack | psh, payload: 10 * 1337, gso: 1337}},
	{"tcp4, one byte each", recipe{flags: ack | psh | fin, payload: 7, gso: 1}},
	{"tcp4, FIN and PSH", recipe{flags: ack | psh | fin, payload: 5000, gso: 1000}},
	{"tcp4, ECE and URG stay", recipe{flags: ack | ece | urg, payload: 5000, gso: 1000}},
	{"tcp4, CWR with GSO_ECN", recipe{flags: ack | cwr | psh, payload: 5000, gso: 1000, ecn: true}},
	{"tcp4, CWR without GSO_ECN", recipe{flags: ack | cwr, payload: 5000, gso: 1000}},
	{"tcp4, id wraps", recipe{flags: ack, id: 65534, payload: 5000, gso: 1000}},
	{"tcp4, sequence number wraps", recipe{flags: ack, seq: 1<<32 - 1500, payload: 5000, gso: 1000}},
	{"tcp4, IP options", recipe{flags: ack, ipOptions: []byte{1, 1, 1, 1, 148, 4, 0, 0}, payload: 5000, gso: 1000}},
	{"tcp4, all options", recipe{flags: ack, ipOptions: bytes.Repeat([]byte{1}, 40), tcpOptions: bytes.Repeat([]byte{1}, 40), payload: 9999, gso: 1380}},
	{"tcp4, 64 KiB", recipe{flags: ack | psh, tcpOptions: timestamps, payload: 65535 - 52, gso: 1448}},
	{"tcp4, hdr_len counts a packet", recipe{flags: ack, payload: 2001, gso: 1000, hdrLen: 1040}},
	{"tcp4, hdr_len counts all", recipe{flags: ack, payload: 2001, gso: 1000, hdrLen: 2041}},
	{"tcp6", recipe{v6: true, flags: ack | psh, tcpOptions: timestamps, payload: 6000, gso: 1428}},
	{"tcp6, CWR with GSO_ECN", recipe{v6: true, flags: ack | cwr | fin, payload: 6000, gso: 1400, ecn: true}},
	{"tcp6, hop-by-hop options", recipe{v6: true, flags: ack, ext: []ext{hopByHop}, payload: 5000, gso: 1400}},
	{"tcp6, destination options", recipe{v6: true, flags: ack, ext: []ext{destOpts}, payload: 5000, gso: 1400}},
	{"tcp6, routing header", recipe{v6: true, flags: ack, ext: []ext{routing2}, payload: 5000, gso: 1400}},
	{"tcp6, segment routing header", recipe{v6: true, flags: ack, ext: []ext{routing4}, payload: 5000, gso: 1400}},
	{"tcp6, used routing header", recipe{v6: true, flags: ack, ext: []ext{routingDone}, payload: 5000, gso: 1400}},
	{"tcp6, three extension headers", recipe{v6: true, flags: ack, ext: []ext{hopByHop, routing2, destOpts}, payload: 5000, gso: 1300}},
	{"tcp6, 64 KiB", recipe{v6: true, flags: ack, payload: 65535 - 20, gso: 1440}},
	{"tcp6, headers to the end of the head", recipe{v6: true, flags: ack, ext: []ext{{60, make([]byte, 1974)}}, payload: 5000, gso: 1400}},
	{"udp4", recipe{udp: true, payload: 7360, gso: 1472}},
	{"udp4, odd last segment", recipe{udp: true, id: 65535, payload: 3001, gso: 1500}},
	{"udp4, IP options", recipe{udp: true, ipOptions: []byte{1, 1, 1, 0}, payload: 3001, gso: 1000}},
	{"udp4, 64 KiB", recipe{udp: true, payload: 65507, gso: 1472}},
	{"udp6", recipe{v6: true, udp: true, payload: 7360, gso: 1452}},
	{"udp6, one byte over", recipe{v6: true, udp: true, payload: 1453, gso: 1452}},
	{"udp6, extension headers", recipe{v6: true, udp: true, ext: []ext{hopByHop, routing4, destOpts}, payload: 3000, gso: 999}},
	{"udp6, hdr_len counts a packet", recipe{v6: true, udp: true, payload: 2001, gso: 1000, hdrLen: 1048}},
	// The head holds 2,038 bytes of IP packet, each tail 16,384.
	{"tcp4, ends with the head", recipe{flags: ack, payload: 2038 - 40, gso: 1000}},
	{"tcp4, one byte in the first tail", recipe{flags: ack, payload: 2039 - 40, gso: 1000}},
	{"tcp4, segment ends with the head", recipe{flags: ack, payload: 3 * 999, gso: 999}},
	{"tcp4, ends with the first tail", recipe{flags: ack, payload: 2038 + 16384 - 40, gso: 1200}},
	{"tcp4, one byte in the second tail", recipe{flags: ack, payload: 2039 + 16384 - 40, gso: 1200}},
	{"tcp4, segments larger than a tail", recipe{flags: ack, payload: 60000, gso: 29000}},
}

// partition cuts n packets into runs, some of which are lost.
func partition(r *rand.Rand, n int) (runs [][2]int) {
	for i := 0; i < n; {
		j := min(n, i+1+r.IntN(max(2, n/3)))
		if r.IntN(4) > 0 {
			runs = append(runs, [2]int{i, j})
		}
		i = j
	}
	return runs
}

// compare says how the wire packets of the runs differ from those of the whole frame.
func compare(f *packet.Frame, whole [][]byte, runs [][2]int) error {
	for _, run := range runs {
		i, j := run[0], run[1]
		got, err := segment(tuntest.Run(f, i, j))
		if err != nil {
			return fmt.Errorf("packets %d to %d: %w", i, j-1, err)
		}
		if len(got) != j-i {
			return fmt.Errorf("packets %d to %d are %d", i, j-1, len(got))
		}
		for k, p := range got {
			if !bytes.Equal(p, whole[i+k]) {
				return fmt.Errorf("packets %d to %d: packet %d is %d bytes that begin with\n% x, want %d:\n% x",
					i, j-1, i+k, len(p), p[:min(len(p), 80)], len(whole[i+k]), whole[i+k][:min(len(whole[i+k]), 80)])
			}
		}
	}
	return nil
}

func TestRunAsReference(t *testing.T) {
	for _, tt := range recipes {
		t.Run(tt.name, func(t *testing.T) {
			data := tt.bytes()
			whole, err := segment(data)
			if err != nil {
				t.Fatal(err)
			}
			var pool packet.Pool
			f := tuntest.Frame(&pool, data)
			n := f.Len()
			if n != len(whole) {
				t.Fatalf("%d packets, want %d", n, len(whole))
			}
			if f.Bytes() != len(data)-packet.VnetLen {
				t.Errorf("%d bytes, want %d", f.Bytes(), len(data)-packet.VnetLen)
			}
			for i, p := range whole {
				if got := int(f.Packet(i, 0).Size); got != len(p) {
					t.Errorf("packet %d has %d bytes, want %d", i, got, len(p))
				}
			}
			if !bytes.Equal(tuntest.Run(f, 0, n), data) {
				t.Error("the whole frame did not come out as it went in")
			}
			for i := range n {
				bufs := f.Run(nil, make([]byte, packet.HeaderRoom), i, n)
				if len(bufs) > packet.Parts {
					t.Errorf("packets %d to %d are %d pieces", i, n-1, len(bufs))
				}
				for _, b := range bufs {
					if len(b) == 0 {
						t.Errorf("packets %d to %d have an empty piece", i, n-1)
					}
				}
			}
			var singles, pairs, ends [][2]int
			for i := range n {
				singles = append(singles, [2]int{i, i + 1})
				pairs = append(pairs, [2]int{i, min(i+2, n)})
				ends = append(ends, [2]int{0, i + 1}, [2]int{i, n})
			}
			r := rand.New(rand.NewPCG(1, 2))
			for _, runs := range [][][2]int{singles, pairs, ends, partition(r, n), partition(r, n)} {
				if err := compare(f, whole, runs); err != nil {
					t.Fatal(err)
				}
			}
			// Runs must not have changed the frame.
			if !bytes.Equal(tuntest.Run(f, 0, n), data) {
				t.Error("the frame was changed")
			}
		})
	}
}

func TestRunHeaders(t *testing.T) {
	tcp := recipe{flags: cwr | ack | psh | fin, id: 65535, seq: 1<<32 - 1000, payload: 2500, gso: 1000, ecn: true}
	tcp6, udp, udp6 := tcp, tcp, recipe{v6: true, udp: true, payload: 2500, gso: 1000}
	tcp6.v6 = true
	udp = recipe{udp: true, id: 7, payload: 2500, gso: 1000}
	type fields struct {
		kind    byte // gso_type
		gso     uint16
		hdrLen  uint16
		ipLen   uint16
		id      uint16
		seq     uint32
		flags   byte
		udpLen  uint16
		written int
	}
	for _, tt := range []struct {
		name string
		recipe
		i, j int
		want fields
	}{
		{"tcp4 first", tcp, 0, 1, fields{0, 0, 40, 1040, 65535, 1<<32 - 1000, cwr | ack, 0, 1050}},
		{"tcp4 middle", tcp, 1, 2, fields{0, 0, 40, 1040, 0, 0, ack, 0, 1050}},
		{"tcp4 last", tcp, 2, 3, fields{0, 0, 40, 540, 1, 1000, ack | psh | fin, 0, 550}},
		{"tcp4 first two", tcp, 0, 2, fields{0x81, 1000, 40, 2040, 65535, 1<<32 - 1000, cwr | ack, 0, 2050}},
		{"tcp4 last two", tcp, 1, 3, fields{1, 1000, 40, 1540, 0, 0, ack | psh | fin, 0, 1550}},
		{"tcp4 all", tcp, 0, 3, fields{0x81, 1000, 40, 2540, 65535, 1<<32 - 1000, cwr | ack | psh | fin, 0, 2550}},
		{"tcp6 first two", tcp6, 0, 2, fields{0x84, 1000, 60, 2020, 0, 1<<32 - 1000, cwr | ack, 0, 2070}},
		{"tcp6 last", tcp6, 2, 3, fields{0, 0, 60, 520, 0, 1000, ack | psh | fin, 0, 570}},
		{"udp4 first", udp, 0, 1, fields{0, 0, 28, 1028, 7, 0, 0, 1008, 1038}},
		{"udp4 last two", udp, 1, 3, fields{5, 1000, 28, 1528, 8, 0, 0, 1508, 1538}},
		{"udp6 first two", udp6, 0, 2, fields{5, 1000, 48, 2008, 0, 0, 0, 2008, 2058}},
		{"udp6 last", udp6, 2, 3, fields{0, 0, 48, 508, 0, 0, 0, 508, 558}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var pool packet.Pool
			b := tuntest.Run(tuntest.Frame(&pool, tt.bytes()), tt.i, tt.j)
			ip := b[packet.VnetLen:]
			got := fields{kind: b[1], gso: binary.LittleEndian.Uint16(b[4:]), hdrLen: binary.LittleEndian.Uint16(b[2:]), written: len(b)}
			l4 := ip[40:]
			if tt.v6 {
				got.ipLen = binary.BigEndian.Uint16(ip[4:])
			} else {
				got.ipLen, got.id = binary.BigEndian.Uint16(ip[2:]), binary.BigEndian.Uint16(ip[4:])
				l4 = ip[20:]
			}
			if tt.udp {
				got.udpLen = binary.BigEndian.Uint16(l4[4:])
			} else {
				got.seq, got.flags = binary.BigEndian.Uint32(l4[4:]), l4[13]
			}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// Most of what is read stands for itself, and need not say that its checksum is complete.
func TestSinglePackets(t *testing.T) {
	for _, tt := range []struct {
		name string
		recipe
	}{
		{"tcp4", recipe{flags: ack, payload: 1000}},
		{"tcp4 without payload", recipe{flags: syn, tcpOptions: timestamps}},
		{"tcp6", recipe{v6: true, flags: ack, payload: 1000}},
		{"udp4", recipe{udp: true, payload: 1000}},
		{"udp6 without payload", recipe{v6: true, udp: true}},
		{"larger than the head", recipe{udp: true, payload: 8000}},
		{"one segment of a frame", recipe{flags: ack, payload: 1000, gso: 1000}},
		{"less than a segment", recipe{flags: ack, payload: 10, gso: 1000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			single(t, tt.bytes())
		})
	}
}

// single holds that a frame counts as one packet of its length and comes out as it went in.
func single(t *testing.T, data []byte) {
	t.Helper()
	var pool packet.Pool
	f := tuntest.Frame(&pool, data)
	if f.Len() != 1 || f.Bytes() != len(data)-packet.VnetLen {
		t.Fatalf("%d packets of %d bytes, want 1 of %d", f.Len(), f.Bytes(), len(data)-packet.VnetLen)
	}
	if got := int(f.Packet(0, 0).Size); got != f.Bytes() {
		t.Errorf("size is %d, want %d", got, f.Bytes())
	}
	if !bytes.Equal(tuntest.Run(f, 0, 1), data) {
		t.Error("it did not come out as it went in")
	}
	if h := f.Headers(); !bytes.HasPrefix(data[packet.VnetLen:], h) || len(h) < min(2000, f.Bytes()) {
		t.Errorf("Headers are %d bytes of %d, or others", len(h), f.Bytes())
	}
}

func TestHostileFrames(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	ip := func(b []byte) []byte { return b[packet.VnetLen:] }
	tcp4 := recipe{flags: ack, payload: 5000, gso: 1000}
	tcp6 := recipe{v6: true, flags: ack, payload: 5000, gso: 1000}
	udp4 := recipe{udp: true, payload: 5000, gso: 1000}
	udp6 := recipe{v6: true, udp: true, payload: 5000, gso: 1000}
	hop6, opt6, end6 := tcp6, tcp6, tcp6
	hop6.ext = []ext{hopByHop}
	opt6.ext = []ext{{60, make([]byte, 1982)}}
	end6.ext, end6.tcpOptions = []ext{{60, make([]byte, 1974)}}, timestamps
	for _, tt := range []struct {
		name string
		recipe
		spoil func(b []byte) []byte
	}{
		{"no checksum to complete", tcp4, func(b []byte) []byte { b[0] = 0; return b }},
		{"checksum said to be valid", tcp4, func(b []byte) []byte { b[0] = 2; return b }},
		{"gso_type none", tcp4, func(b []byte) []byte { b[1] = 0; return b }},
		{"gso_type unknown", tcp4, func(b []byte) []byte { b[1] = 2; return b }},
		{"gso_type UFO", udp4, func(b []byte) []byte { b[1] = 3; return b }},
		{"gso_type of IPv6", tcp4, func(b []byte) []byte { b[1] = 4; return b }},
		{"gso_type of IPv4", tcp6, func(b []byte) []byte { b[1] = 1; return b }},
		{"gso_type of UDP", tcp4, func(b []byte) []byte { b[1] = 5; return b }},
		{"gso_type of TCP", udp4, func(b []byte) []byte { b[1] = 1; return b }},
		{"gso_size 0", tcp4, func(b []byte) []byte { le.PutUint16(b[4:], 0); return b }},
		{"gso_size of all payload", tcp4, func(b []byte) []byte { le.PutUint16(b[4:], 5000); return b }},
		{"gso_size beyond the frame", tcp4, func(b []byte) []byte { le.PutUint16(b[4:], 65535); return b }},
		{"csum_start 0", tcp4, func(b []byte) []byte { le.PutUint16(b[6:], 0); return b }},
		{"csum_start in the payload", tcp4, func(b []byte) []byte { le.PutUint16(b[6:], 100); return b }},
		{"csum_start beyond the frame", tcp4, func(b []byte) []byte { le.PutUint16(b[6:], 65535); return b }},
		{"csum_start at an extension header", hop6, func(b []byte) []byte { le.PutUint16(b[6:], 40); return b }},
		{"csum_offset of UDP", tcp4, func(b []byte) []byte { le.PutUint16(b[8:], 6); return b }},
		{"csum_offset beyond the frame", udp4, func(b []byte) []byte { le.PutUint16(b[8:], 65535); return b }},
		{"IP version 0", tcp4, func(b []byte) []byte { ip(b)[0] = 0x05; return b }},
		{"IP version 6 on IPv4", tcp4, func(b []byte) []byte { ip(b)[0] = 0x65; return b }},
		{"IP version 4 on IPv6", tcp6, func(b []byte) []byte { ip(b)[0] = 0x45; return b }},
		{"IPv4 header of 16 bytes", tcp4, func(b []byte) []byte { ip(b)[0] = 0x44; return b }},
		{"IPv4 header longer than said", tcp4, func(b []byte) []byte { ip(b)[0] = 0x4f; return b }},
		{"IPv4 length too short", tcp4, func(b []byte) []byte { be.PutUint16(ip(b)[2:], 5039); return b }},
		{"IPv4 length too long", tcp4, func(b []byte) []byte { be.PutUint16(ip(b)[2:], 5041); return b }},
		{"IPv4 length 0", tcp4, func(b []byte) []byte { be.PutUint16(ip(b)[2:], 0); return b }},
		{"IPv4 first fragment", tcp4, func(b []byte) []byte { ip(b)[6] = 0x20; return b }},
		{"IPv4 later fragment", udp4, func(b []byte) []byte { ip(b)[7] = 1; return b }},
		{"IPv4 protocol ICMP", tcp4, func(b []byte) []byte { ip(b)[9] = 1; return b }},
		{"TCP header of 16 bytes", tcp4, func(b []byte) []byte { ip(b)[32] = 0x40; return b }},
		{"TCP header longer than frame", recipe{flags: ack, payload: 10, gso: 1}, func(b []byte) []byte { ip(b)[32] = 0xf0; return b }},
		{"UDP length too short", udp4, func(b []byte) []byte { be.PutUint16(ip(b)[24:], 5007); return b }},
		{"UDP length too long", udp6, func(b []byte) []byte { be.PutUint16(ip(b)[44:], 5009); return b }},
		{"UDP length 0", udp4, func(b []byte) []byte { be.PutUint16(ip(b)[24:], 0); return b }},
		{"IPv6 length too short", tcp6, func(b []byte) []byte { be.PutUint16(ip(b)[4:], 5019); return b }},
		{"IPv6 jumbogram", tcp6, func(b []byte) []byte { be.PutUint16(ip(b)[4:], 0); return b }},
		{"IPv6 fragment", hop6, func(b []byte) []byte { ip(b)[6] = 44; return b }},
		{"IPv6 authentication header", hop6, func(b []byte) []byte { ip(b)[6] = 51; return b }},
		{"IPv6 no next header", udp6, func(b []byte) []byte { ip(b)[6] = 59; return b }},
		{"IPv6 extension header up to the end", recipe{v6: true, flags: ack, ext: []ext{hopByHop}, payload: 1, gso: 1},
			func(b []byte) []byte { ip(b)[41] = 3; return b }},
		{"IPv6 extension header beyond the frame", recipe{v6: true, flags: ack, ext: []ext{hopByHop}, payload: 100, gso: 1},
			func(b []byte) []byte { ip(b)[41] = 255; return b }},
		{"IPv6 headers beyond the head", opt6, func(b []byte) []byte { return b }},
		{"TCP options beyond the head", end6, func(b []byte) []byte { return b }},
		{"cut within the payload", tcp4, func(b []byte) []byte { return b[:2000] }},
		{"cut within the TCP header", tcp4, func(b []byte) []byte { b = b[:10+39]; be.PutUint16(ip(b)[2:], 39); return b }},
		{"cut after the TCP header", tcp4, func(b []byte) []byte { b = b[:10+40]; be.PutUint16(ip(b)[2:], 40); return b }},
		{"cut within the UDP header", udp4, func(b []byte) []byte { b = b[:10+27]; be.PutUint16(ip(b)[2:], 27); return b }},
		{"cut within the IPv4 header", tcp4, func(b []byte) []byte { return b[:10+19] }},
		{"cut within the IPv6 header", tcp6, func(b []byte) []byte { return b[:10+39] }},
		{"cut to the IPv4 header", tcp4, func(b []byte) []byte { b = b[:10+20]; be.PutUint16(ip(b)[2:], 20); return b }},
		{"cut to one byte more", tcp4, func(b []byte) []byte { b = b[:10+21]; be.PutUint16(ip(b)[2:], 21); return b }},
		{"cut to the IPv6 header", tcp6, func(b []byte) []byte { b = b[:10+40]; be.PutUint16(ip(b)[4:], 0); return b }},
		{"one byte", tcp4, func(b []byte) []byte { return b[:11] }},
		{"all ones", tcp4, func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, 3000) }},
		{"zeroes", tcp4, func(b []byte) []byte { return make([]byte, packet.MaxFrame) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			single(t, tt.spoil(tt.bytes()))
		})
	}
}

// A plain read leaves no header of an earlier frame standing.
func TestFilledPlain(t *testing.T) {
	var pool packet.Pool
	f := tuntest.Frame(&pool, recipe{flags: ack, payload: 5000, gso: 1000}.bytes())
	for i := range f.Len() {
		f.Packet(i, 0).Release()
	}
	again := pool.Get()
	if again != f {
		t.Fatal("the frame was not used again")
	}
	want := recipe{flags: ack, payload: 5000}.bytes()[packet.VnetLen:]
	n := 0
	for _, b := range f.Buffers(nil, packet.VnetLen) {
		n += copy(b, want[n:])
	}
	f.FilledPlain(n)
	if f.Len() != 1 || f.Bytes() != len(want) {
		t.Errorf("%d packets of %d bytes, want 1 of %d", f.Len(), f.Bytes(), len(want))
	}
	got := tuntest.Run(f, 0, 1)
	if !bytes.Equal(got[:packet.VnetLen], make([]byte, packet.VnetLen)) {
		t.Errorf("virtio header % x", got[:packet.VnetLen])
	}
	if !bytes.Equal(got[packet.VnetLen:], want) {
		t.Error("the packet did not come out as it went in")
	}
}
