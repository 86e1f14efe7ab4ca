package packet_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// extensions makes IPv6 extension headers out of fuzzed bytes: kind and length in the first of each.
func extensions(b []byte) (exts []ext) {
	for len(b) > 1 && len(exts) < 6 {
		kind, n := []byte{0, 43, 60, 60}[b[0]&3], 6+8*int(b[0]>>2&7)
		if kind == 43 { // types 2 and 4 with an address, used up or not
			exts = append(exts, []ext{routing2, routing4, routingDone}[int(b[1])%3])
			b = b[2:]
			continue
		}
		data := make([]byte, n)
		b = b[1+copy(data, b[1:]):]
		exts = append(exts, ext{kind, data})
	}
	return exts
}

// Whatever way a frame's packets are cut into runs, what a run stands for is what the frame stood for there.
func FuzzRun(f *testing.F) {
	f.Add(false, false, []byte{}, timestamps, byte(ack), uint16(1), uint32(1), uint16(4344), uint16(1448), false, uint16(0), []byte{0})
	f.Add(false, false, []byte{1, 1, 1, 1}, []byte{}, byte(cwr|ack|psh|fin), uint16(65530), uint32(1<<32-3000), uint16(60001), uint16(1460), true, uint16(0), []byte{3, 0x80, 1})
	f.Add(true, false, []byte{}, timestamps, byte(ack|psh), uint16(0), uint32(7), uint16(65483), uint16(1428), false, uint16(0), []byte{1, 2, 3, 0x84})
	f.Add(true, false, []byte{0, 1, 4, 0, 0, 0, 0, 1, 0, 2, 1, 4}, []byte{}, byte(ack|ece|cwr), uint16(0), uint32(7), uint16(20000), uint16(1400), true, uint16(3000), []byte{0})
	f.Add(false, true, []byte{}, []byte{}, byte(0), uint16(65535), uint32(0), uint16(65507), uint16(1472), false, uint16(0), []byte{0x81, 7})
	f.Add(true, true, []byte{1, 1, 1, 2}, []byte{}, byte(0), uint16(0), uint32(0), uint16(3001), uint16(1000), false, uint16(1048), []byte{0})
	f.Add(false, true, []byte{148, 4, 0, 0}, []byte{}, byte(0), uint16(0), uint32(0), uint16(9), uint16(1), false, uint16(0), []byte{0, 1, 0x80})
	f.Fuzz(func(t *testing.T, v6, udp bool, ipOptions, tcpOptions []byte, flags byte, id uint16, seq uint32, payload, gso uint16, ecn bool, hdrLen uint16, cuts []byte) {
		r := recipe{v6: v6, udp: udp, flags: flags, id: id, seq: seq, ecn: ecn && !udp}
		if v6 {
			r.ext = extensions(ipOptions)
		} else {
			r.ipOptions = ipOptions[:min(len(ipOptions), 40)&^3]
		}
		if !udp {
			r.tcpOptions = tcpOptions[:min(len(tcpOptions), 40)&^3]
		}
		limit := 65535 - r.headers()
		if v6 {
			limit += 40
		}
		// At least two packets, and no more than the time is worth.
		r.payload = min(max(int(payload), 2), limit)
		r.gso = min(max(int(gso), 1, r.payload/200), r.payload-1)
		if hdrLen > 0 {
			r.hdrLen = min(max(int(hdrLen), r.headers()), r.headers()+r.payload)
		}

		data := r.bytes()
		whole, err := segment(data)
		if err != nil {
			t.Fatal(err)
		}
		var pool packet.Pool
		frame := tuntest.Frame(&pool, data)
		if frame.Len() != len(whole) {
			t.Fatalf("%d packets, want %d", frame.Len(), len(whole))
		}
		var runs [][2]int
		for i, k := 0, 0; i < len(whole); k++ {
			n := byte(0)
			if len(cuts) > 0 {
				n = cuts[k%len(cuts)]
			}
			j := min(i+1+int(n&0x7f), len(whole))
			if n&0x80 == 0 {
				runs = append(runs, [2]int{i, j})
			}
			i = j
		}
		if err := compare(frame, whole, runs); err != nil {
			t.Fatal(err)
		}
	})
}

// Any bytes are a frame of one packet at least, whose packets hold each byte of the payload once.
func FuzzParse(f *testing.F) {
	for _, tt := range recipes {
		if tt.payload > 3000 { // the fuzzer spends its time on making large seeds smaller
			tt.payload, tt.gso, tt.hdrLen = 300, 70, 0
		}
		f.Add(tt.bytes())
	}
	for _, tt := range captures {
		data, err := hex.DecodeString(tt.frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(make([]byte, 11))
	f.Add(bytes.Repeat([]byte{0xff}, 31))
	f.Add(append([]byte{1, 5, 0, 0, 1, 0, 20, 0, 6, 0}, 0x45, 0, 0, 21, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), packet.MaxFrame)]
		if len(data) <= packet.VnetLen {
			return // which no device makes a frame of
		}
		var pool packet.Pool
		frame := tuntest.Frame(&pool, data)
		n, bytesIn := frame.Len(), len(data)-packet.VnetLen
		if frame.Bytes() != bytesIn {
			t.Fatalf("%d bytes, want %d", frame.Bytes(), bytesIn)
		}
		if n < 1 {
			t.Fatalf("%d packets", n)
		}
		if !bytes.Equal(tuntest.Run(frame, 0, n), data) {
			t.Fatal("the whole frame did not come out as it went in")
		}
		if n == 1 {
			if got := int(frame.Packet(0, 0).Size); got != bytesIn {
				t.Fatalf("one packet of %d bytes, want %d", got, bytesIn)
			}
			return
		}
		gso := int(binary.LittleEndian.Uint16(data[4:]))
		full := int(frame.Packet(0, 0).Size)
		hdr := full - gso
		if hdr < 28 || hdr > bytesIn {
			t.Fatalf("headers of %d bytes", hdr)
		}
		var payload []byte
		for i := range n {
			size := int(frame.Packet(i, 0).Size)
			if size > full || size <= hdr || i < n-1 && size != full {
				t.Fatalf("packet %d of %d has %d bytes, the first %d", i, n, size, full)
			}
			if i > 600 && i < n-2 {
				payload = append(payload, data[packet.VnetLen+hdr+i*gso:][:gso]...)
				continue
			}
			run := tuntest.Run(frame, i, i+1)
			if len(run) != packet.VnetLen+size {
				t.Fatalf("packet %d of %d bytes is written as %d", i, size, len(run)-packet.VnetLen)
			}
			payload = append(payload, run[packet.VnetLen+hdr:]...)
			if j := min(i+3, n); len(tuntest.Run(frame, i, j)) != packet.VnetLen+hdr+min(j*gso, bytesIn-hdr)-i*gso {
				t.Fatalf("the run of packets %d to %d is written as %d bytes", i, j-1, len(tuntest.Run(frame, i, j)))
			}
		}
		if !bytes.Equal(payload, data[packet.VnetLen+hdr:]) {
			t.Fatal("the packets do not hold the frame's payload")
		}
		for i := range n {
			frame.Packet(i, 0).Release()
		}
		if pool.Get() != frame {
			t.Fatal("the frame is not back in its pool")
		}
	})
}
