package gateway

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestDestinations(t *testing.T) {
	p := &policy{own4: netip.MustParseAddr(own4), own6: netip.MustParseAddr(own6), resolvers: map[netip.Addr]netip.AddrPort{
		netip.MustParseAddr("100.127.255.53"): netip.MustParseAddrPort("127.0.0.53:53"),
		netip.MustParseAddr("fd01::35"):       netip.MustParseAddrPort("[fe80::1%eth0]:5353")}}
	for _, row := range []struct {
		dst, to string
		err     error
		closed  error // with NoHostLoopback
	}{
		{"192.0.2.7:80", "192.0.2.7:80", nil, nil},
		{"[2001:db8::7]:80", "[2001:db8::7]:80", nil, nil},
		{own4 + ":80", "127.0.0.1:80", nil, errRefused},
		{"[" + own6 + "]:80", "[::1]:80", nil, errRefused},
		{"100.127.255.53:53", "127.0.0.53:53", nil, nil},
		{"100.127.255.53:80", "", errRefused, errRefused},
		{"[fd01::35]:53", "[fe80::1%eth0]:5353", nil, nil},
		{"127.0.0.1:80", "", errProhibited, errProhibited},
		{"127.255.255.254:80", "", errProhibited, errProhibited},
		{"0.0.0.0:80", "", errProhibited, errProhibited},
		{"0.1.2.3:80", "", errProhibited, errProhibited},
		{"255.255.255.255:80", "", errProhibited, errProhibited},
		{"224.0.0.251:80", "", errProhibited, errProhibited},
		{"[::]:80", "", errProhibited, errProhibited},
		{"[::1]:80", "", errProhibited, errProhibited},
		{"[::ffff:127.0.0.1]:80", "", errProhibited, errProhibited},
		{"[::ffff:192.0.2.7]:80", "", errProhibited, errProhibited},
		{"[::127.0.0.1]:80", "", errProhibited, errProhibited},
		{"[ff02::fb]:80", "", errProhibited, errProhibited},
	} {
		t.Run(row.dst, func(t *testing.T) {
			dst := netip.MustParseAddrPort(row.dst)
			p.closed = false
			to, err := p.to(dst)
			if err != row.err || err == nil && to != netip.MustParseAddrPort(row.to) {
				t.Errorf("goes to %v, %v", to, err)
			}
			if row.closed == nil {
				return // which needs routing tables
			}
			p.closed = true
			if _, err := p.to(dst); err != row.closed {
				t.Errorf("closed: %v, want %v", err, row.closed)
			}
		})
	}
}

func TestNoHostLoopback(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t, func(o *Options) {
		o.NoHostLoopback = true
		o.Resolvers = map[netip.Addr]netip.AddrPort{netip.MustParseAddr("100.127.255.53"): netip.MustParseAddrPort("127.0.0.53:53")}
	})
	l.listen(nil, "[::]:80", echo)
	l.listenUDP(nil, "[::]:80", same)
	l.listen(nil, "127.0.0.53:53", echo)
	l.listen(l.beyond, "[::]:80", echo)
	l.listenUDP(l.beyond, "[::]:80", same)
	for to, want := range map[string]error{
		own4 + ":80":         unix.ECONNREFUSED,
		"[" + own6 + "]:80":  unix.ECONNREFUSED,
		"192.0.2.1:80":       unix.EHOSTUNREACH,
		"192.0.2.11:80":      unix.EHOSTUNREACH, // a secondary one, whose route has another source
		"[2001:db8::1]:80":   unix.EACCES,
		"192.0.2.2:80":       nil,
		"[2001:db8::2]:80":   nil,
		"100.127.255.53:53":  nil,
		"100.127.255.53:443": unix.ECONNREFUSED,
	} {
		c, err := l.room.dial("tcp", to)
		if errno(err) != want {
			t.Errorf("TCP to %s: %v, want %v", to, err, want)
		}
		if c != nil {
			c.Close()
		}
		if to == "100.127.255.53:53" {
			continue
		}
		if c, err = l.room.dial("udp", to); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		c.Write([]byte("?"))
		if _, err := c.(*net.UDPConn).Read(make([]byte, 9)); errno(err) != want {
			t.Errorf("UDP to %s: %v, want %v", to, err, want)
		}
		c.Close()
	}
	l.end()
}
