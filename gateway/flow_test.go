package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestUDP(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	for a, port := range map[string]string{
		own4: l.listenUDP(nil, "127.0.0.1:0", same), own6: l.listenUDP(nil, "[::1]:0", same),
		"192.0.2.2": l.listenUDP(l.beyond, "192.0.2.2:0", same), "2001:db8::2": l.listenUDP(l.beyond, "[2001:db8::2]:0", same),
	} {
		c, err := l.room.dial("udp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 1472, 1473, 9000, 60000, 65507 - 20} {
			if err := roundTripDatagram(c, bytes.Repeat([]byte{byte(size)}, size)); err != nil {
				t.Errorf("%d bytes to %s: %v", size, a, err)
			}
		}
		if err := roundTripDatagram(c, nil); err != nil {
			t.Errorf("an empty one to %s: %v", a, err)
		}
	}
	for to, want := range map[string]error{
		own4 + ":1":         unix.ECONNREFUSED,
		"[" + own6 + "]:1":  unix.ECONNREFUSED,
		"192.0.2.2:1":       unix.ECONNREFUSED,
		"[2001:db8::2]:1":   unix.ECONNREFUSED,
		"203.0.113.5:9":     unix.EHOSTUNREACH,
		"[::127.0.0.1]:9":   unix.EACCES,
		"0.0.0.1:9":         unix.EHOSTUNREACH,
		"192.0.2.255:9":     unix.EHOSTUNREACH, // a broadcast outside
		"[2001:db8:2::5]:9": unix.ENETUNREACH,
	} {
		c, err := l.room.dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		raw, _ := c.(*net.UDPConn).SyscallConn()
		raw.Control(func(fd uintptr) { tellErrors(int(fd), netip.MustParseAddrPort(to).Addr().Is6()) })
		c.Write([]byte("?"))
		if _, err := c.Read(make([]byte, 9)); errno(err) != want {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
		c.Close()
	}
	l.end()
}

func roundTripDatagram(c net.Conn, what []byte) error {
	if _, err := c.Write(what); err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(b)
	if err == nil && !bytes.Equal(b[:n], what) {
		err = errors.New("something else came back")
	}
	return err
}

// A frame that the room's kernel left unsegmented becomes the datagrams that it stands for.
func TestUDPSegments(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	sizes := make(chan int, 64)
	count := func(b []byte) []byte { sizes <- len(b); return nil }
	for a, port := range map[string]string{own4: l.listenUDP(nil, "127.0.0.1:0", count), own6: l.listenUDP(nil, "[::1]:0", count)} {
		c, err := l.room.dial("udp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := c.(*net.UDPConn).SyscallConn()
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) })
		if err != nil {
			t.Fatal(err)
		}
		c.Write(make([]byte, 10500))
		for i := range 11 {
			want := 1000
			if i == 10 {
				want = 500
			}
			select {
			case n := <-sizes:
				if n != want {
					t.Errorf("%s: datagram %d has %d bytes, want %d", a, i, n, want)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: datagram %d did not come", a, i)
			}
		}
	}
	l.end()
}

// The path's MTU comes back into the room.
func TestUDPPathMTU(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	narrow := func(name string) error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, 1400)
	}
	if err := errors.Join(narrow("out"), l.beyond.do(func() error { return narrow("in") })); err != nil {
		t.Fatal(err)
	}
	for a, port := range map[string]string{
		"192.0.2.2": l.listenUDP(l.beyond, "192.0.2.2:0", same), "2001:db8::2": l.listenUDP(l.beyond, "[2001:db8::2]:0", same),
	} {
		c, err := l.room.dial("udp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTripDatagram(c, make([]byte, 1440)); errno(err) != nil && errno(err) != unix.EMSGSIZE {
			t.Errorf("the first that is too large for the path to %s: %v", a, err)
		}
		raw, _ := c.(*net.UDPConn).SyscallConn()
		var mtu int
		raw.Control(func(fd uintptr) {
			if mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU); netip.MustParseAddr(a).Is6() {
				mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU)
			}
		})
		if mtu != 1400 || err != nil {
			t.Errorf("the room takes the MTU to %s for %d, %v", a, mtu, err)
		}
		if err := roundTripDatagram(c, make([]byte, 1440)); err != nil {
			t.Errorf("the second to %s: %v", a, err)
		}
	}
	l.end()
}

// Like a resolver: each query from a port of its own.
func TestUDPQueries(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t, func(o *Options) {
		o.Resolvers = map[netip.Addr]netip.AddrPort{netip.MustParseAddr("100.127.255.53"): netip.MustParseAddrPort("127.0.0.53:53")}
	})
	l.listenUDP(nil, "127.0.0.53:53", same)
	tick := time.NewTicker(5 * time.Millisecond)
	for i := range 400 {
		<-tick.C
		c, err := l.room.dial("udp", "100.127.255.53:53")
		if err == nil {
			err = roundTripDatagram(c, []byte(strconv.Itoa(i)))
			c.Close()
		}
		if err != nil {
			t.Fatalf("query %d: %v", i, err)
		}
	}
	l.flows.swept(time.Now().Add(namesFor))
	if n := l.flows.count(); n > 0 {
		t.Errorf("%d flows are left", n)
	}
	l.end()
}

// A flood of flows neither grows without bound nor ends what else there is.
func TestUDPFlood(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	tcp := l.listen(nil, "127.0.0.1:0", echo)
	c, err := l.room.dial("tcp", own4+":"+tcp)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(l.listenUDP(nil, "127.0.0.1:0", same))
	err = l.room.do(func() error {
		for i := range 10000 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			to := unix.SockaddrInet4{Addr: [4]byte{100, 64, 0, 1}, Port: port}
			if i%2 == 0 {
				to = unix.SockaddrInet4{Addr: [4]byte{198, 51, 100, byte(i >> 9)}, Port: i}
			}
			unix.Sendto(fd, make([]byte, 1000), 0, &to)
			unix.Close(fd)
			if i%500 == 0 {
				if err := roundTrip(c, "still"); err != nil {
					return fmt.Errorf("after %d flows: %w", i, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if n := l.flows.count(); n > l.flows.most {
		t.Errorf("%d flows, of at most %d", n, l.flows.most)
	}
	if mb := resident(t); mb > 256 && !raceEnabled {
		t.Errorf("%d MB are resident", mb)
	}
	t.Log(resident(t), "MB,", runtime.NumGoroutine(), "goroutines")
	l.end()
}

func (t *flows) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.under)
}

func TestFlowsAreForgotten(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, row := range []struct {
		name string
		f    flow
		want time.Duration
	}{
		{"without a reply", flow{flowKey: flowKey{unix.IPPROTO_UDP, at("100.64.0.2:9"), at("192.0.2.2:9")}}, time.Minute},
		{"with one", flow{flowKey: flowKey{unix.IPPROTO_UDP, at("100.64.0.2:9"), at("192.0.2.2:9")}, answered: true}, 3 * time.Minute},
		{"names", flow{flowKey: flowKey{unix.IPPROTO_UDP, at("100.64.0.2:9"), at("192.0.2.2:53")}, answered: true}, 10 * time.Second},
		{"echoes", flow{flowKey: flowKey{unix.IPPROTO_ICMP, at("100.64.0.2:9"), at("192.0.2.2:0")}, answered: true}, 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.f.keep(); got != row.want {
				t.Errorf("kept for %v, want %v", got, row.want)
			}
		})
	}
}

// ping sends an echo request from a space, and returns the type and code of what came back, and from whom: 0 and 129 are
// replies.
func ping(s *space, to string, hops int) (kind, code byte, from netip.Addr, err error) {
	err = s.do(func() error {
		dst := netip.MustParseAddr(to)
		family, proto, request, level, ttl, name := unix.AF_INET, unix.IPPROTO_ICMP, byte(echoRequest4), unix.IPPROTO_IP, unix.IP_TTL, unix.IP_RECVERR
		if dst.Is6() {
			family, proto, request, level, ttl, name = unix.AF_INET6, unix.IPPROTO_ICMPV6, byte(echoRequest6), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_RECVERR
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM, proto)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		unix.SetsockoptInt(fd, level, name, 1)
		unix.SetsockoptInt(fd, level, ttl, hops)
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
		if err := unix.Connect(fd, sockaddr(fd, netip.AddrPortFrom(dst, 0))); err != nil {
			return err
		}
		request8 := append([]byte{request, 0, 0, 0, 0, 0, 0, 7}, "what is said"...)
		if _, err := unix.Write(fd, request8); err != nil {
			return err
		}
		b := make([]byte, 100)
		n, err := unix.Read(fd, b)
		if err == nil {
			if !bytes.Equal(b[6:n], request8[6:]) {
				return fmt.Errorf("the reply is % x", b[:n])
			}
			kind, code, from = b[0], b[1], dst
			return nil
		}
		m, e := receive(fd, b, unix.MSG_ERRQUEUE)
		if e != nil || m.problem == nil {
			return err
		}
		kind, code, from = m.problem.Type, m.problem.Code, m.offender
		return nil
	})
	return kind, code, from, err
}

func TestEcho(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	type row struct {
		to         string
		hops       int
		kind, code byte
		from       string
	}
	check := func(rows ...row) {
		t.Helper()
		for _, r := range rows {
			kind, code, from, err := ping(l.room, r.to, r.hops)
			if err != nil || kind != r.kind || code != r.code || from.String() != r.from {
				t.Errorf("%s, %d hops: %d/%d from %s, %v; want %d/%d from %s", r.to, r.hops, kind, code, from, err, r.kind, r.code, r.from)
			}
		}
	}
	check(row{own4, 64, 0, 0, own4}, row{own6, 64, 129, 0, own6},
		row{"192.0.2.2", 64, 0, 0, "192.0.2.2"}, row{"2001:db8::2", 64, 129, 0, "2001:db8::2"},
		row{"192.0.2.1", 64, 0, 0, "192.0.2.1"}, // the host's own
		row{own4, 1, 0, 0, own4},
		row{"192.0.2.2", 1, 11, 0, own4}, row{"2001:db8::2", 1, 3, 0, own6},
		row{"198.18.0.5", 2, 11, 0, "192.0.2.2"}, row{"2001:db8:3::5", 2, 3, 0, "2001:db8::2"},
		row{"203.0.113.5", 64, 3, 1, "192.0.2.2"}, row{"2001:db8:2::5", 64, 1, 0, "2001:db8::2"},
		row{"0.0.0.1", 64, 3, 13, own4}, row{"::127.0.0.1", 64, 1, 1, own6})
	if err := sysctl("ipv4/ping_group_range", nobody); errors.Is(err, unix.EINVAL) {
		l.end() // in a user namespace of one group it cannot be taken back
		return
	} else if err != nil {
		t.Fatal(err)
	}
	l.flows.swept(time.Now().Add(time.Hour))
	check(row{own4, 64, 0, 0, own4}, row{own6, 64, 129, 0, own6},
		row{"192.0.2.2", 64, 3, 13, own4}, row{"2001:db8::2", 64, 1, 1, own6})
	l.end()
}

// What is neither TCP, UDP nor ICMP is answered, too.
func TestOtherProtocols(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	for to, want := range map[string][2]uint8{"192.0.2.2": {3, 2}, "2001:db8::2": {4, 1}, "203.0.113.5": {3, 2}} {
		dst := netip.MustParseAddr(to)
		err := l.room.do(func() error {
			family := unix.AF_INET
			if dst.Is6() {
				family = unix.AF_INET6
			}
			fd, err := unix.Socket(family, unix.SOCK_RAW, unix.IPPROTO_SCTP)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			tellErrors(fd, dst.Is6())
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
			if err := unix.Connect(fd, sockaddr(fd, netip.AddrPortFrom(dst, 0))); err != nil {
				return err
			}
			b := make([]byte, 100)
			if _, err := unix.Write(fd, b[:12]); err != nil {
				return err
			}
			unix.Read(fd, b)
			m, err := receive(fd, b, unix.MSG_ERRQUEUE)
			if err == nil && (m.problem == nil || [2]uint8{m.problem.Type, m.problem.Code} != want) {
				err = fmt.Errorf("%+v, want %v", m.problem, want)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	l.end()
}
