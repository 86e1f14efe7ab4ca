package shell

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/tun"
)

// insideName is the device within every container, as in the original.
const insideName = "ingress"

// queueLength is the most frames that wait on a device until they are read. The default, 500, is less than what a
// sender can make while the reader sleeps.
const queueLength = 8192

// open creates a TUN device in the calling thread's namespace.
func open(name string, plain bool) (tun.Device, error) {
	if plain {
		return tun.OpenPlain(name)
	}
	return tun.Open(name)
}

// openOutside creates the device called after the tool and process, shortened where the kernel's 15 characters do not
// hold it. Two processes of one number can meet in a network namespace that spans PID namespaces: then a letter is added.
func openOutside(tool string, plain bool) (tun.Device, error) {
	var err error
	for _, more := range []string{"", "a", "b", "c", "d", "e", "f"} {
		number := "-" + strconv.Itoa(os.Getpid()) + more
		name := tool[:min(len(tool), unix.IFNAMSIZ-1-len(number))] + number
		var d tun.Device
		if d, err = open(name, plain); err == nil || !errors.Is(err, unix.EBUSY) {
			return d, err
		}
	}
	return nil, err
}

func indexOf(name string) (int, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("finding the device %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

// lengthen sets how many frames may wait on a device, if that is not the usual.
func lengthen(name string, frames int) error {
	if frames == 0 {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetTxQLen(link, frames)
	}
	if err != nil {
		return fmt.Errorf("setting the queue of the device %s to %d: %w", name, frames, err)
	}
	return nil
}

// configure gives a device its addresses and brings it up; six is whether IPv6 too. Nothing is
// sent of our own accord: without a link-local address there is no router solicitation, a point-to-point device without
// ARP joins no solicited-node groups, and so neither probes for duplicates nor reports memberships.
func configure(name string, index int, local4, peer4, local6, peer6 netip.Addr, six bool) error {
	link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: name, Index: index}}
	doing := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s the device %s: %w", what, name, err)
		}
		return nil
	}
	if err := netlink.LinkSetTxQLen(link, queueLength); err != nil {
		return doing("setting the queue of", err)
	}
	if six {
		const none = 1 // IN6_ADDR_GEN_MODE_NONE
		if err := netlink.LinkSetIP6AddrGenMode(link, none); err != nil {
			return doing("preparing IPv6 on", err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return doing("bringing up", err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: single(local4), Peer: single(peer4)}); err != nil {
		return doing("addressing", err)
	}
	if six {
		a := &netlink.Addr{IPNet: single(local6), Peer: single(peer6), Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(link, a); err != nil {
			return doing("giving an IPv6 address to", err)
		}
		// The kernel adds this route too, but later, from a work queue.
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: single(peer6)}); err != nil {
			return doing("routing IPv6 to", err)
		}
	}
	return nil
}

// routeAll sends everything of an address's family through it.
func routeAll(index int, via netip.Addr) error {
	everything := &net.IPNet{IP: make(net.IP, via.BitLen()/8), Mask: net.CIDRMask(0, via.BitLen())}
	err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: everything, Gw: via.AsSlice()})
	if err != nil {
		return fmt.Errorf("adding the default route through %s: %w", via, err)
	}
	return nil
}

// single is the prefix of one address alone.
func single(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// hasIPv6 says whether the calling thread's namespace has IPv6 for new devices.
func hasIPv6() bool {
	b, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	off, _ := os.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	return err == nil && (len(off) == 0 || off[0] == '0') && b != nil
}

// unread is how many frames for the reader of a device in a namespace the kernel dropped, since its queue was full
// (tun_net_xmit in drivers/net/tun.c).
func unread(namespace int, name string) (n uint64) {
	within(namespace, func() {
		if link, err := netlink.LinkByName(name); err == nil && link.Attrs().Statistics != nil {
			n = link.Attrs().Statistics.TxDropped
		}
	})
	return n
}
