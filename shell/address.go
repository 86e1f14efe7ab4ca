package shell

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Containers number their addresses from here: carrier-grade NAT's block (RFC 6598), and a locally assigned IPv6 prefix
// (RFC 4193) whose digits spell gmahi.
var (
	block4 = netip.MustParsePrefix("100.64.0.0/10")
	block6 = netip.MustParsePrefix("fd67:6d61:6869::/48")
)

const pairs = 1 << 20 // pairs of addresses in block4

// addresses are the two ends of a container's link.
type addresses struct {
	outside4, inside4 netip.Addr
	outside6, inside6 netip.Addr
	reservation       int // the socket that holds them
}

// pair returns the addresses numbered k, as if each link had a /30 of its own: none ends in .0 or .255.
func pair(k int) addresses {
	number := func(n int) (v4, v6 netip.Addr) {
		b := block4.Addr().As4()
		n += 4 * k
		b[1], b[2], b[3] = b[1]|byte(n>>16), byte(n>>8), byte(n)
		c := block6.Addr().As16()
		copy(c[12:], b[:])
		return netip.AddrFrom4(b), netip.AddrFrom16(c)
	}
	var a addresses
	a.outside4, a.outside6 = number(1)
	a.inside4, a.inside6 = number(2)
	return a
}

func pairOf(a netip.Addr) int {
	b := a.As4()
	return (int(b[1]&0x3f)<<16 | int(b[2])<<8 | int(b[3])) / 4
}

// reserve takes the first free pair in the calling thread's network namespace. An abstract Unix socket named after the
// address holds it: no two can be bound to one name, and whoever dies lets go. Such names are per namespace, so inside a
// container the count goes upward from its own addresses: all its ancestors' are lower, and a level that took one of
// these would hide it, GM_BASE among them.
func reserve() (addresses, error) {
	used, own, err := inUse()
	if err != nil {
		return addresses{}, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return addresses{}, err
	}
	for k := own + 1; k < pairs; k++ {
		a := pair(k)
		if used(a) {
			continue
		}
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@gomahi/" + a.outside4.String()})
		if err == nil {
			a.reservation = fd
			return a, nil
		}
		if err != unix.EADDRINUSE {
			unix.Close(fd)
			return addresses{}, fmt.Errorf("reserving %s: %w", a.outside4, err)
		}
	}
	unix.Close(fd)
	return addresses{}, fmt.Errorf("no address of %s is free", block4)
}

// inUse says which addresses are already taken or routed here, and the number of the pair that this namespace itself
// has as a container, else -1. A route for the whole block, or wider, is no hindrance: ours will be more specific.
func inUse() (used func(addresses) bool, own int, err error) {
	own = -1
	var taken []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		if p := netip.PrefixFrom(ip.Unmap(), ones); block4.Contains(p.Addr()) && ones > block4.Bits() {
			taken = append(taken, p)
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, 0, fmt.Errorf("listing addresses: %w", err)
	}
	ingress, _ := netlink.LinkByName(insideName)
	for _, a := range addrs {
		add(a.IPNet)
		add(a.Peer)
		if ingress != nil && a.LinkIndex == ingress.Attrs().Index {
			if ip, _ := netip.AddrFromSlice(a.IP); block4.Contains(ip.Unmap()) {
				own = max(own, pairOf(ip.Unmap()))
			}
		}
	}
	routes, err := allRoutes(netlink.FAMILY_V4)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range routes {
		add(r.Dst)
	}
	return func(a addresses) bool {
		for _, p := range taken {
			if p.Contains(a.outside4) || p.Contains(a.inside4) {
				return true
			}
		}
		return false
	}, own, nil
}

// allRoutes lists the routes of every table.
func allRoutes(family int) ([]netlink.Route, error) {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return routes, nil
}
