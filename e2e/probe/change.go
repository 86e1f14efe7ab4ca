package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device changes a device for a while, and makes it again what it was: its MTU, or whether it is up. With that the kernel
// takes away what an administrator gives back: routes, and IPv6 addresses.
func device(args []string) error {
	link, err := netlink.LinkByName(args[0])
	if err != nil {
		return err
	}
	lasts, err := time.ParseDuration(args[len(args)-1])
	if err != nil {
		return err
	}
	if args[1] == "mtu" {
		mtu, err := strconv.Atoi(args[2])
		if err == nil {
			err = netlink.LinkSetMTU(link, mtu)
		}
		if err != nil {
			return err
		}
		time.Sleep(lasts)
		return netlink.LinkSetMTU(link, link.Attrs().MTU)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return err
	}
	time.Sleep(lasts)
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() {
			continue // the kernel makes it
		}
		a.Flags |= unix.IFA_F_NODAD
		err = errors.Join(err, netlink.AddrReplace(link, &a))
	}
	for _, global := range []bool{false, true} { // those through a gateway need the others
		for _, r := range routes {
			if (r.Gw != nil) == global && (r.Dst == nil || !r.Dst.IP.IsLinkLocalUnicast()) {
				err = errors.Join(err, netlink.RouteReplace(&r))
			}
		}
	}
	return err
}

// sysctl gives a setting of this namespace another value for a while. Where there is none, it does nothing.
func sysctl(args []string) error {
	lasts, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	const root = "/proc/sys/net/"
	before := map[string][]byte{}
	save := func(path string) {
		if b, err := os.ReadFile(path); err == nil {
			before[path] = b
		}
	}
	save(root + args[0])
	if len(before) == 0 {
		return nil
	}
	// This one sets that of every device, also when it is put back (inet_forward_change in net/ipv4/devinet.c).
	const all = "ipv4/ip_forward"
	if args[0] == all {
		devices, _ := filepath.Glob(root + "ipv4/conf/*/forwarding")
		for _, path := range devices {
			save(path)
		}
	}
	if err := os.WriteFile(root+args[0], []byte(args[1]), 0); err != nil {
		return err
	}
	time.Sleep(lasts)
	err = os.WriteFile(root+args[0], before[root+args[0]], 0)
	for path, v := range before {
		err = errors.Join(err, os.WriteFile(path, v, 0))
	}
	return err
}
