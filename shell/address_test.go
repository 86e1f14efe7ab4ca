package shell

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestPair(t *testing.T) {
	for _, row := range []struct {
		k                                    int
		outside4, inside4, outside6, inside6 string
	}{
		{0, "100.64.0.1", "100.64.0.2", "fd67:6d61:6869::6440:1", "fd67:6d61:6869::6440:2"},
		{1, "100.64.0.5", "100.64.0.6", "fd67:6d61:6869::6440:5", "fd67:6d61:6869::6440:6"},
		{63, "100.64.0.253", "100.64.0.254", "fd67:6d61:6869::6440:fd", "fd67:6d61:6869::6440:fe"},
		{64, "100.64.1.1", "100.64.1.2", "fd67:6d61:6869::6440:101", "fd67:6d61:6869::6440:102"},
		{1<<14 - 1, "100.64.255.253", "100.64.255.254", "fd67:6d61:6869::6440:fffd", "fd67:6d61:6869::6440:fffe"},
		{1 << 14, "100.65.0.1", "100.65.0.2", "fd67:6d61:6869::6441:1", "fd67:6d61:6869::6441:2"},
		{pairs / 2, "100.96.0.1", "100.96.0.2", "fd67:6d61:6869::6460:1", "fd67:6d61:6869::6460:2"},
		{pairs - 1, "100.127.255.253", "100.127.255.254", "fd67:6d61:6869::647f:fffd", "fd67:6d61:6869::647f:fffe"},
	} {
		t.Run(fmt.Sprint(row.k), func(t *testing.T) {
			a := pair(row.k)
			got := []string{a.outside4.String(), a.inside4.String(), a.outside6.String(), a.inside6.String()}
			if d := cmp.Diff([]string{row.outside4, row.inside4, row.outside6, row.inside6}, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Every pair has its own addresses, all within the blocks, and its number can be told from either.
func TestPairOf(t *testing.T) {
	for k := 0; k < pairs; k += 5 { // which comes by every last byte
		a := pair(k)
		for _, v4 := range []netip.Addr{a.outside4, a.inside4} {
			last := v4.As4()[3]
			if pairOf(v4) != k || !block4.Contains(v4) || last == 0 || last == 255 {
				t.Fatalf("pair %d has %v, of pair %d", k, v4, pairOf(v4))
			}
		}
		if !block6.Contains(a.outside6) || !block6.Contains(a.inside6) || a.outside6 == a.inside6 {
			t.Fatalf("pair %d has %v and %v", k, a.outside6, a.inside6)
		}
	}
}

// cidr is a prefix as the netlink library has them, of an address that may have host bits.
func cidr(s string) *net.IPNet {
	ip, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	n.IP = ip
	return n
}

// cable makes a pair of devices that are up in the calling thread's namespace, and returns the one of that name. They
// send nothing of their own accord.
func cable(name string, addresses ...*netlink.Addr) (netlink.Link, error) {
	far := "far-" + name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: far}); err != nil {
		return nil, fmt.Errorf("adding %s: %w", name, err)
	}
	if _, err := setUp(far); err != nil {
		return nil, err
	}
	return setUp(name, addresses...)
}

func setUp(name string, addresses ...*netlink.Addr) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	netlink.LinkSetIP6AddrGenMode(l, 1) // none; there may be no IPv6
	if err := netlink.LinkSetUp(l); err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if err := netlink.AddrAdd(l, a); err != nil {
			return nil, fmt.Errorf("addressing %s: %w", name, err)
		}
	}
	return l, nil
}

func addr(s string) *netlink.Addr { return &netlink.Addr{IPNet: cidr(s)} }

func peers(local, peer string) *netlink.Addr {
	return &netlink.Addr{IPNet: cidr(local), Peer: cidr(peer)}
}

func route(l netlink.Link, to string, table int) error {
	return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: cidr(to), Table: table})
}

func TestReserve(t *testing.T) {
	for _, row := range []struct {
		name string
		make func() error // what is in the namespace
		want []string     // outside addresses of the containers there, in turn
	}{
		{"nothing there", func() error { return nil }, []string{"100.64.0.1", "100.64.0.5", "100.64.0.9"}},
		{"in a container", func() error {
			_, err := cable("ingress", peers("100.64.0.2/32", "100.64.0.1/32"))
			return err
		}, []string{"100.64.0.5", "100.64.0.9"}},
		{"in a far container", func() error {
			_, err := cable("ingress", peers("100.64.1.6/32", "100.64.1.5/32"))
			return err
		}, []string{"100.64.1.9"}},
		{"in a container that has another device", func() error {
			if _, err := cable("ingress", peers("100.64.0.6/32", "100.64.0.5/32")); err != nil {
				return err
			}
			_, err := cable("other", addr("100.64.0.9/32"))
			return err
		}, []string{"100.64.0.13"}},
		{"in somebody else's ingress", func() error {
			_, err := cable("ingress", addr("10.0.0.1/24"))
			return err
		}, []string{"100.64.0.1"}},
		{"an address of ours is somebody's", func() error {
			_, err := cable("other", addr("100.64.0.2/32"))
			return err
		}, []string{"100.64.0.5"}},
		{"an address of ours is somebody's peer", func() error {
			_, err := cable("other", peers("10.0.0.1/32", "100.64.0.1/32"))
			return err
		}, []string{"100.64.0.5"}},
		{"a network in the block", func() error {
			_, err := cable("other", addr("100.64.0.200/24"))
			return err
		}, []string{"100.64.1.1", "100.64.1.5"}},
		{"a network further on", func() error {
			_, err := cable("other", addr("100.64.0.9/30"))
			return err
		}, []string{"100.64.0.1", "100.64.0.5", "100.64.0.13"}},
		{"a network as wide as the block is no hindrance", func() error {
			_, err := cable("other", addr("100.100.0.1/10"))
			return err
		}, []string{"100.64.0.1"}},
		{"a route in the block", func() error {
			l, err := cable("other", addr("10.0.0.1/24"))
			if err != nil {
				return err
			}
			return route(l, "100.64.0.0/29", 0)
		}, []string{"100.64.0.9"}},
		{"a route in another table", func() error {
			l, err := cable("other", addr("10.0.0.1/24"))
			if err != nil {
				return err
			}
			return route(l, "100.64.0.0/16", 52)
		}, []string{"100.65.0.1"}},
		{"a route that leads nowhere", func() error {
			return netlink.RouteAdd(&netlink.Route{Dst: cidr("100.64.0.0/30"), Type: unix.RTN_UNREACHABLE})
		}, []string{"100.64.0.5"}},
		{"default and wider routes are no hindrance", func() error {
			l, err := cable("other", addr("10.0.0.1/24"))
			if err != nil {
				return err
			}
			return errors.Join(route(l, "0.0.0.0/0", 0), route(l, "100.64.0.0/10", 0), route(l, "100.0.0.0/8", 0))
		}, []string{"100.64.0.1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				if err := row.make(); err != nil {
					return err
				}
				var got []string
				for range row.want {
					a, err := reserve()
					if err != nil {
						return err
					}
					defer unix.Close(a.reservation)
					got = append(got, a.outside4.String())
				}
				if d := cmp.Diff(row.want, got); d != "" {
					return fmt.Errorf("(-want +got):\n%s", d)
				}
				return nil
			})
		})
	}
}

// Whoever dies lets go.
func TestReservationEnds(t *testing.T) {
	testutil.InNamespace(t, func() error {
		first, err := reserve()
		if err != nil {
			return err
		}
		second, err := reserve()
		if err != nil {
			return err
		}
		defer unix.Close(second.reservation)
		unix.Close(first.reservation)
		third, err := reserve()
		if err != nil {
			return err
		}
		defer unix.Close(third.reservation)
		if first.outside4 != third.outside4 || third.outside4 == second.outside4 {
			return fmt.Errorf("after %v and %v, and the end of the first, comes %v", first.outside4, second.outside4,
				third.outside4)
		}
		return nil
	})
}

func TestReserveAtOnce(t *testing.T) {
	testutil.InNamespace(t, func() error {
		here, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(here)
		const n = 100
		type result struct {
			a   addresses
			err error
		}
		results := make(chan result)
		for range n {
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
				var r result
				if r.err = unix.Setns(here, unix.CLONE_NEWNET); r.err == nil {
					r.a, r.err = reserve()
				}
				results <- r
			}()
		}
		seen := map[int]bool{}
		for range n {
			r := <-results
			if err = errors.Join(err, r.err); r.err == nil {
				defer unix.Close(r.a.reservation)
				seen[pairOf(r.a.outside4)] = true
			}
		}
		for k := range n {
			if err == nil && !seen[k] {
				err = fmt.Errorf("%d containers have %d pairs, and not pair %d", n, len(seen), k)
			}
		}
		return err
	})
}
