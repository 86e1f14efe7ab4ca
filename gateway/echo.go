package gateway

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Types of ICMP messages, RFC 792 and RFC 4443.
const (
	echoRequest4 = 8
	echoReply4   = 0
	echoRequest6 = 128
	echoReply6   = 129

	echoHeader = 8 // type, code, checksum, identifier, sequence number
	echoID     = 4
)

// takeEcho4 handles ICMP messages that netstack has put together and checked.
func (g *gateway) takeEcho4(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
	m := append([]byte(nil), p.TransportHeader().Slice()...)
	m = append(m, p.Data().AsRange().ToSlice()...)
	if len(m) >= echoHeader && m[0] == echoRequest4 {
		ip := p.NetworkHeader().Slice()
		g.echo(addr(id.RemoteAddress), addr(id.LocalAddress), ip, m)
	}
	return true
}

// takeEcho6 handles an IPv6 packet if it is an echo request: netstack would answer it whoever it is for. One in fragments
// it would answer as well, so these are not let through.
func (g *gateway) takeEcho6(f *frame) bool {
	ip := f.first.AsSlice()
	dst, _, _ := destination(ip)
	m := ip[header.IPv6MinimumSize:]
	if n := header.IPv6FragmentHeaderSize; ip[6] == unix.IPPROTO_FRAGMENT && len(m) > n && m[0] == unix.IPPROTO_ICMPV6 {
		if g.route.own(dst) {
			return false
		}
		if binary.BigEndian.Uint16(m[2:])&^7 == 0 {
			g.reject(ip, g.Address6, prohibited, 0)
		}
		return true
	}
	if ip[6] != unix.IPPROTO_ICMPV6 || len(m) < echoHeader || m[0] != echoRequest6 {
		return false
	}
	src := netip.AddrFrom16([16]byte(ip[8:24]))
	g.echo(src, dst, ip[:header.IPv6MinimumSize], f.whole()[header.IPv6MinimumSize:])
	return true
}

// echo answers an echo request for the gateway, and sends any other on. The message m is its own.
func (g *gateway) echo(src, dst netip.Addr, ip, m []byte) {
	k := flowKey{unix.IPPROTO_ICMP, netip.AddrPortFrom(src, binary.BigEndian.Uint16(m[echoID:])), netip.AddrPortFrom(dst, 0)}
	if dst.Is6() {
		k.proto = unix.IPPROTO_ICMPV6
	}
	if g.route.own(dst) {
		m[0] = k.replyType()
		g.sendICMP(dst, src, tosOf(ip), m)
		return
	}
	f, err := g.flows.get(k)
	var next int
	if err == nil {
		next, err = f.send(ip, []unix.Iovec{iovec(m)})
	}
	if err != nil {
		g.reject(append(ip[:len(ip):len(ip)], m...), g.address(dst), why(err), next)
	}
}

func (k flowKey) replyType() byte {
	if k.dst.Addr().Is6() {
		return echoReply6
	}
	return echoReply4
}

// replyEcho sends the room a reply, in which the kernel's own identifier stands.
func (f *flow) replyEcho(m []byte, tos uint8) {
	if len(m) >= echoHeader && m[0] == f.replyType() {
		binary.BigEndian.PutUint16(m[echoID:], f.src.Port())
		f.g.sendICMP(f.dst.Addr(), f.src.Addr(), tos, m)
	}
}
