package packet_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// What a packet says makes its hash, and nothing else.
func TestHash(t *testing.T) {
	tcp4, tcp6 := recipe{flags: ack, payload: 100}, recipe{v6: true, flags: ack, payload: 100}
	udp4 := recipe{udp: true, payload: 100}
	echo := append(make([]byte, packet.VnetLen), 0x45, 0, 0, 36, 0, 1, 0, 0, 64, 1, 0, 0, 100, 64, 0, 2, 100, 64, 0, 1,
		8, 0, 1, 2, 77, 77, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8)
	const ip, l4, l6 = packet.VnetLen, packet.VnetLen + 20, packet.VnetLen + 40
	options := tcp4
	options.tcpOptions = timestamps
	later, finished := tcp4, tcp4
	later.seq, finished.flags = 0, ack|fin
	for _, row := range []struct {
		name   string
		frame  []byte
		change func(b []byte)
		same   bool
	}{
		{"addresses", tcp4.bytes(), func(b []byte) { b[ip+12], b[ip+19] = 1, 1 }, true},
		{"IPv6 addresses", tcp6.bytes(), func(b []byte) { b[ip+10], b[ip+30] = 1, 1 }, true},
		{"ports", udp4.bytes(), func(b []byte) { b[l4], b[l4+2] = 1, 1 }, true},
		{"time to live, identification, checksum", udp4.bytes(), func(b []byte) { b[ip+8], b[ip+5], b[ip+10] = 1, 1, 1 }, true},
		{"hop limit, flow label", tcp6.bytes(), func(b []byte) { b[ip+7], b[ip+3] = 1, 1 }, true},
		{"ECN and DSCP", tcp4.bytes(), func(b []byte) { b[ip+1] = 0xff }, true},
		{"sequence and acknowledgement numbers", tcp4.bytes(), func(b []byte) { b[l4+4], b[l4+8] = 99, 99 }, true},
		{"PSH, window, checksum", tcp4.bytes(), func(b []byte) { b[l4+13] |= psh; b[l4+14], b[l4+16] = 1, 1 }, true},
		{"TCP's timestamps", options.bytes(), func(b []byte) { b[l4+24] = 99 }, true},
		{"a completed checksum", udp4.bytes(), func(b []byte) { b[0] = 0 }, true},
		{"a ping's identifier and data", echo, func(b []byte) { b[l4+4], b[l4+8] = 1, 99 }, true},
		{"the first byte of the payload", udp4.bytes(), func(b []byte) { b[l4+8]++ }, false},
		{"the last byte of the payload", tcp6.bytes(), func(b []byte) { b[len(b)-1]++ }, false},
		{"FIN", tcp4.bytes(), func(b []byte) { b[l4+13] |= fin }, false},
		{"SYN", tcp6.bytes(), func(b []byte) { b[l6+13] |= syn }, false},
		{"a ping's number", echo, func(b []byte) { b[l4+7]++ }, false},
		{"ICMP's type", echo, func(b []byte) { b[l4] = 0 }, false},
		{"the protocol", udp4.bytes(), func(b []byte) { b[ip+9] = 99 }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if was, is := hash(row.frame, 0), hash(changed(row.frame, row.change), 0); (was == is) != row.same {
				t.Errorf("the hashes are %016x and %016x", was, is)
			}
		})
	}
}

func changed(b []byte, change func([]byte)) []byte {
	b = slices.Clone(b)
	change(b)
	return b
}

func hash(frame []byte, i int) uint64 {
	var pool packet.Pool
	return tuntest.Frame(&pool, frame).Packet(i, 0).Hash()
}

// A packet has the hash that it has alone, wherever it is in a frame.
func TestHashWithinFrame(t *testing.T) {
	for _, tt := range recipes {
		t.Run(tt.name, func(t *testing.T) {
			data := tt.bytes()
			whole, err := segment(data)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[uint64]int{}
			for i, p := range whole {
				got, want := hash(data, i), hash(append(make([]byte, packet.VnetLen), p...), 0)
				if got != want {
					t.Errorf("packet %d has the hash %016x, alone %016x", i, got, want)
				}
				if j, ok := seen[got]; ok && len(p) > 100 {
					t.Errorf("packets %d and %d have one hash", j, i)
				}
				seen[got] = i
			}
		})
	}
}

// The hash is written to files: it stays what it is.
func TestHashStays(t *testing.T) {
	b := recipe{udp: true, payload: 8}.bytes()
	binary.BigEndian.PutUint64(b[len(b)-8:], 1)
	if got := hash(b, 0); got != 0xe9baab764454654c {
		t.Errorf("the hash is %#x", got)
	}
}

// What has a header of TCP or UDP is known, fragmented or not.
func TestTransport(t *testing.T) {
	udp4, udp6 := recipe{udp: true, payload: 100}, recipe{udp: true, v6: true, payload: 100}
	const ip = packet.VnetLen
	// fragment puts a fragment header, of an offset in units of 8 bytes, before that of UDP.
	fragment := func(offset uint16) []byte {
		b := udp6.bytes()
		head := binary.BigEndian.AppendUint16([]byte{b[ip+6], 0}, offset<<3|1)
		b[ip+6] = 44
		binary.BigEndian.PutUint16(b[ip+4:], binary.BigEndian.Uint16(b[ip+4:])+8)
		return slices.Insert(b, ip+40, append(head, 0, 0, 0, 1)...)
	}
	for _, row := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"UDP", udp4.bytes(), true},
		{"TCP over IPv6", recipe{v6: true, flags: ack, payload: 100}.bytes(), true},
		{"another protocol", changed(udp4.bytes(), func(b []byte) { b[ip+9] = 1 }), false},
		{"another over IPv6", changed(udp6.bytes(), func(b []byte) { b[ip+6] = 58 }), false},
		{"a first fragment", changed(udp4.bytes(), func(b []byte) { b[ip+6] = 0x20 }), true},
		{"a later fragment", changed(udp4.bytes(), func(b []byte) { b[ip+7] = 1 }), false},
		{"a first fragment of IPv6", fragment(0), true},
		{"a later fragment of IPv6", fragment(1), false},
		{"extension headers without an end", changed(udp6.bytes(), func(b []byte) { b[ip+6], b[ip+40], b[ip+41] = 60, 60, 255 }), false},
		{"a fragment header cut off", changed(udp6.bytes(), func(b []byte) { b[ip+6] = 44 })[:ip+44], false},
		{"one after options cut off", changed(udp6.bytes(), func(b []byte) { b[ip+6], b[ip+40], b[ip+41] = 60, 44, 0 })[:ip+50], false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := tuntest.Frame(new(packet.Pool), row.frame).Packet(0, 0).Transport(); got != row.want {
				t.Errorf("%t, want %t", got, row.want)
			}
		})
	}
}
