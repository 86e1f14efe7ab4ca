package shell

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// conf is what forward changes of a device.
type conf struct {
	Forwarding, Tag uint32
	Six             string // force_forwarding, "" before Linux 6.17
}

func confOf(name string) (conf, error) {
	all, err := devconfs()
	for _, d := range all {
		if d.name == name {
			return conf{d.forwarding, d.tag, forced6(name)}, nil
		}
	}
	return conf{}, errors.Join(err, errors.New("no device "+name))
}

// site is a namespace with a container's device "own", a host's "eth" that its default route leads out of, and "spare",
// which no route uses. Nothing forwards.
type site struct {
	own, eth, spare int
	on, off         conf // of eth, with gomahi and without
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
	for _, d := range []struct {
		name string
		addr []*netlink.Addr
		at   *int
	}{{"own", []*netlink.Addr{peers("100.64.0.1/32", "100.64.0.2/32")}, &s.own},
		{"eth", []*netlink.Addr{addr("192.0.2.2/24")}, &s.eth}, {"spare", nil, &s.spare}} {
		l, err := cable(d.name, d.addr...)
		if err != nil {
			return nil, err
		}
		*d.at = l.Attrs().Index
	}
	eth, _ := netlink.LinkByIndex(s.eth)
	return s, route(eth, "0.0.0.0/0", 0)
}

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

// guarded is forward with a guard that checks that it was called once, with these devices, and before they forward.
func (s *site) guarded(want []int, at conf) (*forwarding, error) {
	called := 0
	f, err := forward(s.own, func(changed []int) error {
		called++
		if d := cmp.Diff(want, changed); d != "" {
			return fmt.Errorf("devices to guard (-want +got):\n%s", d)
		}
		return expect("when the guard is called", map[string]conf{"eth": at})
	})
	if err == nil && called != 1 {
		err = fmt.Errorf("the guard was called %d times", called)
	}
	return f, err
}

func TestForward(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(s *site) error
	}{
		{"on while it is held", func(s *site) error {
			f, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			if f.six != (s.on.Six == "1") {
				return fmt.Errorf("IPv6 is forwarded: %v", f.six)
			}
			own := conf{1, 0, s.on.Six}
			err = expect("held", map[string]conf{"own": own, "eth": s.on, "spare": s.off, "far-eth": s.off})
			f.end()
			return errors.Join(err, expect("ended", map[string]conf{"eth": s.off, "spare": s.off}))
		}},
		{"two hold it", func(s *site) error {
			first, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			second, err := s.guarded([]int{s.eth}, s.on)
			if err != nil {
				return err
			}
			first.end()
			err = expect("the first has ended", map[string]conf{"eth": s.on})
			second.end()
			return errors.Join(err, expect("both have ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, another is still there", func(s *site) error {
			first, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			second, err := s.guarded([]int{s.eth}, s.on)
			if err != nil {
				return err
			}
			first.kill()
			err = expect("the first was killed", map[string]conf{"eth": s.on})
			second.end()
			return errors.Join(err, expect("the second has ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, the next needs it", func(s *site) error {
			f, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			f.kill()
			if err := expect("killed", map[string]conf{"eth": s.on}); err != nil {
				return err
			}
			if f, err = s.guarded([]int{s.eth}, s.on); err != nil {
				return err
			}
			err = expect("held again", map[string]conf{"eth": s.on})
			f.end()
			return errors.Join(err, expect("ended", map[string]conf{"eth": s.off}))
		}},
		{"one was killed, the next does not need it", func(s *site) error {
			values := map[int]uint32{devconfTag: tagMark | tagFour, devconfForwarding: 1}
			if err := setDevconf(s.spare, values); err != nil {
				return err
			}
			f, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			defer f.end()
			return expect("held", map[string]conf{"spare": s.off, "eth": s.on})
		}},
		{"another needs what the next does not", func(s *site) error {
			f, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			eth, err := netlink.LinkByIndex(s.eth)
			if err == nil {
				err = netlink.AddrDel(eth, addr("192.0.2.2/24")) // and its routes with it
			}
			if err == nil {
				err = netlink.RouteDel(&netlink.Route{LinkIndex: s.eth, Dst: cidr("0.0.0.0/0")})
				if errors.Is(err, unix.ESRCH) {
					err = nil
				}
			}
			if err != nil {
				return err
			}
			second, err := s.guarded(nil, s.on)
			if err != nil {
				return err
			}
			err = expect("both are there", map[string]conf{"eth": s.on})
			second.end()
			err = errors.Join(err, expect("the second has ended", map[string]conf{"eth": s.on}))
			f.end()
			return errors.Join(err, expect("both have ended", map[string]conf{"eth": s.off}))
		}},
		{"the host forwards already", func(s *site) error {
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
				return err
			}
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
				return err
			}
			was := map[string]conf{"eth": {1, 0, s.off.Six}, "spare": {1, 0, s.off.Six}, "own": {1, 0, s.off.Six}}
			f, err := s.guarded(nil, was["eth"])
			if err != nil {
				return err
			}
			if len(f.claims) != 0 || !f.six {
				err = fmt.Errorf("%d devices are claimed; IPv6 is forwarded: %v", len(f.claims), f.six)
			}
			err = errors.Join(err, expect("held", was))
			f.end()
			return errors.Join(err, expect("ended", was))
		}},
		{"the device forwards IPv4 already", func(s *site) error {
			if s.on.Six == "" {
				return nil // then there is nothing to change
			}
			if err := setDevconf(s.eth, map[int]uint32{devconfForwarding: 1}); err != nil {
				return err
			}
			was := conf{1, 0, "0"}
			f, err := s.guarded([]int{s.eth}, was)
			if err != nil {
				return err
			}
			err = expect("held", map[string]conf{"eth": {1, tagMark | tagSix, "1"}})
			f.end()
			return errors.Join(err, expect("ended", map[string]conf{"eth": was}))
		}},
		{"somebody uses the tag", func(s *site) error {
			if err := setDevconf(s.eth, map[int]uint32{devconfTag: 7}); err != nil {
				return err
			}
			f, err := s.guarded([]int{s.eth}, conf{0, 7, s.off.Six})
			if err != nil {
				return err
			}
			on := map[string]conf{"eth": {1, 7, s.on.Six}}
			err = expect("held", on)
			f.end()
			return errors.Join(err, expect("ended", on)) // nothing says that it was off
		}},
		{"the guard fails", func(s *site) error {
			no := errors.New("no")
			if _, err := forward(s.own, func([]int) error { return no }); !errors.Is(err, no) {
				return fmt.Errorf("the error is %v", err)
			}
			unlock, err := lockForwarding()
			if err != nil {
				return err
			}
			unlock()
			return expect("refused", map[string]conf{"eth": s.off, "own": s.off})
		}},
		{"the device is gone at the end", func(s *site) error {
			f, err := s.guarded([]int{s.eth}, s.off)
			if err != nil {
				return err
			}
			eth, err := netlink.LinkByIndex(s.eth)
			if err == nil {
				err = netlink.LinkDel(eth)
			}
			f.end()
			return errors.Join(err, expect("ended", map[string]conf{"spare": s.off}))
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

// kill leaves what SIGKILL does: everything as it is, but for the sockets.
func (f *forwarding) kill() {
	for _, fd := range f.claims {
		unix.Close(fd)
	}
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
