package gateway

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const dnsPort = 53

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// errRefused is of destinations at which nobody listens as far as the room can know, errProhibited of those that it may
// not reach.
var (
	errRefused    error = unix.ECONNREFUSED
	errProhibited error = unix.EACCES
)

// policy says what of the outside the room reaches.
type policy struct {
	own4, own6 netip.Addr
	resolvers  map[netip.Addr]netip.AddrPort
	closed     bool            // the host's own addresses are
	routes     *netlink.Handle // of the original namespace; nil unless closed
}

func newPolicy(o Options) (*policy, error) {
	p := &policy{own4: o.Address, own6: o.Address6, resolvers: o.Resolvers, closed: o.NoHostLoopback}
	if !p.closed {
		return p, nil
	}
	var err error
	if p.routes, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("reaching the routing tables: %w", err)
	}
	return p, nil
}

// own says whether an address is the gateway's.
func (p *policy) own(a netip.Addr) bool {
	_, resolver := p.resolvers[a]
	return resolver || a == p.own4 || a == p.own6
}

// to is where outside a destination is. It may take a question to the kernel.
func (p *policy) to(dst netip.AddrPort) (netip.AddrPort, error) {
	a := dst.Addr()
	if r, ok := p.resolvers[a]; ok {
		if dst.Port() != dnsPort {
			return dst, errRefused
		}
		return r, nil
	}
	switch {
	case (a == p.own4 || a == p.own6) && p.closed:
		return dst, errRefused
	case a == p.own4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dst.Port()), nil
	case a == p.own6:
		return netip.AddrPortFrom(netip.IPv6Loopback(), dst.Port()), nil
	case hidden(a):
		return dst, errProhibited
	case p.closed:
		return dst, p.ofOthers(a)
	}
	return dst, nil
}

// hidden says whether the kernel would take an address for the host itself or for many: 0.0.0.0/8 and 127.0.0.0/8, also
// within ::ffff:0:0/96, which IPv6 sockets take for IPv4, and within ::/96, which includes :: and ::1.
func hidden(a netip.Addr) bool {
	if a.Is6() && (a.Is4In6() || [12]byte(a.AsSlice()) == [12]byte{}) {
		return true
	}
	return a.IsMulticast() || a == broadcast || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] == 127)
}

// ofOthers returns nil if an address is not the host's own, as the routing tables have it.
func (p *policy) ofOthers(a netip.Addr) error {
	routes, err := p.routes.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 {
		var e unix.Errno
		if errors.As(err, &e) {
			return e
		}
		return unix.ENETUNREACH
	}
	switch routes[0].Type {
	case unix.RTN_LOCAL, unix.RTN_ANYCAST, unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		return errProhibited
	}
	return nil
}
