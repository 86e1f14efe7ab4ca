package shell

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Forwarding is switched on per device, never for the whole host. What was changed on a device that is not ours is
// written on the device itself: in its devconf "tag", a number that the kernel keeps for whoever wants it
// (Documentation/networking/ip-sysctl.rst) and which goes with the device, the namespace and the machine. So whoever
// comes after a SIGKILL finds it. Every program that needs a device forwarding holds a claim on it, an abstract socket.
const (
	tagMark  = 0x676d00 // "gm"
	tagFour  = 1        // IPv4 forwarding was off
	tagSix   = 2        // IPv6 force_forwarding was off
	tagMask  = 0xffffff00
	claimFmt = "@gomahi/forwarding/%d/"

	devconfForwarding = 1  // IPV4_DEVCONF_FORWARDING
	devconfTag        = 12 // IPV4_DEVCONF_TAG
	inetConf          = 1  // IFLA_INET_CONF
)

// forwarding is what one program needs of the devices that its traffic comes back on.
type forwarding struct {
	claims  map[int]int // device index to socket
	changed []int       // the devices that forward only because of a gomahi
	six     bool        // IPv6 is forwarded
}

// forward makes the devices forward: ours, and those that replies arrive on. guard is called before anything is switched
// on, with those that did not forward of their own accord.
func forward(own int, guard func(changed []int) error) (*forwarding, error) {
	unlock, err := lockForwarding()
	if err != nil {
		return nil, err
	}
	defer unlock()
	devices, err := devconfs()
	if err != nil {
		return nil, err
	}
	needed, err := routed()
	if err != nil {
		return nil, err
	}
	f := &forwarding{claims: map[int]int{}}
	all6, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	routes6 := err == nil && strings.TrimSpace(string(all6)) != "0"
	for i := range devices {
		d := &devices[i]
		if d.index == own || !needed[d.index] {
			continue
		}
		if d.forwarding == 0 {
			d.bits |= tagFour
		}
		if !routes6 && forced6(d.name) == "0" {
			d.bits |= tagSix
		}
		if d.bits == 0 {
			continue
		}
		if err := f.claim(d.index); err != nil {
			return nil, err
		}
		f.changed = append(f.changed, d.index)
	}
	if err := guard(f.changed); err != nil {
		return nil, err
	}
	f.six = true
	for _, d := range devices {
		switch {
		case d.index == own:
			err = setDevconf(own, map[int]uint32{devconfForwarding: 1})
			f.six = routes6 || force6(d.name, "1")
		case f.claims[d.index] != 0:
			err = d.enable(routes6)
		case d.bits != 0 && !claimed(d.index):
			err = d.restore() // left by one that was killed
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// end withdraws the claims, and puts back what nobody needs any more.
func (f *forwarding) end() {
	unlock, err := lockForwarding()
	if err != nil {
		return
	}
	defer unlock()
	for _, fd := range f.claims {
		unix.Close(fd)
	}
	if len(f.claims) == 0 {
		return
	}
	devices, err := devconfs()
	if err != nil {
		return
	}
	for _, d := range devices {
		if f.claims[d.index] != 0 && d.bits != 0 && !claimed(d.index) {
			d.restore()
		}
	}
}

func (f *forwarding) claim(index int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		name := fmt.Sprintf(claimFmt+"%d-%d", index, os.Getpid(), time.Now().UnixNano())
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	}
	if err != nil {
		return fmt.Errorf("claiming the forwarding of device %d: %w", index, err)
	}
	f.claims[index] = fd
	return nil
}

// claimed says whether any program still needs the device.
func claimed(index int) bool {
	b, err := os.ReadFile("/proc/thread-self/net/unix")
	return err != nil || strings.Contains(string(b), fmt.Sprintf(claimFmt, index))
}

// lockForwarding keeps other gomahi in this namespace from changing forwarding meanwhile.
func lockForwarding() (unlock func(), err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
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

// devconfs lists the devices of the calling thread's namespace, but loopback.
func devconfs() ([]devconf, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	var out []devconf
	for try := 0; ; try++ {
		msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		if err != nil && try < 20 && strings.Contains(err.Error(), "interrupted") {
			continue // devices came or went meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("listing devices: %w", err)
		}
		for _, m := range msgs {
			if d, ok := parseDevconf(m); ok {
				out = append(out, d)
			}
		}
		return out, nil
	}
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

// enable switches on what d.bits says.
func (d devconf) enable(routes6 bool) error {
	values := map[int]uint32{}
	if d.tag == 0 || d.tag&tagMask == tagMark { // else somebody else's number: it stays, and so does forwarding
		values[devconfTag] = tagMark | d.bits
	}
	if d.bits&tagFour != 0 {
		// A device with large receive offload cannot forward. Writing the sysctl switches that off, rtnetlink does not
		// (net/ipv4/devinet.c, devinet_sysctl_forward); but only rtnetlink works where /proc/sys is read-only.
		os.WriteFile("/proc/sys/net/ipv4/conf/"+d.name+"/forwarding", []byte("1"), 0)
		values[devconfForwarding] = 1
	}
	if d.bits&tagSix != 0 && !routes6 {
		force6(d.name, "1")
	}
	return setDevconf(d.index, values)
}

// restore switches off what d.bits says.
func (d devconf) restore() error {
	values := map[int]uint32{devconfTag: 0}
	if d.bits&tagFour != 0 {
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
