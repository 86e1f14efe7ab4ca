package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/tun"
)

// A space is a network namespace.
type space struct{ fd int }

// newSpace makes one, with loopback and what more says.
func newSpace(t *testing.T, more func() error) *space {
	t.Helper()
	s := &space{}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		errs <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if s.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				return err
			}
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetUp(lo), more())
		}()
	}()
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs f in the namespace; sockets that are made there stay there.
func (s *space) do(f func() error) error {
	errs := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(s.fd, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		errs <- err
	}()
	return <-errs
}

func (s *space) dial(network, to string) (c net.Conn, err error) {
	err = s.do(func() error {
		c, err = net.DialTimeout(network, to, 10*time.Second)
		return err
	})
	return c, err
}

// address gives a device addresses, some with peers, and routes, and brings it up.
func address(name string, addrs []string, routes ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	errs := []error{netlink.LinkSetUp(link)}
	for _, s := range addrs {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags |= unix.IFA_F_NODAD
		}
		errs = append(errs, netlink.AddrAdd(link, a), awaitLocal(a.IP))
	}
	for _, gw := range routes {
		dst := "0.0.0.0/0"
		if net.ParseIP(gw).To4() == nil {
			dst = "::/0"
		}
		errs = append(errs, route(dst, gw))
	}
	return errors.Join(errs...)
}

// awaitLocal waits until packets to an address are taken in. With IPv6 the route for that comes from a work queue
// (net/ipv6/addrconf.c, addrconf_dad_work).
func awaitLocal(a net.IP) error {
	for range 1000 {
		routes, err := netlink.RouteGet(a)
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("%s does not become local", a)
}

func route(to, gw string) error {
	_, dst, err := net.ParseCIDR(to)
	return errors.Join(err, netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(gw)}))
}

func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
}

// letPing lets everybody send echo requests; in a user namespace of one group, that group.
func letPing() error {
	err := sysctl("ipv4/ping_group_range", "0 2147483647")
	if errors.Is(err, unix.EINVAL) {
		err = sysctl("ipv4/ping_group_range", "0 0")
	}
	return err
}

const (
	nobody = "1 0"
)

// A lab is a gateway between a room and the test's own namespace, the host, behind which lie 192.0.2.2 and 2001:db8::2.
// Whatever these do not have goes to them as well: what is for 198.51.100.0/24 and 2001:db8:1::/48 is lost there, what
// is for 203.0.113.0/24 and 2001:db8:2::/48 is unreachable, and what is for 198.18.0.0/24 and 2001:db8:3::/48 goes round
// in circles.
type lab struct {
	*gateway
	t            *testing.T
	room, beyond *space
	control      *os.File
	tun          tun.Device
	ended        chan error // what run returned
}

const own4, own6 = "100.64.0.1", "fd01::1"

func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	l := &lab{t: t, ended: make(chan error, 1)}
	l.beyond = newSpace(t, func() error { return sysctl("ipv4/ip_forward", "1") })
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out"}, PeerName: "in", PeerNamespace: netlink.NsFd(l.beyond.fd)}
	err := errors.Join(netlink.LinkAdd(veth), l.beyond.do(func() error {
		return errors.Join(sysctl("ipv6/conf/all/forwarding", "1"),
			address("in", []string{"192.0.2.2/24", "2001:db8::2/64"}),
			nowhere(unix.RTN_BLACKHOLE, "198.51.100.0/24", "2001:db8:1::/48"),
			nowhere(unix.RTN_UNREACHABLE, "203.0.113.0/24", "2001:db8:2::/48"),
			route("198.18.0.0/24", "192.0.2.1"), route("2001:db8:3::/48", "2001:db8::1"))
	}), address("out", []string{"192.0.2.1/24", "192.0.2.11/24", "2001:db8::1/64"}, "192.0.2.2", "2001:db8::2"),
		letPing())
	l.room = newSpace(t, func() (err error) {
		if l.tun, err = tun.Open("ingress"); err != nil {
			return err
		}
		link, err := netlink.LinkByName("ingress")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetTxQLen(link, 8192), letPing(),
			address("ingress", []string{"100.64.0.2/24", "fd01::2/64"}, own4, own6))
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.control = os.NewFile(uintptr(pair[0]), "control")
	o := Options{Device: l.tun.FD(), Control: pair[1], Address: netip.MustParseAddr(own4), Address6: netip.MustParseAddr(own6),
		Linger: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	if l.gateway, err = newGateway(o); err != nil {
		t.Fatal(err)
	}
	go func() { l.ended <- l.run() }()
	if _, err := io.ReadFull(l.control, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return l
}

func nowhere(kind int, nets ...string) (err error) {
	for _, n := range nets {
		_, dst, e := net.ParseCIDR(n)
		err = errors.Join(err, e, netlink.RouteAdd(&netlink.Route{Dst: dst, Type: kind}))
	}
	return err
}

// in runs f in a namespace or, where s is nil, on the host.
func (l *lab) in(s *space, f func() error) {
	l.t.Helper()
	do := func(f func() error) error { return f() }
	if s != nil {
		do = s.do
	}
	if err := do(f); err != nil {
		l.t.Fatal(err)
	}
}

// listen makes a TCP server in a space, which handles each connection.
func (l *lab) listen(s *space, where string, handle func(*net.TCPConn)) string {
	l.t.Helper()
	var ln net.Listener
	l.in(s, func() (err error) {
		ln, err = net.Listen("tcp", where)
		return err
	})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	l.t.Cleanup(func() { ln.Close() })
	return port(ln.Addr().String())
}

// listenUDP makes a server that answers each datagram with what reply returns, if anything.
func (l *lab) listenUDP(s *space, where string, reply func([]byte) []byte) string {
	l.t.Helper()
	var u net.PacketConn
	l.in(s, func() (err error) {
		u, err = net.ListenPacket("udp", where)
		return err
	})
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			if r := reply(b[:n]); r != nil {
				u.WriteTo(r, from)
			}
		}
	}()
	l.t.Cleanup(func() { u.Close() })
	return port(u.LocalAddr().String())
}

func port(hostport string) string {
	_, p, _ := net.SplitHostPort(hostport)
	return p
}

func echo(c *net.TCPConn)  { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }
func same(b []byte) []byte { return b }

// errno is the system's error within err, if there is one.
func errno(err error) error {
	var n syscall.Errno
	if errors.As(err, &n) {
		return n
	}
	return err
}

// roundTrip says one thing and wants the same back.
func roundTrip(c net.Conn, what string) error {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	defer c.SetDeadline(time.Time{})
	if _, err := io.WriteString(c, what); err != nil {
		return err
	}
	b := make([]byte, len(what))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != what {
		return fmt.Errorf("%q came back as %q", what, b)
	}
	return nil
}

// end tells the gateway that its tool is gone, and waits for it.
func (l *lab) end() {
	l.t.Helper()
	l.control.Close()
	l.awaitEnd()
}

func (l *lab) awaitEnd() {
	l.t.Helper()
	select {
	case err := <-l.ended:
		if err != nil {
			l.t.Error(err)
		}
	case <-time.After(20 * time.Second):
		l.t.Error("the gateway has not ended")
	}
}
