package gateway

import (
	"fmt"
	"math"
	"time"

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
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &nagle, &moderate, &timeWait, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return err
		}
	}
	return nil
}

// brief is the round-trip time below which the probes that RFC 8985 sends for a lost tail, after twice that time (section
// 7.2), meet pauses of the machine and no losses. Netstack slows down after each.
const brief = 5 * time.Millisecond

// adapt chooses how connections to come detect losses, by the round-trip time of the last handshake: with RFC 8985, or
// where that is brief by duplicate acknowledgements alone (RFC 6675).
func (g *gateway) adapt(rtt time.Duration) {
	recovery := tcpip.TCPRACKLossDetection
	if rtt < brief {
		recovery = 0
	}
	g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &recovery)
}
