package shell

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Name service: a forwarder inside, where resolv.conf points, passes queries over the emulated link to one at the
// outside address, which asks the parent's name servers. Neither reads what it carries, but for the reply code.

const (
	dnsPort      = 53
	dnsMost      = 512 // queries under way at once
	dnsPatience  = 10 * time.Second
	dnsNextAfter = 1500 * time.Millisecond // then the next server is asked too
)

// dialer makes a connection of its own for one query, or one client.
type dialer func(network string) (net.Conn, error)

// serveOutside listens at the outside address, on a port that is free for UDP and TCP, so that a name server of the
// user's on port 53 stays reachable. It returns the port.
func serveOutside(at netip.Addr) (int, error) {
	var err error
	for range 20 {
		var u net.PacketConn
		var t net.Listener
		if u, err = net.ListenPacket("udp4", netip.AddrPortFrom(at, 0).String()); err != nil {
			break
		}
		port := u.LocalAddr().(*net.UDPAddr).Port
		if t, err = net.Listen("tcp4", netip.AddrPortFrom(at, uint16(port)).String()); err != nil {
			u.Close()
			continue
		}
		go serveUDP(u, askServers)
		go serveTCP(t, func(string) (net.Conn, error) {
			var err error
			for _, s := range nameservers() {
				var c net.Conn
				if c, err = net.DialTimeout("tcp", netip.AddrPortFrom(s, dnsPort).String(), dnsNextAfter); err == nil {
					return c, nil
				}
			}
			return nil, err
		})
		return port, nil
	}
	return 0, fmt.Errorf("serving names at %s: %w", at, err)
}

// serveInside listens in the calling thread's namespace; dial makes connections to the forwarder outside.
func serveInside(at netip.Addr, dial dialer) error {
	where := netip.AddrPortFrom(at, dnsPort).String()
	u, err := net.ListenPacket("udp4", where)
	if err != nil {
		return fmt.Errorf("serving names inside: %w", err)
	}
	t, err := net.Listen("tcp4", where)
	if err != nil {
		return fmt.Errorf("serving names inside: %w", err)
	}
	go serveUDP(u, func(query []byte) []byte {
		c, err := dial("udp4")
		if err != nil {
			return serverFailure(query)
		}
		defer c.Close()
		reply, _ := exchange(context.Background(), c, query)
		return reply
	})
	go serveTCP(t, dial)
	return nil
}

// serveUDP answers each datagram with what ask returns, if anything.
func serveUDP(u net.PacketConn, ask func(query []byte) []byte) {
	slots := make(chan struct{}, dnsMost)
	buf := make([]byte, 64<<10)
	for {
		n, client, err := u.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(time.Millisecond)
			continue // a client that went away
		}
		query := append([]byte(nil), buf[:n]...)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if reply := ask(query); reply != nil {
				u.WriteTo(reply, client)
			}
		}()
	}
}

// serveTCP relays each connection to one of dial's.
func serveTCP(t net.Listener, dial dialer) {
	slots := make(chan struct{}, dnsMost)
	for {
		client, err := t.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, say
			time.Sleep(10 * time.Millisecond)
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer client.Close()
			server, err := dial("tcp4")
			if err != nil {
				return
			}
			defer server.Close()
			go relay(server.(*net.TCPConn), client.(*net.TCPConn))
			relay(client.(*net.TCPConn), server.(*net.TCPConn))
		}()
	}
}

// relay copies until from ends, or has said nothing for too long.
func relay(to, from *net.TCPConn) {
	defer to.CloseWrite()
	buf := make([]byte, 16<<10)
	for {
		from.SetReadDeadline(time.Now().Add(dnsPatience))
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// askServers asks the parent's name servers in their order: the next one as soon as one cannot answer or refuses to, or
// has not for a while. The first proper reply counts; where there is none, the client is told so.
func askServers(query []byte) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), dnsPatience)
	defer cancel()
	servers := nameservers()
	replies := make(chan []byte, len(servers))
	var last []byte
	for waiting := 0; len(servers) > 0 || waiting > 0; {
		if len(servers) > 0 {
			s := servers[0]
			servers = servers[1:]
			waiting++
			go func() {
				c, err := net.Dial("udp", netip.AddrPortFrom(s, dnsPort).String())
				if err != nil {
					replies <- nil
					return
				}
				defer c.Close()
				reply, _ := exchange(ctx, c, query)
				replies <- reply
			}()
		}
		var next <-chan time.Time
		if len(servers) > 0 {
			next = time.After(dnsNextAfter)
		}
		select {
		case reply := <-replies:
			waiting--
			if proper(reply) {
				return reply
			}
			if reply != nil {
				last = reply
			}
		case <-next:
		case <-ctx.Done():
			servers, waiting = nil, 0
		}
	}
	if last == nil {
		last = serverFailure(query)
	}
	return last
}

// exchange sends a query and returns the reply with its number.
func exchange(ctx context.Context, c net.Conn, query []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dnsPatience)
	}
	c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if n >= 2 && len(query) >= 2 && buf[0] == query[0] && buf[1] == query[1] {
			return buf[:n], nil
		}
	}
}

// Of a DNS message's header (RFC 1035, 4.1.1), its flags.
const (
	dnsFlags    = 2
	dnsResponse = 0x8000
	dnsRCode    = 0x000f
	dnsServFail = 2
	dnsRefused  = 5
)

// proper says whether a reply settles the question.
func proper(reply []byte) bool {
	if len(reply) < 12 {
		return false
	}
	code := binary.BigEndian.Uint16(reply[dnsFlags:]) & dnsRCode
	return code != dnsServFail && code != dnsRefused
}

// serverFailure is the reply that says that no server could be asked.
func serverFailure(query []byte) []byte {
	if len(query) < 12 {
		return nil
	}
	reply := append([]byte(nil), query...)
	flags := binary.BigEndian.Uint16(reply[dnsFlags:])
	binary.BigEndian.PutUint16(reply[dnsFlags:], flags&^dnsRCode|dnsResponse|dnsServFail)
	return reply
}

// dialOutside makes connections from inside the container to the forwarder at the outside address.
func (c *container) dialOutside() dialer {
	if c.Closed && c.Outer == nil {
		return func(string) (net.Conn, error) { return nil, errors.New("there is no way out") }
	}
	to := netip.AddrPortFrom(c.outside4, uint16(c.names)).String()
	return func(network string) (conn net.Conn, err error) {
		if e := within(c.namespace, func() { conn, err = net.DialTimeout(network, to, dnsPatience) }); e != nil {
			return nil, e
		}
		return conn, err
	}
}
