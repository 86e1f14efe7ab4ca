package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"gomahi/packet"
)

// Pcap adds a capture in pcapng (draft-ietf-opsawg-pcapng), with times in nanoseconds: interface 0 is before the link,
// 1 after it. What was dropped has a comment that says why: on its arrival, if the queue did not take it, else on a
// second record of it at the time of the drop.
func (r *Recorder) Pcap(name string, init time.Time, to io.WriteCloser) {
	r.add(name, to, packet.MaxFrame, func(w *bufio.Writer) sink {
		p := &pcap{w: w, init: init.UnixNano()}
		const sectionHeader, interfaceDescription = 0x0a0d0d0a, 1
		p.block(sectionHeader, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255},
			option(4, []byte("gomahi")))
		for _, name := range []string{"before the link", "after the link"} {
			// LINKTYPE_NULL, no limit of length. LINKTYPE_RAW would do without the four bytes, but libpcap (1.10) takes
			// two interfaces of it for different ones, and refuses the file.
			p.block(interfaceDescription, make([]byte, 8),
				option(2, []byte(name)), option(9, []byte{9}))
		}
		return p
	})
}

// families are BSD's numbers, which stand before each packet, by IP version.
var families = [16]uint32{4: 2, 6: 24}

type pcap struct {
	w    *bufio.Writer
	init int64 // ns since 1970
	b    []byte

	// An arrival waits for whether it is dropped.
	waits   bool
	arrived time.Duration
	data    []byte
}

// option is one with its padding.
func option(code uint16, value []byte) []byte {
	o := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, code), uint16(len(value)))
	return append(append(o, value...), make([]byte, -len(value)&3)...)
}

func (p *pcap) block(kind uint32, body []byte, options ...[]byte) {
	b := binary.LittleEndian.AppendUint32(p.b[:0], kind)
	b = append(append(b, 0, 0, 0, 0), body...)
	for _, o := range options {
		b = append(b, o...)
	}
	if len(options) > 0 {
		b = append(b, 0, 0, 0, 0) // opt_endofopt
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)+4))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	p.w.Write(b) // its error stays, and is seen at the end
	p.b = b
}

func (p *pcap) record(where uint32, at time.Duration, data []byte, comment string) {
	const enhancedPacket = 6
	t := uint64(p.init + int64(at))
	family := uint32(0)
	if len(data) > 0 {
		family = families[data[0]>>4]
	}
	body := make([]byte, 0, 24+len(data)+3)
	for _, v := range []uint32{where, uint32(t >> 32), uint32(t), uint32(len(data) + 4), uint32(len(data) + 4), family} {
		body = binary.LittleEndian.AppendUint32(body, v)
	}
	body = append(append(body, data...), make([]byte, -len(data)&3)...)
	if comment == "" {
		p.block(enhancedPacket, body)
	} else {
		p.block(enhancedPacket, body, option(1, []byte(comment)))
	}
}

func (p *pcap) settle(comment string) {
	if p.waits {
		p.record(0, p.arrived, p.data, comment)
		p.waits = false
	}
}

func (p *pcap) event(e *event, data []byte) error {
	if e.kind == change {
		return nil
	}
	data = whole(data)
	switch {
	case e.kind == arrival:
		p.settle("")
		p.waits, p.arrived, p.data = true, e.at, append(p.data[:0], data...)
	case e.kind == departure:
		p.settle("")
		p.record(1, e.at, data, "")
	case e.beyond:
		p.settle("")
		p.record(1, e.at, data, "dropped after the link: "+e.reason)
	case p.waits && p.arrived == e.at && e.arrived == e.at && bytes.Equal(p.data, data):
		p.settle("dropped: " + e.reason)
	default:
		p.settle("")
		p.record(0, e.at, data, fmt.Sprintf("dropped: %s, %v after its arrival", e.reason, e.at-e.arrived))
	}
	return nil
}

func (p *pcap) end(time.Duration) error {
	p.settle("")
	return nil
}

// whole is the packet behind a virtio header, with its checksum completed as that says.
func whole(data []byte) []byte {
	packet.Complete([][]byte{data})
	return data[packet.VnetLen:]
}
