package gateway

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// reason is why a packet is not delivered: type and code of the ICMP message, RFC 792, and of the ICMPv6 one, RFC 4443.
type reason struct{ type4, code4, type6, code6 uint8 }

var (
	noNetwork  = reason{3, 0, 1, 0}
	noHost     = reason{3, 1, 1, 3}
	noPort     = reason{3, 3, 1, 4}
	prohibited = reason{3, 13, 1, 1}
	tooBig     = reason{3, 4, 2, 0}
	expired    = reason{11, 0, 3, 0}
)

// why is the reason that an error of a socket stands for.
func why(err error) reason {
	switch err {
	case unix.ECONNREFUSED:
		return noPort
	case unix.EACCES, unix.EPERM:
		return prohibited
	case unix.EMSGSIZE:
		return tooBig
	case unix.ENETUNREACH, unix.ENETDOWN, unix.EAFNOSUPPORT, unix.EADDRNOTAVAIL, unix.EINVAL:
		return noNetwork
	}
	return noHost
}

// Of a quoted packet, RFC 1812, 4.3.2.3 and RFC 4443, 2.4(c) want as much as fits into these lengths.
const (
	mostICMP4 = 576
	mostICMP6 = 1280
)

// address is the gateway's own of dst's family.
func (g *gateway) address(dst netip.Addr) netip.Addr {
	if dst.Is4() {
		return g.Address
	}
	return g.Address6
}

// reject tells the sender of an IP packet, of which ip is at least the headers, why it is not delivered; from is who
// says so. The next hop's MTU goes with tooBig.
func (g *gateway) reject(ip []byte, from netip.Addr, r reason, nextMTU int) {
	src, ok := rejectable(ip)
	if !ok || !from.IsValid() {
		return
	}
	body := make([]byte, 8, mostICMP6)
	if src.Is4() {
		body[0], body[1] = r.type4, r.code4
		if r == tooBig {
			binary.BigEndian.PutUint16(body[6:], uint16(nextMTU))
		}
		body = append(body, ip[:min(len(ip), mostICMP4-header.IPv4MinimumSize-len(body))]...)
	} else {
		body[0], body[1] = r.type6, r.code6
		if r == tooBig {
			binary.BigEndian.PutUint32(body[4:], uint32(nextMTU))
		}
		body = append(body, ip[:min(len(ip), mostICMP6-header.IPv6MinimumSize-len(body))]...)
	}
	g.sendICMP(from, src, 0, body)
}

// rejectable says whether an IP packet may be answered with an ICMP error, and whom (RFC 1122, 3.2.2; RFC 4443, 2.4(e)).
func rejectable(ip []byte) (src netip.Addr, ok bool) {
	dst, _, ok := destination(ip)
	if !ok || dst.IsMulticast() || dst == broadcast {
		return src, false
	}
	if dst.Is4() {
		src = netip.AddrFrom4([4]byte(ip[12:16]))
		if ip[6]&0x1f != 0 || ip[7] != 0 { // not the first fragment
			return src, false
		}
		if message, is := icmpOf(ip); is && (len(message) == 0 || message[0] != echoRequest4 && message[0] != echoReply4) {
			return src, false
		}
	} else {
		src = netip.AddrFrom16([16]byte(ip[8:24]))
		if message, is := icmpOf(ip); is && (len(message) == 0 || message[0] < 128) {
			return src, false
		}
	}
	return src, !src.IsUnspecified() && !src.IsMulticast() && src != broadcast
}

// icmpOf is the ICMP message of an IP packet that has one right after its header.
func icmpOf(ip []byte) (message []byte, ok bool) {
	if ip[0]>>4 == 4 {
		return ip[min(int(ip[0]&15)*4, len(ip)):], ip[9] == unix.IPPROTO_ICMP
	}
	return ip[header.IPv6MinimumSize:], ip[6] == unix.IPPROTO_ICMPV6
}

// sendICMP sends the room an ICMP message whose checksum is still to be computed.
func (g *gateway) sendICMP(from, to netip.Addr, tos uint8, body []byte) {
	proto := header.ICMPv6ProtocolNumber
	if to.Is4() {
		proto = header.ICMPv4ProtocolNumber
	}
	g.send(from, to, proto, tos, body, 2)
}

// send sends the room what a transport protocol says, in fragments where it is larger than the MTU. Its checksum goes to
// the offset sum.
func (g *gateway) send(from, to netip.Addr, proto tcpip.TransportProtocolNumber, tos uint8, body []byte, sum int) {
	r, err := g.stack.FindRoute(nic, stackAddr(from), stackAddr(to), netProto(to), false)
	if err != nil {
		return
	}
	defer r.Release()
	var pseudo uint16
	if proto != header.ICMPv4ProtocolNumber {
		pseudo = r.PseudoHeaderChecksum(proto, uint16(len(body)))
	}
	binary.BigEndian.PutUint16(body[sum:], 0)
	x := ^checksum.Checksum(body, pseudo)
	if x == 0 && proto == header.UDPProtocolNumber {
		x = 0xffff // RFC 768: 0 stands for none
	}
	binary.BigEndian.PutUint16(body[sum:], x)
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(r.MaxHeaderLength()), Payload: buffer.MakeWithData(body)})
	defer p.DecRef()
	r.WritePacket(stack.NetworkHeaderParams{Protocol: proto, TTL: r.DefaultTTL(), TOS: tos}, p)
}

// quote is the beginning of a packet that netstack has parsed, as far as an ICMP error wants it.
func quote(p *stack.PacketBuffer) []byte {
	b := append([]byte(nil), p.NetworkHeader().Slice()...)
	b = append(b, p.TransportHeader().Slice()...)
	if n := mostICMP6 - len(b); n > 0 {
		b = append(b, p.Data().AsRange().Capped(n).ToSlice()...)
	}
	return b
}
