package gateway

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gomahi/packet"
)

// take passes on what has come from the room. It owns f.
func (g *gateway) take(f *frame) {
	ip := f.first.AsSlice()
	dst, hops, ok := destination(ip)
	switch {
	case !ok || dst.IsMulticast(): // as any router where nobody routes multicast; RFC 1122, 3.2.2 forbids an answer
	case hidden(dst): // which netstack would drop without a word
		g.reject(ip, g.address(dst), prohibited, 0)
	case hops <= 1 && !g.route.own(dst):
		g.reject(ip, g.address(dst), expired, 0)
	case f.vnet[packet.VnetGSOType] == packet.GSOUDP:
		g.split(f)
	case dst.Is6() && g.takeEcho6(f):
	default:
		g.device.inject(f)
		return
	}
	f.release()
}

// destination reads what routing needs. Netstack checks the rest.
func destination(ip []byte) (dst netip.Addr, hops byte, ok bool) {
	switch {
	case len(ip) >= header.IPv4MinimumSize && ip[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(ip[16:20])), ip[8], true
	case len(ip) >= header.IPv6MinimumSize && ip[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(ip[24:40])), ip[7], true
	}
	return dst, 0, false
}

// split makes packets of a frame of UDP, which netstack does not know.
func (g *gateway) split(whole *frame) {
	f := g.pool.Get()
	b, n := append(whole.vnet[:], whole.whole()...), 0
	for _, part := range f.Buffers(nil, 0) {
		n += copy(part, b[n:])
	}
	f.Filled(n)
	var room [packet.HeaderRoom]byte
	var bufs [packet.Parts][]byte
	for i := range f.Len() {
		one := frame{vnet: whole.vnet, first: buffer.NewView(mtu + packet.VnetLen)}
		for _, part := range f.Run(bufs[:0], room[:], i, i+1) {
			one.first.Write(part)
		}
		f.Packet(i, 0).Release()
		one.first.TrimFront(packet.VnetLen)
		g.device.inject(&one)
	}
}
