package shell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Forwarding is switched on per device, never for the whole host. What was changed on a device that is not ours is
// written on the device itself: in its devconf "tag", a number that the kernel keeps for whoever wants it
// (Documentation/networking/ip-sysctl.rst) and which goes with the device, the namespace and the machine. So whoever
// comes after a SIGKILL finds it. The containers' own devices are tagged too: as long as one is there, it needs the
// others to forward.
const (
	tagMark = 0x676d00 // "gm"
	tagFour = 1        // IPv4 forwarding was off
	tagSix  = 2        // IPv6 force_forwarding was off
	tagOurs = 4        // the device is a container's own: it forwards as long as it is there
	tagMask = 0xffffff00

	devconfForwarding = 1  // IPV4_DEVCONF_FORWARDING
	devconfTag        = 12 // IPV4_DEVCONF_TAG
	inetConf          = 1  // IFLA_INET_CONF
	filterSkipStats   = 8  // RTEXT_FILTER_SKIP_STATS: where there are hundreds of devices, counters are most of the answer
)

// adopt makes a container's own device forward, and known as such before there is a route to it.
func adopt(index int) error {
	return setDevconf(index, map[int]uint32{devconfForwarding: 1, devconfTag: tagMark | tagOurs})
}

// toGuard lists the devices that forward only because of containers, or soon will: all that replies may arrive on and
// that do not forward of their own accord.
func toGuard() (indexes []int, err error) {
	// In this order: a container's device that has a route by now has had its tag for longer.
	needed, err := routed()
	if err != nil {
		return nil, err
	}
	devices, _, err := devconfs()
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		if needed[d.index] && (d.bits != 0 || d.lacks() != 0) {
			indexes = append(indexes, d.index)
		}
	}
	return indexes, nil
}

// startForwarding makes the guarded devices forward.
func startForwarding(guarded []int) error {
	return settle(func() (on, off []devconf, err error) {
		for _, index := range guarded {
			d, err := devconfOf(index)
			if err != nil {
				return nil, nil, err
			}
			if d.lacks() != 0 {
				on = append(on, d)
			}
		}
		return on, nil, nil
	})
}

// endForwarding puts back what nobody needs any more, also what one left that was killed; the caller's own device is
// gone. Should a container have come meanwhile, that is seen afterwards; its command has not started by then.
func endForwarding(guarded []int) error {
	unsettled := func() (on, off []devconf, err error) {
		devices, containers, err := devconfs()
		for _, d := range devices {
			switch {
			case containers > 0 && slices.Contains(guarded, d.index):
				if d.lacks() != 0 {
					on = append(on, d)
				}
			case d.bits != 0 && containers == 0:
				off = append(off, d)
			}
		}
		return on, off, err
	}
	if err := settle(unsettled); err != nil {
		return err
	}
	return settle(unsettled)
}

// settle makes the devices that are to forward do so, and no longer those that only did because of a container. The lock is
// taken only where something has to change: a hundred may start at once.
func settle(unsettled func() (on, off []devconf, err error)) error {
	on, off, err := unsettled()
	if err != nil || len(on)+len(off) == 0 {
		return err
	}
	unlock, err := lockForwarding()
	if err != nil {
		return err
	}
	defer unlock()
	if on, off, err = unsettled(); err != nil {
		return err
	}
	for _, d := range on {
		err = errors.Join(err, d.enable())
	}
	for _, d := range off {
		err = errors.Join(err, d.restore())
	}
	return err
}

// lockForwarding keeps other gomahi in this namespace from changing forwarding meanwhile.
func lockForwarding() (unlock func(), err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); ; time.Sleep(time.Duration(1+rand.IntN(4)) * time.Millisecond) {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@gomahi/forwarding"})
		if err == nil {
			return func() { unix.Close(fd) }, nil
		}
		if err != unix.EADDRINUSE || time.Since(start) > 30*time.Second {
			unix.Close(fd)
			return nil, fmt.Errorf("locking the forwarding of devices: %w", err)
		}
	}
}

// routed says on which devices packets may come back: all that a route but the local ones leads out of.
func routed() (map[int]bool, error) {
	out := map[int]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := allRoutes(family)
		if err != nil && family == unix.AF_INET {
			return nil, err
		}
		for _, r := range routes {
			if r.Type != unix.RTN_UNICAST {
				continue
			}
			out[r.LinkIndex] = true
			for _, hop := range r.MultiPath {
				out[hop.LinkIndex] = true
			}
		}
	}
	return out, nil
}

// devconf is the state of one device.
type devconf struct {
	index      int
	name       string
	forwarding uint32
	tag        uint32
	bits       uint32 // what a gomahi changed
}

// lacks is what has to be changed for the device to forward.
func (d devconf) lacks() (bits uint32) {
	if d.forwarding == 0 {
		bits |= tagFour
	}
	if !forwards6() && forced6(d.name) == "0" {
		bits |= tagSix
	}
	return bits
}

// devconfs lists the devices of the calling thread's namespace, but loopback and those of containers, and how many the
// latter are.
func devconfs() (devices []devconf, containers int, err error) {
	req := askLinks(0, unix.NLM_F_DUMP)
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	for try := 0; errors.Is(err, nl.ErrDumpInterrupted) && try < 50; try++ { // devices came or went meanwhile
		msgs, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		return nil, 0, fmt.Errorf("listing devices: %w", err)
	}
	for _, m := range msgs {
		d, ok := parseDevconf(m)
		switch {
		case ok && d.bits&tagOurs != 0:
			containers++
		case ok:
			devices = append(devices, d)
		}
	}
	return devices, containers, nil
}

// devconfOf asks for one device alone, which takes no longer where there are hundreds. One that is gone lacks nothing.
func devconfOf(index int) (devconf, error) {
	gone := devconf{index: index, forwarding: 1}
	msgs, err := askLinks(index, 0).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if errors.Is(err, unix.ENODEV) {
		return gone, nil
	}
	if err != nil {
		return gone, fmt.Errorf("looking at device %d: %w", index, err)
	}
	for _, m := range msgs {
		if d, ok := parseDevconf(m); ok {
			return d, nil
		}
	}
	return gone, nil
}

// askLinks asks for a device, or for all.
func askLinks(index, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, flags)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	req.AddData(m)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(filterSkipStats)))
	return req
}

func parseDevconf(m []byte) (d devconf, ok bool) {
	info := nl.DeserializeIfInfomsg(m)
	attrs, err := nl.ParseRouteAttr(m[info.Len():])
	if err != nil || info.Flags&unix.IFF_LOOPBACK != 0 {
		return d, false
	}
	d.index = int(info.Index)
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			d.name = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_AF_SPEC:
			families, _ := nl.ParseRouteAttr(a.Value)
			for _, family := range families {
				if family.Attr.Type&^unix.NLA_F_NESTED != unix.AF_INET {
					continue
				}
				confs, _ := nl.ParseRouteAttr(family.Value)
				for _, c := range confs {
					if c.Attr.Type == inetConf && len(c.Value) >= 4*devconfTag {
						d.forwarding = binary.NativeEndian.Uint32(c.Value[4*(devconfForwarding-1):])
						d.tag = binary.NativeEndian.Uint32(c.Value[4*(devconfTag-1):])
						ok = true
					}
				}
			}
		}
	}
	if d.tag&tagMask == tagMark {
		d.bits = d.tag &^ tagMask
	}
	return d, ok
}

// enable switches on what is lacking, and writes that down.
func (d devconf) enable() error {
	values := map[int]uint32{}
	lacks := d.lacks()
	if d.tag == 0 || d.tag&tagMask == tagMark { // else somebody else's number: it stays, and so does forwarding
		values[devconfTag] = tagMark | d.bits | lacks
	}
	if lacks&tagFour != 0 {
		// A device with large receive offload cannot forward. Writing the sysctl switches that off, rtnetlink does not
		// (net/ipv4/devinet.c, devinet_sysctl_forward); but only rtnetlink works where /proc/sys is read-only.
		os.WriteFile("/proc/sys/net/ipv4/conf/"+d.name+"/forwarding", []byte("1"), 0)
		values[devconfForwarding] = 1
	}
	if _, ours := values[devconfTag]; lacks&tagSix != 0 && !force6(d.name, "1") && ours {
		values[devconfTag] &^= tagSix
	}
	return setDevconf(d.index, values)
}

// restore switches off what d.bits says.
func (d devconf) restore() error {
	values := map[int]uint32{devconfTag: 0}
	// If the host has become a router meanwhile, its devices are to stay what that made them.
	if routes, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); d.bits&tagFour != 0 && !strings.HasPrefix(string(routes), "1") {
		values[devconfForwarding] = 0
	}
	if d.bits&tagSix != 0 {
		force6(d.name, "0")
	}
	return setDevconf(d.index, values)
}

// setDevconf sets IPv4 configuration of a device, which needs CAP_NET_ADMIN alone.
func setDevconf(index int, values map[int]uint32) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	req.AddData(m)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	conf := spec.AddRtAttr(unix.AF_INET|unix.NLA_F_NESTED, nil).AddRtAttr(inetConf|unix.NLA_F_NESTED, nil)
	for k, v := range values {
		conf.AddRtAttr(k, nl.Uint32Attr(v))
	}
	req.AddData(spec)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("changing the forwarding of device %d: %w", index, err)
	}
	return nil
}

// forwards6 says whether the namespace forwards IPv6 as a whole, so that the devices need nothing of their own.
func forwards6() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// force6 sets a device's IPv6 force_forwarding (Linux 6.17): a packet is forwarded where both its devices have it, and
// router advertisements go on being heard. It says whether it could be set.
func force6(name, value string) bool {
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/force_forwarding", []byte(value), 0) == nil
}

// forced6 returns a device's IPv6 force_forwarding, "" where the kernel lacks it.
func forced6(name string) string {
	b, _ := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/force_forwarding")
	return strings.TrimSpace(string(b))
}
