package gateway

import (
	"fmt"
	"math"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nic is the number of netstack's only interface.
const nic tcpip.NICID = 1

// newStack makes the TCP/IP stack, to which every address is its own. It has none of its own accord, and so says nothing
// of its own accord.
func (g *gateway) newStack() error {
	g.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	for _, err := range []tcpip.Error{
		g.stack.CreateNIC(nic, g.device),
		g.stack.SetPromiscuousMode(nic, true),
		g.stack.SetSpoofing(nic, true),
	} {
		if err != nil {
			return fmt.Errorf("setting up the stack: %s", err)
		}
	}
	g.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	if err := tune(g.stack); err != nil {
		return fmt.Errorf("setting up TCP: %s", err)
	}
	g.dials.forwarder = tcp.NewForwarder(g.stack, firstReceive, math.MaxInt, g.dials.answer)
	g.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, g.dials.take)
	g.stack.SetTransportProtocolHandler(udp.ProtocolNumber, g.takeUDP)
	g.stack.SetTransportProtocolHandler(header.ICMPv4ProtocolNumber, g.takeEcho4)
	return nil
}

func tune(s *stack.Stack) tcpip.Error {
	sack := tcpip.TCPSACKEnabled(true)
	nagle := tcpip.TCPDelayEnabled(false)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	timeWait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: firstReceive, Default: firstReceive, Max: mostBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: firstSend, Default: firstSend, Max: mostBuffer}
	// Losses are detected by duplicate acknowledgements (RFC 6675) and by timeouts. With RFC 8985 a netstack that waits for
	// an answer to what it has sent again may have no timer running: schedulePTO in transport/tcp/rack.go stops that of
	// retransmissions, and postXmit starts none where nothing but lost segments is outstanding. Were it lost too, the
	// connection would hang.
	recovery := tcpip.TCPRecovery(0)
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &nagle, &moderate, &timeWait, &receive, &send, &recovery} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return err
		}
	}
	return nil
}
