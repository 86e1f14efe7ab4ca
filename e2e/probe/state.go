package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// state prints the devices, addresses, routes and rules of a namespace, one a line, sorted.
func state([]string) error {
	var out []string
	say := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	names := map[int]string{}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		sysctl := func(path string) string {
			b, _ := os.ReadFile("/proc/sys/net/" + strings.ReplaceAll(path, "DEV", a.Name))
			return strings.TrimSpace(string(b))
		}
		say("link %s %s mtu %d up %v forwarding %s tag %s force_forwarding %s", a.Name, l.Type(), a.MTU, a.Flags&unix.IFF_UP != 0,
			sysctl("ipv4/conf/DEV/forwarding"), sysctl("ipv4/conf/DEV/tag"), sysctl("ipv6/conf/DEV/force_forwarding"))
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, x := range addrs {
			peer := ""
			if x.Peer != nil && !x.Peer.IP.Equal(x.IP) {
				peer = " peer " + x.Peer.String()
			}
			if x.IP.To4() != nil || !x.IP.IsLinkLocalUnicast() {
				say("address %s %s%s", a.Name, x.IPNet, peer)
			}
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteList(nil, family)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Dst != nil && r.Dst.IP.IsLinkLocalUnicast() || r.Dst != nil && r.Dst.IP.IsMulticast() {
				continue
			}
			say("route %v via %v dev %s", r.Dst, r.Gw, names[r.LinkIndex])
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return err
	}
	for _, t := range tables {
		say("table %s", t.Name)
	}
	slices.Sort(out)
	fmt.Println(strings.Join(slices.Compact(out), "\n"))
	return nil
}

// firewall makes a chain that drops all that is forwarded, as Docker's policy does.
func firewall([]string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	drop := nftables.ChainPolicyDrop
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "filter"})
	forward := c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	c.AddRule(&nftables.Rule{Table: t, Chain: forward, Exprs: []expr.Any{&expr.Counter{}}})
	return c.Flush()
}
