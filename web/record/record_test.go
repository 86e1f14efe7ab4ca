package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/web"
	"gomahi/web/authority"
)

// site is what the origins serve.
func site(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/chunked":
		w.Header().Set("Trailer", "Sum")
		io.WriteString(w, "one")
		http.NewResponseController(w).Flush()
		io.WriteString(w, "two")
		w.Header().Set("Sum", "6")
	case "/gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "zipped")
		z.Close()
	case "/range":
		http.ServeContent(w, r, "x.txt", time.Unix(1700000000, 0), strings.NewReader("0123456789"))
	case "/hints":
		w.Header().Set("Link", "</x>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hinted")
	case "/cookies":
		w.Header()["Set-Cookie"] = []string{"a=1", "a=1", "b=2"}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(302)
	case "/hints-plain":
		w.WriteHeader(http.StatusEarlyHints)
		w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
		io.WriteString(w, "hinted")
	case "/late":
		time.Sleep(2500 * time.Millisecond)
		io.WriteString(w, "late")
	case "/plain":
		w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
		io.WriteString(w, "plain")
	case "/big":
		w.Header().Set("Content-Length", fmt.Sprint(bigSize))
		for range bigSize / len(piece) {
			w.Write(piece)
		}
	case "/echo":
		io.Copy(w, r.Body)
	case "/cut":
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "abc")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/forever":
		io.WriteString(w, "begun")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/upgrade":
		c, rw, _ := http.NewResponseController(w).Hijack()
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, "echo "+line)
	default:
		fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI)
	}
}

var piece = bytes.Repeat([]byte("0123456789abcdef"), 4096)

const bigSize = 64 << 20

// bench is a proxy on loopback before an origin.
type bench struct {
	*Proxy
	t      testing.TB
	at     string
	origin netip.AddrPort
	roots  *x509.CertPool // that trust the proxy
}

func newBench(t testing.TB, origin netip.AddrPort, upstream *x509.CertPool) *bench {
	t.Helper()
	d, err := web.Create(filepath.Join(t.TempDir(), "site"), false)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, origin: origin, roots: x509.NewCertPool(), Proxy: &Proxy{Dir: d, Authority: a, Roots: upstream,
		Warn: func(m string) { t.Error(m) },
		Dial: func(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.String())
		}}}
	b.roots.AppendCertsFromPEM(a.PEM())
	t.Cleanup(func() { b.Close() })
	b.at = listen(t, func(c net.Conn) { b.Serve(c, origin) }).String()
	return b
}

// listen has every connection to an address of its own served until the test ends.
func listen(t testing.TB, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func (b *bench) client() *http.Client {
	tr := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: b.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", b.at)
		}}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// recorded is what has been stored after everything has ended.
func (b *bench) recorded() []*web.Exchange {
	b.t.Helper()
	b.Close()
	all, err := web.Load(b.Dir.Path())
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func address(url string) netip.AddrPort {
	_, a, _ := strings.Cut(url, "://")
	return netip.MustParseAddrPort(a)
}

func start(t testing.TB, protocol string) (*httptest.Server, *bench) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(site))
	s.Config.ErrorLog = quiet
	if protocol == "http" {
		s.Start()
	} else {
		s.EnableHTTP2 = protocol == "h2"
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	if s.Certificate() != nil {
		roots.AddCert(s.Certificate())
	}
	return s, newBench(t, address(s.URL), roots)
}

// Everything is seen as without the proxy, and stored as it was.
func TestExchanges(t *testing.T) {
	for protocol, proto := range map[string]string{"http": "HTTP/1.1", "https": "HTTP/1.1", "h2": "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			s, b := start(t, protocol)
			scheme, _, _ := strings.Cut(s.URL, "://")
			c := b.client()
			var want []string
			for _, row := range []struct{ request, status, body string }{
				{"GET /", "200", "GET /"},
				{"GET /a%2Fb;c//d?x=;&&y=%zz", "200", "GET /a%2Fb;c//d?x=;&&y=%zz"},
				{"GET /q?", "200", "GET /q?"},
				{"GET /chunked", "200", "onetwo"},
				{"GET /range Range=bytes=2-4", "206", "234"},
				{"HEAD /range", "200", ""},
				{"GET /hints", "200", "hinted"},
				{"GET /cookies", "302", ""},
				{"GET /plain", "200", "plain"},
				{"POST /echo =said", "200", "said"},
				{"DELETE /x X-Forwarded-For=1.2.3.4", "200", "DELETE /x"},
			} {
				f := strings.Fields(row.request)
				var asked io.Reader
				if len(f) > 2 && f[2][0] == '=' {
					asked = strings.NewReader(f[2][1:])
				}
				r, err := http.NewRequest(f[0], scheme+"://example.com"+f[1], asked)
				if err != nil {
					t.Fatal(err)
				}
				if len(f) > 2 && asked == nil {
					name, value, _ := strings.Cut(f[2], "=")
					r.Header.Set(name, value)
				}
				res, err := c.Do(r)
				if err != nil {
					t.Fatal(row.request, err)
				}
				got, err := io.ReadAll(res.Body)
				if err != nil || string(got) != row.body || fmt.Sprint(res.StatusCode) != row.status || res.Proto != proto {
					t.Errorf("%s: %s %s %q %v", row.request, res.Proto, res.Status, got, err)
				}
				if f[1] == "/plain" && (len(res.Header["Date"]) > 0 || len(res.Header["Content-Type"]) > 0) {
					t.Error(res.Header)
				}
				if f[1] == "/chunked" && (res.ContentLength != -1 || res.Trailer.Get("Sum") != "6") {
					t.Error(res.ContentLength, res.Trailer)
				}
				want = append(want, fmt.Sprint(f[0], " ", scheme, "://example.com", f[1], " ", row.status, " ", proto, " ", row.body))
			}
			var got []string
			all := b.recorded()
			for _, x := range all {
				got = append(got, fmt.Sprint(x.Method(), " ", x.URL(), " ", x.Status(), " ", x.Protocol, " ", string(x.Response.Body.Bytes())))
				if x.Server != b.origin || x.Failure != "" || x.FirstByte <= 0 || x.Duration < x.FirstByte || x.Start.IsZero() {
					t.Errorf("%+v", x)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if x := all[0]; x.Connect <= 0 || (x.TLS > 0) != (scheme == "https") || (x.ServerName == "example.com") != (scheme == "https") {
				t.Errorf("%+v", x)
			}
			if x := all[3]; !x.Response.Unsized || x.Response.Get("Content-Length") != "6" || len(x.Response.Trailer) != 1 || x.Response.Get("Trailer") != "Sum" {
				t.Errorf("%+v", x.Response)
			}
			if x := all[7]; len(x.Response.Values("Set-Cookie")) != 3 {
				t.Errorf("%+v", x.Response)
			}
			if x := all[9]; string(x.Request.Body.Bytes()) != "said" {
				t.Errorf("%+v", x.Request)
			}
			if x := all[10]; x.Request.Get("X-Forwarded-For") != "1.2.3.4" {
				t.Errorf("%+v", x.Request)
			}
			if n := b.Counts(); n.Exchanges != len(want) || n.Origins != 1 || n.Failures != 0 || n.Unfinished != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// talk says something over TCP, and returns the answer up to its end.
func (b *bench) talk(say string) string {
	b.t.Helper()
	c, err := net.Dial("tcp", b.at)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, say)
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		b.t.Error(err)
	}
	return string(got)
}

func TestOldClients(t *testing.T) {
	_, b := start(t, "http")
	if got := b.talk("GET /old HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(got, "GET /old") {
		t.Errorf("%q", got)
	}
	got := b.talk("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if one, two := strings.Index(got, "GET /1"), strings.Index(got, "GET /2"); one < 0 || two < one {
		t.Errorf("%q", got)
	}
	if n := len(b.recorded()); n != 3 {
		t.Error(n)
	}
}

// A client that has closed its direction may wait for long.
func TestHalfClosed(t *testing.T) {
	_, b := start(t, "http")
	if got := b.talk("GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "late") {
		t.Errorf("%q", got)
	}
	if n := b.Counts(); n.Exchanges != 1 || n.Failures != 0 || n.Unfinished != 0 {
		t.Errorf("%+v", n)
	}
}

// What the origin does not say is not added, after early hints neither.
func TestNothingAdded(t *testing.T) {
	_, b := start(t, "http")
	for _, path := range []string{"/plain", "/hints-plain"} {
		got := b.talk("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if strings.Contains(got, "Date:") || strings.Contains(got, "Content-Type:") || !strings.Contains(got, "HTTP/1.1 200 OK\r\n") {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// parrot is an origin that answers every request with its first line, and after CONNECT says everything twice, then goodbye,
// and stays.
func parrot(t *testing.T) netip.AddrPort {
	return listen(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			line := q.Method + " " + q.RequestURI
			if q.Method != http.MethodConnect {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
				continue
			}
			if q.Header["User-Agent"] != nil || q.Header.Get("X") != "y" {
				t.Errorf("CONNECT with %v", q.Header)
			}
			io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
			for {
				word, err := r.ReadString('\n')
				if err != nil {
					io.WriteString(c, "goodbye\n")
					<-t.Context().Done()
					return
				}
				io.WriteString(c, word+word)
			}
		}
	})
}

// CONNECT passes, and what follows it, whatever the connection was used for before; and no tunnel holds up the end.
func TestLaterConnect(t *testing.T) {
	b := newBench(t, parrot(t), nil)
	c, err := net.Dial("tcp", b.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(res.Body); string(got) != "OPTIONS *" {
		t.Errorf("%q", got)
	}
	io.WriteString(c, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nX: y\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 200 Connection established\r\n", "\r\n"} {
		if line, err := r.ReadString('\n'); line != want {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
	}
	for _, word := range []string{"inner\n", "more\n"} {
		io.WriteString(c, word)
		for range 2 {
			if line, err := r.ReadString('\n'); line != word {
				t.Fatalf("%q, %v; want %q", line, err, word)
			}
		}
	}
	c.(*net.TCPConn).CloseWrite()
	if line, err := r.ReadString('\n'); line != "goodbye\n" {
		t.Errorf("%q, %v after the client has said all", line, err)
	}
	if n := b.Counts(); n.Relayed != 1 || n.Exchanges != 1 {
		t.Errorf("%+v", n)
	}
	ended := make(chan bool)
	go func() {
		b.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("a tunnel holds up the end")
	}
}

// A client whose server has not accepted its connection at the end leaves something unfinished.
func TestUnreached(t *testing.T) {
	dialing := make(chan bool)
	b := &Proxy{Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	client, server := net.Pipe()
	defer client.Close()
	go b.Serve(server, netip.MustParseAddrPort("127.0.0.1:9"))
	<-dialing
	b.Close()
	if n := b.Counts(); n.Unfinished != 1 {
		t.Errorf("%+v", n)
	}
}

// A request that the origin has not answered at the end is unfinished, and no failure of the origin's.
func TestUnanswered(t *testing.T) {
	for range 20 { // it takes the right moment
		asked := make(chan bool)
		b := newBench(t, listen(t, func(c net.Conn) {
			defer c.Close()
			http.ReadRequest(bufio.NewReader(c))
			close(asked)
			<-t.Context().Done()
		}), nil)
		go b.client().Get("http://example.com/")
		<-asked
		b.Close()
		if n := b.Counts(); n.Unfinished != 1 || n.Failures != 0 || n.Exchanges != 0 {
			t.Errorf("%+v", n)
		}
	}
}

// The end of what a client says counts once its last request is answered, which may not have been begun with.
func TestPatient(t *testing.T) {
	for _, row := range []struct {
		name   string
		busyIn int // times asked
		waits  bool
	}{{"busy", 0, true}, {"soon busy", 3, true}, {"idle", 1 << 30, false}} {
		t.Run(row.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			theirs.Close()
			asked, over, start := 0, false, time.Now()
			p := &patient{Conn: ours, busy: func() bool { asked++; return asked > row.busyIn },
				over: func() bool { over = time.Since(start) > 4*moment; return over }}
			if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Error(n, err)
			}
			if over != row.waits {
				t.Errorf("until the end: %t, want %t", over, row.waits)
			}
		})
	}
}

// A connection that becomes another protocol's goes on as such, and is counted.
func TestUpgrade(t *testing.T) {
	for _, protocol := range []string{"http", "https"} {
		t.Run(protocol, func(t *testing.T) {
			_, b := start(t, protocol)
			c, err := net.Dial("tcp", b.at)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if protocol == "https" {
				c = tls.Client(c, &tls.Config{RootCAs: b.roots, ServerName: "example.com"})
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" {
				t.Fatal(res, err)
			}
			io.WriteString(c, "hello\n")
			if line, err := r.ReadString('\n'); line != "echo hello\n" {
				t.Error(line, err)
			}
			if n := b.Counts(); n.Relayed != 1 || n.Exchanges != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// What is no HTTP passes untouched, whoever speaks first.
func TestRelay(t *testing.T) {
	for _, row := range []struct{ name, greeting, say string }{
		{"the server first", "220 ready\r\n", "HELO\r\n"},
		{"the client first", "", "\x00\x01binary"},
		{"CONNECT", "", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"},
		{"HTTP/2 without TLS", "", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"what looks like TLS", "", "\x16\x03\x01\x00\x02xx"},
		{"a target that is none", "", "GET /100% HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"no host", "", "GET / HTTP/1.1\r\nX: y\r\n\r\n"},
		{"lower case", "", "get / HTTP/1.1\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, listen(t, func(c net.Conn) {
				defer c.Close()
				io.WriteString(c, row.greeting)
				got, _ := io.ReadAll(c)
				fmt.Fprintf(c, "got %q", got)
			}), nil)
			if got := b.talk(row.say); got != row.greeting+fmt.Sprintf("got %q", row.say) {
				t.Errorf("%q", got)
			}
			if n := b.Counts(); n.Relayed != 1 || n.Exchanges != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

func closedPort(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// A server that cannot be reached is a 502 with the reason, or a reset where there would be TLS, and recorded as that.
func TestFailures(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		b := newBench(t, closedPort(t), nil)
		r, err := b.client().Get("http://example.com/x")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(r.Body)
		if r.StatusCode != 502 || string(got) != "gm-webrecord: example.com did not answer: connect: connection refused\n" {
			t.Error(r.Status, string(got))
		}
		all := b.recorded()
		if len(all) != 1 || all[0].Failure != "connect: connection refused" || all[0].URL() != "http://example.com/x" || all[0].Status() != 0 {
			t.Errorf("%+v", all)
		}
	})
	t.Run("TLS", func(t *testing.T) {
		b := newBench(t, closedPort(t), nil)
		if r, err := b.client().Get("https://example.com/x"); err == nil {
			t.Error(r.Status)
		}
		all := b.recorded()
		if len(all) != 1 || all[0].Failure != "connect: connection refused" || all[0].ServerName != "example.com" {
			t.Errorf("%+v", all)
		}
	})
	t.Run("a bad certificate", func(t *testing.T) {
		_, b := start(t, "https")
		b.Roots = x509.NewCertPool()
		if r, err := b.client().Get("https://example.com/x"); err == nil {
			t.Error(r.Status)
		}
		if all := b.recorded(); len(all) != 1 || !strings.Contains(all[0].Failure, "certificate signed by unknown authority") {
			t.Errorf("%+v", all)
		}
	})
	t.Run("a bad certificate, unverified", func(t *testing.T) {
		_, b := start(t, "https")
		b.Roots, b.Insecure = x509.NewCertPool(), true
		if r, err := b.client().Get("https://other.test/x"); err != nil {
			t.Error(r, err)
		}
	})
	t.Run("cut short", func(t *testing.T) {
		_, b := start(t, "http")
		r, err := b.client().Get("http://example.com/cut")
		if err == nil {
			if got, err := io.ReadAll(r.Body); err == nil {
				t.Errorf("%q", got)
			}
		}
		if all := b.recorded(); len(all) != 1 || all[0].Failure == "" || string(all[0].Response.Body.Bytes()) != "abc" {
			t.Errorf("%+v", all)
		}
	})
}

// What has no end is stored if it is a stream of events, and else not.
func TestEndless(t *testing.T) {
	for _, protocol := range []string{"http", "https", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			_, b := start(t, protocol)
			for _, path := range []string{"/events", "/forever"} {
				ctx, cancel := context.WithCancel(context.Background())
				r, err := http.NewRequestWithContext(ctx, "GET", strings.Replace(protocol, "h2", "https", 1)+"://example.com"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := b.client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]int{true: 2, false: 1}[protocol == "h2"]; res.ProtoMajor != want {
					t.Errorf("%s, want HTTP/%d", res.Proto, want)
				}
				if n, err := res.Body.Read(make([]byte, 5)); n != 5 {
					t.Error(n, err)
				}
				cancel()
				res.Body.Close()
			}
			all := b.recorded()
			if n := b.Counts(); len(all) != 1 || string(all[0].Response.Body.Bytes()) != "data: 1\n\n" || n.Unfinished != 1 {
				t.Errorf("%+v %+v", n, all)
			}
		})
	}
}

// A client that trusts nobody goes away, and is counted.
func TestUntrusted(t *testing.T) {
	_, b := start(t, "https")
	b.roots = x509.NewCertPool()
	var unknown x509.UnknownAuthorityError
	if _, err := b.client().Get("https://example.com/"); !errors.As(err, &unknown) {
		t.Error(err)
	}
	for end := time.Now().Add(5 * time.Second); b.Counts().Untrusted == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", b.Counts())
		}
	}
}

func TestBig(t *testing.T) {
	_, b := start(t, "h2")
	began := time.Now()
	r, err := b.client().Get("https://example.com/big")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r.Body)
	if n != bigSize || err != nil {
		t.Fatal(n, err)
	}
	t.Logf("%.0f MB/s", float64(n)/1e6/time.Since(began).Seconds())
	all := b.recorded()
	if len(all) != 1 || all[0].Response.Body.Size() != bigSize || !bytes.HasSuffix(all[0].Response.Body.Bytes(), piece) {
		t.Error(len(all))
	}
}

// Nothing that a client begins with makes the proxy fail, and it always comes to an end.
func FuzzBeginning(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x00\x05hello"))
	f.Fuzz(func(t *testing.T, said []byte) {
		r := bufio.NewReader(bytes.NewReader(said))
		if speaksHTTP(r) {
			method, _, _ := bytes.Cut(said, []byte(" "))
			if len(method) == 0 || strings.ToUpper(string(method)) != string(method) {
				t.Errorf("%q", said)
			}
		}
		if rest, _ := io.ReadAll(r); !bytes.Equal(rest, said) {
			t.Errorf("%q became %q", said, rest)
		}
	})
}

// A conversation goes on with the proxy in between as without it: whoever waits for what the other says gets it.
func TestConversations(t *testing.T) {
	const client, origin, hears, ends = "client", "origin", " hears", " ends"
	const post, chunked = "POST / HTTP/1.1\r\nHost: x\r\n", "Transfer-Encoding: chunked\r\n"
	for _, row := range []struct {
		name  string
		steps [][2]string // who, and what it says or hears
		never string      // what the client must not hear
	}{
		{"an answer before the end of the request", [][2]string{{client, post + "Content-Length: 10\r\n\r\nabc"}, {origin + hears, "abc"},
			{origin, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"}, {client + hears, "\r\nConnection: close\r\n"}, {client + hears, "\r\n\r\nno"}}, ""},
		{"and after it", [][2]string{{client, post + "Content-Length: 3\r\n\r\nabc"}, {origin + hears, "abc"},
			{origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, {client + hears, "\r\n\r\nok"}, {client, post + "\r\n"}, {origin + hears, "POST"}}, "Connection"},
		{"both at once", [][2]string{{client, post + chunked + "\r\n1\r\na\r\n"}, {origin + hears, "1\r\na\r\n"},
			{origin, "HTTP/1.1 200 OK\r\n" + chunked + "\r\n1\r\nA\r\n"}, {client + hears, "1\r\nA\r\n"}, {client, "1\r\nb\r\n"}, {origin + hears, "1\r\nb\r\n"},
			{origin, "1\r\nB\r\n"}, {client + hears, "1\r\nB\r\n"}, {client, "0\r\n\r\n"}, {origin + hears, "0\r\n\r\n"}, {origin, "0\r\n\r\n"},
			{client + hears, "0\r\n\r\n"}, {client + ends, ""}}, "400"},
		{"a request's trailer", [][2]string{{client, post + chunked + "Trailer: Sum\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\n\r\n"}, {origin + hears, "0\r\nSum: 1\r\n\r\n"},
			{origin, "HTTP/1.1 204 OK\r\n\r\n"}, {client + hears, "204"}}, ""},
		{"something else in capitals", [][2]string{{client, "NICK x\r\n"}, {origin + hears, "NICK x\r\n"}, {origin, ":hello\r\n"}, {client + hears, ":hello\r\n"}}, ""},
		{"a proxy", [][2]string{{client, "GET http://other.test/a%2Fb?c HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Basic x\r\n\r\n"},
			{origin + hears, "GET http://other.test/a%2Fb?c HTTP/1.1\r\nHost: other.test\r\n"}, {origin + hears, "Proxy-Authorization: Basic x\r\n"},
			{origin, "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"}, {client + hears, "Proxy-Authenticate: Basic\r\n"}}, ""},
		{"what follows an upgrade at once", [][2]string{{client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nEARLY"}, {origin + hears, "Upgrade: foo\r\n"},
			{origin, "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"}, {client + hears, "HTTP/1.1 101"}, {origin + hears, "EARLY"}}, ""},
		{"a status that is none", [][2]string{{client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"}, {origin + hears, "\r\n\r\n"},
			{origin, "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok"}, {client + hears, "its status is 99"}}, ""},
		{"a request that breaks off", [][2]string{{client, post + "Content-Length: 10\r\n\r\nabc"}, {origin + hears, "abc"}, {client + ends, ""}, {origin + ends, ""}}, ""},
		{"no name", [][2]string{{client, "GET / HTTP/1.0\r\n\r\n"}, {origin + hears, "Host: 127.0.0.1:"}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			came := make(chan net.Conn, 10)
			b := newBench(t, listen(t, func(c net.Conn) { came <- c }), nil)
			c, err := net.Dial("tcp", b.at)
			if err != nil {
				t.Fatal(err)
			}
			conns, heard := map[string]net.Conn{client: c, origin: <-came}, map[string]string{}
			for _, c := range conns {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
			}
			all := ""
			read := func(who string) (err error) {
				p := make([]byte, 64<<10)
				n, err := conns[who].Read(p)
				heard[who] += string(p[:n])
				if who == client {
					all += string(p[:n])
				}
				return err
			}
			for _, step := range row.steps {
				who, what, _ := strings.Cut(step[0], " ")
				for err := error(nil); what == "hears" && !strings.Contains(heard[who], step[1]); err = read(who) {
					if err != nil {
						t.Fatalf("%s has heard %q and then %v, not %q", who, heard[who], err, step[1])
					}
				}
				switch {
				case what == "hears":
					_, heard[who], _ = strings.Cut(heard[who], step[1])
				case what == "ends" && who == client:
					c.Close()
				case what == "ends":
					for err = nil; err == nil; {
						err = read(who)
					}
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s does not know of the end", who)
					}
				default:
					io.WriteString(conns[who], step[1])
				}
			}
			if row.never != "" && strings.Contains(all, row.never) {
				t.Errorf("the client has heard %q", all)
			}
			for _, c := range conns {
				c.Close()
			}
			ended := make(chan bool)
			go func() { b.Close(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("it does not end")
			}
		})
	}
}
