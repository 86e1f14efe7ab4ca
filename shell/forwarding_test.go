package shell

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// conf is what forward changes of a device.
type conf struct {
	Forwarding, Tag uint32
	Six             string // force_forwarding, "" before Linux 6.17
}

func confOf(name string) (conf, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	all, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	for _, m := range all {
		if d, _ := parseDevconf(m); d.name == name { // containers' own devices too
			return conf{d.forwarding, d.tag, forced6(name)}, nil
		}
	}
	return conf{}, errors.Join(err, errors.New("no device "+name))
}

// site is a namespace with a host's "eth", which its default route leads out of, and "spare", which no route uses.
// Nothing forwards.
type site struct {
	eth, spare int
	on, off    conf // of eth, with containers and without
}

func newSite() (*site, error) {
	for _, f := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+f, []byte("0"), 0); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	s := &site{on: conf{1, tagMark | tagFour, ""}}
	if forced6("default") != "" {
		s.on, s.off = conf{1, tagMark | tagFour | tagSix, "1"}, conf{0, 0, "0"}
	}
	eth, err := cable("eth", addr("192.0.2.2/24"))
	if err != nil {
		return nil, err
	}
	spare, err := cable("spare")
	if err != nil {
		return nil, err
	}
	s.eth, s.spare = eth.Attrs().Index, spare.Attrs().Index
	return s, route(eth, "0.0.0.0/0", 0)
}

// tenant is a container, as far as forwarding is concerned.
type tenant struct {
	device  netlink.Link
	guarded []int
}

// start does what a container does. The devices that it makes forward are known before they do, so that a guard can
// stand by then.
func (s *site) start(name string, guarded []int, was conf) (*tenant, error) {
	device, err := cable(name, peers("100.64.0.1/32", "100.64.0.2/32"))
	if err != nil {
		return nil, err
	}
	if err := adopt(device.Attrs().Index); err != nil {
		return nil, err
	}
	got, err := toGuard()
	if err != nil {
		return nil, err
	}
	if d := cmp.Diff(guarded, got); d != "" {
		return nil, fmt.Errorf("%s: devices to guard (-want +got):\n%s", name, d)
	}
	if err := expect(name+" is about to start", map[string]conf{"eth": was}); err != nil {
		return nil, err
	}
	return &tenant{device, got}, startForwarding(got)
}

func (c *tenant) end() error { return errors.Join(c.kill(), endForwarding(c.guarded)) }

// kill leaves what SIGKILL does: everything as it is, but for the device.
func (c *tenant) kill() error { return netlink.LinkDel(c.device) }

// expect compares the devices with what they should be.
func expect(when string, want map[string]conf) error {
	got := map[string]conf{}
	for name := range want {
		var err error
		if got[name], err = confOf(name); err != nil {
			return err
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("%s (-want +got):\n%s", when, d)
	}
	return nil
}

func TestForwarding(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(s *site) error
	}{
		{"on while it is needed", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			err = expect("started", map[string]conf{"a": {1, tagMark | tagOurs, s.off.Six}, "eth": s.on, "spare": s.off,
				"far-eth": s.off})
			return errors.Join(err, a.end(), expect("ended", map[string]conf{"eth": s.off, "spare": s.off}))
		}},
		{"two need it", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			b, err := s.start("b", []int{s.eth}, s.on)
			if err != nil {
				return err
			}
			err = errors.Join(a.end(), expect("the first has ended", map[string]conf{"eth": s.on}))
			return errors.Join(err, b.end(), expect("both have ended", map[string]conf{"eth": s.off}))
		}},
		{"one ends while another starts", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			device, err := cable("b")
			if err == nil {
				err = adopt(device.Attrs().Index)
			}
			if err != nil {
				return err
			}
			b := &tenant{device, []int{s.eth}}
			err = errors.Join(a.end(), startForwarding(b.guarded), expect("the second has started", map[string]conf{"eth": s.on}))
			return errors.Join(err, b.end(), expect("both have ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, another is still there", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			b, err := s.start("b", []int{s.eth}, s.on)
			if err != nil {
				return err
			}
			err = errors.Join(a.kill(), expect("the first was killed", map[string]conf{"eth": s.on}))
			return errors.Join(err, b.end(), expect("the second has ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, the next needs it", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err == nil {
				err = errors.Join(a.kill(), expect("killed", map[string]conf{"eth": s.on}))
			}
			if err != nil {
				return err
			}
			b, err := s.start("b", []int{s.eth}, s.on)
			if err != nil {
				return err
			}
			err = expect("the next has started", map[string]conf{"eth": s.on})
			return errors.Join(err, b.end(), expect("it has ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, the next does not need it", func(s *site) error {
			values := map[int]uint32{devconfTag: tagMark | tagFour, devconfForwarding: 1}
			if err := setDevconf(s.spare, values); err != nil {
				return err
			}
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			return errors.Join(a.end(), expect("it has ended", map[string]conf{"spare": s.off, "eth": s.off}))
		}},
		{"one was killed, and the next needs nothing", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err == nil {
				err = errors.Join(a.kill(), s.unroute())
			}
			if err != nil {
				return err
			}
			b, err := s.start("b", nil, s.on)
			if err != nil {
				return err
			}
			return errors.Join(b.end(), expect("the next has ended", map[string]conf{"eth": s.off}))
		}},
		{"the last to end needs nothing", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err == nil {
				err = s.unroute()
			}
			if err != nil {
				return err
			}
			b, err := s.start("b", nil, s.on)
			if err != nil {
				return err
			}
			return errors.Join(a.end(), b.end(), expect("both have ended", map[string]conf{"eth": s.off}))
		}},
		{"the route is gone at the end", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			return errors.Join(s.unroute(), a.end(), expect("ended", map[string]conf{"eth": s.off}))
		}},
		{"the host forwards already", func(s *site) error {
			if err := router(); err != nil {
				return err
			}
			was := map[string]conf{"eth": {1, 0, s.off.Six}, "spare": {1, 0, s.off.Six}}
			a, err := s.start("a", nil, was["eth"])
			if err != nil {
				return err
			}
			return errors.Join(expect("started", was), a.end(), expect("ended", was))
		}},
		{"the host begins to forward meanwhile", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			return errors.Join(router(), a.end(), expect("ended", map[string]conf{"eth": {1, 0, s.off.Six}}))
		}},
		{"the device forwards IPv4 already", func(s *site) error {
			if s.on.Six == "" {
				return nil // then there is nothing to change
			}
			if err := setDevconf(s.eth, map[int]uint32{devconfForwarding: 1}); err != nil {
				return err
			}
			was := conf{1, 0, "0"}
			a, err := s.start("a", []int{s.eth}, was)
			if err != nil {
				return err
			}
			err = expect("started", map[string]conf{"eth": {1, tagMark | tagSix, "1"}})
			return errors.Join(err, a.end(), expect("ended", map[string]conf{"eth": was}))
		}},
		{"somebody uses the tag", func(s *site) error {
			if err := setDevconf(s.eth, map[int]uint32{devconfTag: 7}); err != nil {
				return err
			}
			a, err := s.start("a", []int{s.eth}, conf{0, 7, s.off.Six})
			if err != nil {
				return err
			}
			on := map[string]conf{"eth": {1, 7, s.on.Six}}
			return errors.Join(expect("started", on), a.end(), expect("ended", on)) // nothing says that it was off
		}},
		{"the device is gone at the end", func(s *site) error {
			a, err := s.start("a", []int{s.eth}, s.off)
			if err != nil {
				return err
			}
			eth, err := netlink.LinkByIndex(s.eth)
			if err == nil {
				err = netlink.LinkDel(eth)
			}
			return errors.Join(err, a.end(), expect("ended", map[string]conf{"spare": s.off}))
		}},
		{"two devices", func(s *site) error {
			spare, err := netlink.LinkByIndex(s.spare)
			if err == nil {
				err = route(spare, "10.0.0.0/8", 52)
			}
			if err != nil {
				return err
			}
			a, err := s.start("a", []int{s.eth, s.spare}, s.off)
			if err != nil {
				return err
			}
			err = expect("started", map[string]conf{"eth": s.on, "spare": s.on})
			return errors.Join(err, a.end(), expect("ended", map[string]conf{"eth": s.off, "spare": s.off}))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				s, err := newSite()
				if err != nil {
					return err
				}
				return row.test(s)
			})
		})
	}
}

// router makes the calling thread's namespace forward as a whole.
func router() error {
	return errors.Join(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
		os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
}

// unroute takes away eth's address, and its routes with it.
func (s *site) unroute() error {
	eth, err := netlink.LinkByIndex(s.eth)
	if err == nil {
		err = netlink.AddrDel(eth, addr("192.0.2.2/24"))
	}
	if err == nil {
		err = netlink.RouteDel(&netlink.Route{LinkIndex: s.eth, Dst: cidr("0.0.0.0/0")})
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func TestRouted(t *testing.T) {
	hop := func(index int) *netlink.NexthopInfo { return &netlink.NexthopInfo{LinkIndex: index} }
	for _, row := range []struct {
		name   string
		routes func(a, b int) []netlink.Route
		a, b   bool
	}{
		{"none", func(a, b int) []netlink.Route { return nil }, false, false},
		{"IPv4", func(a, b int) []netlink.Route {
			return []netlink.Route{{LinkIndex: a, Dst: cidr("0.0.0.0/0")}}
		}, true, false},
		{"IPv6", func(a, b int) []netlink.Route {
			return []netlink.Route{{LinkIndex: b, Dst: cidr("2001:db8::/32")}}
		}, false, true},
		{"another table", func(a, b int) []netlink.Route {
			return []netlink.Route{{LinkIndex: b, Dst: cidr("10.0.0.0/8"), Table: 52}}
		}, false, true},
		{"several ways", func(a, b int) []netlink.Route {
			return []netlink.Route{{Dst: cidr("10.0.0.0/8"), MultiPath: []*netlink.NexthopInfo{hop(a), hop(b)}}}
		}, true, true},
		{"no way", func(a, b int) []netlink.Route {
			return []netlink.Route{{Dst: cidr("10.0.0.0/8"), Type: unix.RTN_BLACKHOLE}}
		}, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				a, err := cable("a")
				if err != nil {
					return err
				}
				b, err := cable("b")
				if err != nil {
					return err
				}
				for _, r := range row.routes(a.Attrs().Index, b.Attrs().Index) {
					if err := netlink.RouteAdd(&r); err != nil {
						return err
					}
				}
				got, err := routed()
				if err != nil {
					return err
				}
				if got[a.Attrs().Index] != row.a || got[b.Attrs().Index] != row.b {
					return fmt.Errorf("a %v, b %v; want %v, %v", got[a.Attrs().Index], got[b.Attrs().Index], row.a, row.b)
				}
				return nil
			})
		})
	}
}

// The lock is one per namespace, and ends with its holder.
func TestLockForwarding(t *testing.T) {
	testutil.InNamespace(t, func() error {
		unlock, err := lockForwarding()
		if err != nil {
			return err
		}
		const held = 30 * ms
		start := time.Now()
		go func() {
			time.Sleep(held)
			unlock()
		}()
		again, err := lockForwarding()
		if err != nil {
			return err
		}
		again()
		if took := time.Since(start); took < held {
			return fmt.Errorf("it was had twice, after %v", took)
		}
		return nil
	})
}
