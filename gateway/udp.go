package gateway

import (
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// takeUDP sends a datagram from the room on.
func (g *gateway) takeUDP(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
	h := header.UDP(p.TransportHeader().Slice())
	size := p.Data().Size()
	fits, whole := header.UDPValid(h, func() uint16 { return p.Data().Checksum() }, uint16(size), p.NetworkProtocolNumber,
		id.RemoteAddress, id.LocalAddress, p.RXChecksumValidated)
	if !fits || !whole {
		return true
	}
	p.Data().CapLength(int(h.Length()) - header.UDPMinimumSize)
	f, err := g.flows.get(flowKey{unix.IPPROTO_UDP, addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)})
	var next int
	if err == nil {
		q := pieces{most: maxIovecs}
		p.Data().ReadTo(&q, true)
		next, err = f.send(p.NetworkHeader().Slice(), q.iovs)
	}
	if err != nil {
		from := g.address(addr(id.LocalAddress))
		if err == errRefused { // as its host says it
			from = addr(id.LocalAddress)
		}
		g.reject(quote(p), from, why(err), next)
	}
	return true
}

// replyUDP sends the room a datagram: the room for a header, and what was received.
func (f *flow) replyUDP(b []byte, tos uint8) {
	if len(b) > 1<<16-1 {
		return // more than a datagram can be
	}
	header.UDP(b).Encode(&header.UDPFields{SrcPort: f.dst.Port(), DstPort: f.src.Port(), Length: uint16(len(b))})
	f.g.send(f.dst.Addr(), f.src.Addr(), header.UDPProtocolNumber, tos, b, 6)
}
