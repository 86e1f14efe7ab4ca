package shell

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"gomahi/internal/testutil"
)

// A server answers DNS queries over UDP and TCP as its handler does, and counts them.
type server struct{ asked atomic.Int32 }

// serve starts a server on port 53 of an address.
func serve(t *testing.T, at string, handle dns.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	count := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		s.asked.Add(1)
		handle(w, q)
	})
	where := net.JoinHostPort(at, "53")
	u, err := net.ListenPacket("udp", where)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*dns.Server{{PacketConn: u, Handler: count}, {Listener: l, Handler: count}} {
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		go d.ActivateAndServe()
		<-started
		t.Cleanup(func() { d.Shutdown() })
	}
	return s
}

// answer tells an address for every name.
func answer(address string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(reply(q, address)) }
}

func reply(q *dns.Msg, address string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
	m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.ParseIP(address)})
	return m
}

func code(rcode int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, rcode)) }
}

func silence(dns.ResponseWriter, *dns.Msg) {}

// misnumbered answers another question first.
func misnumbered(w dns.ResponseWriter, q *dns.Msg) {
	wrong := reply(q, "192.0.2.99")
	wrong.Id++
	w.WriteMsg(wrong)
	w.WriteMsg(reply(q, "192.0.2.1"))
}

func question(t *testing.T, id uint16) (*dns.Msg, []byte) {
	t.Helper()
	q := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
	q.Id = id
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return q, b
}

// meaning is what a reply says: its code, or the addresses in it; and that it is one, to the query of the number.
func meaning(b []byte, id uint16) string {
	if b == nil {
		return "nothing"
	}
	var m dns.Msg
	if err := m.Unpack(b); err != nil {
		return err.Error()
	}
	if m.Id != id || !m.Response || len(m.Question) != 1 || m.Question[0].Name != "example.org." {
		return "not a reply to this: " + m.String()
	}
	if m.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[m.Rcode]
	}
	out := ""
	for _, r := range m.Answer {
		out += r.(*dns.A).A.String()
	}
	return out
}

func TestAskServers(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	for k, row := range []struct {
		name    string
		servers []dns.HandlerFunc // nil is none there
		want    string
		asked   []int32
		after   time.Duration // the reply does not come before
	}{
		{"the first answers", []dns.HandlerFunc{answer("192.0.2.1"), answer("192.0.2.2")}, "192.0.2.1", []int32{1, 0}, 0},
		{"there is no such name", []dns.HandlerFunc{code(dns.RcodeNameError), answer("192.0.2.2")}, "NXDOMAIN", []int32{1, 0}, 0},
		{"no answer, but no error", []dns.HandlerFunc{code(dns.RcodeSuccess), answer("192.0.2.2")}, "", []int32{1, 0}, 0},
		{"the first refuses", []dns.HandlerFunc{code(dns.RcodeRefused), answer("192.0.2.2")}, "192.0.2.2", []int32{1, 1}, 0},
		{"the first fails", []dns.HandlerFunc{code(dns.RcodeServerFailure), answer("192.0.2.2")}, "192.0.2.2", []int32{1, 1}, 0},
		{"the first is not there", []dns.HandlerFunc{nil, answer("192.0.2.2")}, "192.0.2.2", []int32{0, 1}, 0},
		{"two fail", []dns.HandlerFunc{code(dns.RcodeServerFailure), nil, answer("192.0.2.3")}, "192.0.2.3", []int32{1, 0, 1}, 0},
		{"all refuse", []dns.HandlerFunc{code(dns.RcodeRefused), code(dns.RcodeRefused)}, "REFUSED", []int32{1, 1}, 0},
		{"the last reply counts", []dns.HandlerFunc{code(dns.RcodeServerFailure), code(dns.RcodeRefused), nil}, "REFUSED",
			[]int32{1, 1, 0}, 0},
		{"none is there", []dns.HandlerFunc{nil, nil}, "SERVFAIL", []int32{0, 0}, 0},
		{"a reply to another query", []dns.HandlerFunc{misnumbered, answer("192.0.2.2")}, "192.0.2.1", []int32{1, 0}, 0},
		{"the first is silent", []dns.HandlerFunc{silence, answer("192.0.2.2")}, "192.0.2.2", []int32{1, 1}, dnsNextAfter},
		{"the first is slow", []dns.HandlerFunc{slow(dnsNextAfter+300*ms, "192.0.2.1"), silence}, "192.0.2.1", []int32{1, 1},
			dnsNextAfter + 300*ms},
	} {
		t.Run(row.name, func(t *testing.T) {
			conf := ""
			var servers []*server
			for i, handle := range row.servers {
				at := fmt.Sprintf("127.1.%d.%d", k, i+1)
				conf += "nameserver " + at + "\n"
				s := &server{}
				if handle != nil {
					s = serve(t, at, handle)
				}
				servers = append(servers, s)
			}
			putResolvConf(t, conf)
			_, query := question(t, 4711)
			start := time.Now()
			got := meaning(askServers(query), 4711)
			took := time.Since(start)
			if got != row.want {
				t.Errorf("the reply is %q, want %q", got, row.want)
			}
			if took < row.after || took > row.after+time.Second {
				t.Errorf("it took %v, want %v", took, row.after)
			}
			var asked []int32
			for _, s := range servers {
				asked = append(asked, s.asked.Load())
			}
			if d := cmp.Diff(row.asked, asked); d != "" {
				t.Errorf("queries to each server (-want +got):\n%s", d)
			}
		})
	}
	t.Run("not a query", func(t *testing.T) {
		putResolvConf(t, "nameserver 127.0.1.1\n")
		for _, b := range [][]byte{{}, {1}, make([]byte, 11)} {
			if got := askServers(b); got != nil {
				t.Errorf("%d bytes are answered by % x", len(b), got)
			}
		}
	})
}

func slow(after time.Duration, address string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		time.Sleep(after)
		w.WriteMsg(reply(q, address))
	}
}

// A query on its way through both forwarders, over UDP and over TCP.
func TestForwarders(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	upstream := serve(t, "127.0.1.1", func(w dns.ResponseWriter, q *dns.Msg) {
		m := reply(q, "192.0.2.1")
		if _, udp := w.LocalAddr().(*net.UDPAddr); udp && strings.HasPrefix(q.Question[0].Name, "large") {
			m.Answer, m.Truncated = nil, true
		}
		w.WriteMsg(m)
	})
	putResolvConf(t, "nameserver 127.0.1.2\nnameserver 127.0.1.1\n") // nobody listens at the first
	port, err := serveOutside(netip.MustParseAddr("127.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	err = serveInside(stubAddress, func(network string) (net.Conn, error) {
		return net.DialTimeout(network, fmt.Sprintf("127.0.2.1:%d", port), time.Second)
	})
	if err != nil {
		t.Fatal(err)
	}
	where := netip.AddrPortFrom(stubAddress, dnsPort).String()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			c := dns.Client{Net: network, Timeout: 5 * time.Second}
			before := upstream.asked.Load()
			q, _ := question(t, 1234)
			m, _, err := c.Exchange(q, where)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := m.Pack()
			if got := meaning(b, 1234); got != "192.0.2.1" {
				t.Errorf("the reply is %q", got)
			}
			if n := upstream.asked.Load() - before; n != 1 {
				t.Errorf("the server was asked %d times", n)
			}
		})
	}
	t.Run("many at once", func(t *testing.T) {
		const n = 200
		results := make(chan error)
		for i := range n {
			go func() {
				c := dns.Client{Net: []string{"udp", "tcp"}[i%2], Timeout: 5 * time.Second}
				q := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
				q.Id = uint16(i)
				m, _, err := c.Exchange(q, where)
				if err == nil {
					b, _ := m.Pack()
					if got := meaning(b, uint16(i)); got != "192.0.2.1" {
						err = fmt.Errorf("the reply is %q", got)
					}
				}
				results <- err
			}()
		}
		for range n {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("several over one connection", func(t *testing.T) {
		conn, err := dns.DialTimeout("tcp", where, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		for id := range uint16(5) {
			q, _ := question(t, id)
			if err := conn.WriteMsg(q); err != nil {
				t.Fatal(err)
			}
			m, err := conn.ReadMsg()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := m.Pack()
			if got := meaning(b, id); got != "192.0.2.1" {
				t.Errorf("the reply is %q", got)
			}
		}
	})
	t.Run("Go's resolver, with a reply that UDP is too small for", func(t *testing.T) {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, where)
		}}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		got, err := r.LookupNetIP(ctx, "ip4", "large.example.org.")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff("[192.0.2.1]", fmt.Sprint(got)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	t.Run("no server is there", func(t *testing.T) {
		putResolvConf(t, "nameserver 127.0.1.2\n")
		c := dns.Client{Timeout: 5 * time.Second}
		q, _ := question(t, 1)
		m, _, err := c.Exchange(q, where)
		if err != nil || m.Rcode != dns.RcodeServerFailure {
			t.Errorf("the reply is %v, %v", m, err)
		}
		c.Net = "tcp"
		if _, _, err := c.Exchange(q, where); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("over TCP it is %v, want the end of the connection", err)
		}
	})
	t.Run("the port is taken", func(t *testing.T) {
		if err := serveInside(stubAddress, nil); err == nil || !strings.HasPrefix(err.Error(), "serving names inside: ") {
			t.Errorf("a second forwarder inside: %v", err)
		}
		if _, err := serveOutside(netip.MustParseAddr("192.0.2.77")); err == nil ||
			!strings.HasPrefix(err.Error(), "serving names at 192.0.2.77: ") {
			t.Errorf("a forwarder at an address that is not there: %v", err)
		}
	})
}

func TestServeUDP(t *testing.T) {
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wait := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveUDP(u, func(q []byte) []byte {
			switch string(q[:1]) {
			case "w":
				<-wait
			case "n":
				return nil
			}
			return append([]byte("to "), q...)
		})
	}()
	c, err := net.Dial("udp4", u.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 64<<10)
	large := bytes.Repeat([]byte("x"), 60_000)
	for _, row := range []struct{ send, want string }{
		{"w, one that takes long", ""},
		{"n, one without a reply", ""},
		{"a", "to a"},
		{string(large), "to " + string(large)},
	} {
		if _, err := c.Write([]byte(row.send)); err != nil {
			t.Fatal(err)
		}
		if row.want == "" {
			continue
		}
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != row.want {
			t.Fatalf("%.20q, %v; want %.20q", buf[:n], err, row.want)
		}
	}
	close(wait)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "to w, one that takes long" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	u.Close()
	soon(t, "the end", ended)
}

func TestServeTCP(t *testing.T) {
	listen := func() *net.TCPListener {
		t.Helper()
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.(*net.TCPListener)
	}
	connect := func(to net.Listener) *net.TCPConn {
		t.Helper()
		c, err := net.Dial("tcp4", to.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(5 * time.Second))
		return c.(*net.TCPConn)
	}
	accept := func(l *net.TCPListener) *net.TCPConn {
		t.Helper()
		l.SetDeadline(time.Now().Add(5 * time.Second))
		c, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(5 * time.Second))
		return c
	}
	forwarder, upstream := listen(), listen()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveTCP(forwarder, func(network string) (net.Conn, error) { return net.Dial(network, upstream.Addr().String()) })
	}()
	t.Run("the client finishes first and still hears the reply", func(t *testing.T) {
		client := connect(forwarder)
		server := accept(upstream)
		io.WriteString(client, "query")
		client.CloseWrite()
		if b, err := io.ReadAll(server); string(b) != "query" || err != nil {
			t.Errorf("the server hears %q, %v", b, err)
		}
		io.WriteString(server, "reply")
		server.Close()
		if b, err := io.ReadAll(client); string(b) != "reply" || err != nil {
			t.Errorf("the client hears %q, %v", b, err)
		}
	})
	t.Run("the server finishes first", func(t *testing.T) {
		client := connect(forwarder)
		server := accept(upstream)
		io.WriteString(server, "bye")
		server.Close()
		if b, err := io.ReadAll(client); string(b) != "bye" || err != nil {
			t.Errorf("the client hears %q, %v", b, err)
		}
	})
	t.Run("in parallel", func(t *testing.T) {
		a := connect(forwarder)
		atA := accept(upstream)
		b := connect(forwarder)
		atB := accept(upstream)
		for _, c := range []*net.TCPConn{b, a} {
			io.WriteString(c, c.LocalAddr().String())
			c.CloseWrite()
		}
		for _, pair := range [][2]*net.TCPConn{{a, atA}, {b, atB}} {
			if got, err := io.ReadAll(pair[1]); string(got) != pair[0].LocalAddr().String() || err != nil {
				t.Errorf("the server hears %q, %v", got, err)
			}
		}
	})
	t.Run("no server", func(t *testing.T) {
		upstream.Close()
		if b, err := io.ReadAll(connect(forwarder)); len(b) != 0 || err != nil {
			t.Errorf("the client hears %q, %v", b, err)
		}
	})
	forwarder.Close()
	soon(t, "the end", ended)
}

func TestProper(t *testing.T) {
	header := func(code byte) []byte { return []byte{0, 1, 0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0} }
	for _, row := range []struct {
		name  string
		reply []byte
		want  bool
	}{
		{"none", nil, false},
		{"too short", header(0)[:11], false},
		{"no error", header(dns.RcodeSuccess), true},
		{"format error", header(dns.RcodeFormatError), true},
		{"server failure", header(dns.RcodeServerFailure), false},
		{"no such name", header(dns.RcodeNameError), true},
		{"refused", header(dns.RcodeRefused), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := proper(row.reply); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

// Any query that has a header is told that it failed, and is not changed.
func FuzzServerFailure(f *testing.F) {
	q, err := new(dns.Msg).SetQuestion("example.org.", dns.TypeA).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q)
	f.Add(q[:12])
	f.Add(q[:11])
	f.Fuzz(func(t *testing.T, query []byte) {
		before := bytes.Clone(query)
		reply := serverFailure(query)
		if !bytes.Equal(before, query) {
			t.Error("the query has changed")
		}
		if len(query) < 12 {
			if reply != nil {
				t.Errorf("% x is answered by % x", query, reply)
			}
			return
		}
		flags := binary.BigEndian.Uint16(reply[2:])
		if flags&0x8000 == 0 || flags&15 != 2 || flags&^uint16(0x800f) != binary.BigEndian.Uint16(query[2:])&^uint16(0x800f) {
			t.Errorf("the flags are %04x", flags)
		}
		if proper(reply) || !bytes.Equal(reply[:2], query[:2]) || !bytes.Equal(reply[4:], query[4:]) {
			t.Errorf("% x is answered by % x", query, reply)
		}
	})
}
