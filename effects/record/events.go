package record

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/netip"
	"strconv"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// Events adds JSON lines, one for each arrival, drop and departure, of all protocols; times are nanoseconds since the
// start, sizes those of IP packets:
//
//	{"t":1000,"link":"uplink","event":"arrival","size":1500,"proto":"tcp","src":"100.64.0.2","sport":40000,
//	 "dst":"192.0.2.1","dport":443,"queue_packets":3,"queue_bytes":4500}
//
// A change of a path has what holds from then on: "route", "delay" and "jitter" in ns, "rate" in bit/s (0 is no limit), "loss"
// as a probability, "queue" with its unit, and "state", "up" or "down".
//
// The queue is what the link holds after the event, the packet under way included. A departure has "arrival" and "delay"
// besides, and "opportunity" where there is a schedule; a drop "arrival" and "reason". Two links may write to one file: then
// lines are whole, and in the order of time for each link.
func (r *Recorder) Events(name, link string, to io.WriteCloser) {
	const headers = 80 // enough for ports behind IPv4 options or one IPv6 extension header
	r.add(name, to, headers, func(w *bufio.Writer) sink { return &events{w: w, link: link} })
}

type events struct {
	w    *bufio.Writer
	link string
	line []byte
}

func (s *events) number(name string, v int64) {
	s.line = append(append(append(s.line, `,"`...), name...), `":`...)
	s.line = strconv.AppendInt(s.line, v, 10)
}

func (s *events) text(name, v string) {
	s.line = append(append(append(s.line, `,"`...), name...), `":`...)
	s.line = strconv.AppendQuote(s.line, v)
}

func (s *events) event(e *event, data []byte) error {
	s.line = strconv.AppendInt(append(s.line[:0], `{"t":`...), int64(e.at), 10)
	s.text("link", s.link)
	s.text("event", [...]string{arrival: "arrival", departure: "departure", loss: "drop", change: "change"}[e.kind])
	if e.kind == change {
		s.state(e.change.State)
		s.put()
		return nil
	}
	s.number("size", int64(e.size))
	s.headers(data[packet.VnetLen:])
	s.number("queue_packets", int64(e.packets))
	s.number("queue_bytes", int64(e.bytes))
	if e.kind != arrival {
		s.number("arrival", int64(e.arrived))
	}
	if e.kind == departure {
		s.number("delay", int64(e.at-e.arrived))
		if e.number >= 0 {
			s.number("opportunity", e.number)
		}
	}
	if e.kind == loss {
		s.text("reason", e.reason)
	}
	s.put()
	return nil
}

// put writes the line.
func (s *events) put() {
	s.line = append(s.line, "}\n"...)
	if len(s.line) > s.w.Available() {
		s.w.Flush() // whole lines, since the other direction may write to the same file
	}
	s.w.Write(s.line) // its error stays, and is seen at the end
}

func (s *events) state(c scenario.State) {
	s.number("route", int64(c.Route))
	s.number("delay", int64(c.Delay))
	s.number("rate", c.Rate)
	s.line = strconv.AppendFloat(append(s.line, `,"loss":`...), c.Loss, 'f', -1, 64)
	s.number("jitter", int64(c.Jitter))
	s.text("queue", c.Queue.String())
	s.text("state", c.Link())
}

func (s *events) end(time.Duration) error { return nil }

var protocols = map[byte]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}

// headers writes who sends to whom, as far as the packet says.
func (s *events) headers(ip []byte) {
	var proto byte
	var l4 int
	var src, dst netip.Addr
	fragment := false
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		proto, l4 = ip[9], int(ip[0]&15)*4
		src, dst = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		fragment = binary.BigEndian.Uint16(ip[6:])&0x1fff != 0
	case len(ip) >= 40 && ip[0]>>4 == 6:
		proto, l4 = ip[6], 40
		src, dst = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		for (proto == 0 || proto == 43 || proto == 60) && l4+8 <= len(ip) { // RFC 8200, section 4
			proto, l4 = ip[l4], l4+8+int(ip[l4+1])*8
		}
	default:
		s.text("proto", "unknown")
		return
	}
	name, known := protocols[proto]
	if !known {
		name = strconv.Itoa(int(proto))
	}
	ports := (proto == 6 || proto == 17) && !fragment && l4+4 <= len(ip)
	s.text("proto", name)
	s.text("src", src.String())
	if ports {
		s.number("sport", int64(binary.BigEndian.Uint16(ip[l4:])))
	}
	s.text("dst", dst.String())
	if ports {
		s.number("dport", int64(binary.BigEndian.Uint16(ip[l4+2:])))
	}
}
