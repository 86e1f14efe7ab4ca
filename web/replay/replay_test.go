package replay

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"gomahi/web"
	"gomahi/web/authority"
	"gomahi/web/match"
)

const recorded = "Tue, 14 Nov 2023 22:13:20 GMT"

// exchange is one of a GET, whose response has these header lines.
func exchange(server, url, protocol, headers, body string) *web.Exchange {
	scheme, rest, _ := strings.Cut(url, "://")
	host, path, _ := strings.Cut(rest, "/")
	x := &web.Exchange{Server: netip.MustParseAddrPort(server), Scheme: scheme, Protocol: protocol, Start: time.Unix(1700000000, 0),
		Request:  web.Message{First: "GET /" + path + " HTTP/1.1", Header: []web.Field{{Name: "Host", Value: host}}},
		Response: web.Message{First: "HTTP/1.1 200 OK", Body: web.Bytes([]byte(body))}}
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			x.Response.Header = append(x.Response.Header, web.Field{Name: name, Value: value})
		}
	}
	return x
}

var big = strings.Repeat("0123456789", 100000)

func site() []*web.Exchange {
	chunked := exchange("192.0.2.1:80", "http://a.test/chunked", "HTTP/1.1", "Content-Length: 3\nTrailer: other, sum", "abc")
	chunked.Response.Unsized, chunked.Response.Trailer = true, []web.Field{{Name: "Sum", Value: "6"}, {Name: "Late", Value: "7"}}
	cut := exchange("192.0.2.1:80", "http://a.test/cut", "HTTP/1.1", "Content-Length: 10", "abc")
	cut.Failure = "the connection was reset"
	slow := exchange("192.0.2.1:80", "http://a.test/slow", "HTTP/1.1", "Content-Length: 1", "x")
	slow.FirstByte, slow.Connect = 150*time.Millisecond, 50*time.Millisecond
	away := exchange("192.0.2.1:80", "http://a.test/away", "HTTP/1.1", "Location: /\nSet-Cookie: a=1\nSet-Cookie: a=1", "")
	away.Response.First = "HTTP/1.1 302 Found"
	failed := exchange("192.0.2.9:443", "https://failed.test/", "", "", "")
	failed.Response, failed.Failure = web.Message{}, "connecting: connection refused"
	both := exchange("192.0.2.1:80", "http://a.test/both", "HTTP/1.1", "Trailer: Sum\nSum: 1\nSum: 2\nSum: 3", "abc")
	both.Response.Unsized, both.Response.Trailer = true, []web.Field{{Name: "Sum", Value: "4"}}
	head := exchange("192.0.2.1:80", "http://a.test/head", "HTTP/1.1", "Content-Length: 77", "")
	head.Request.First = "HEAD /head HTTP/1.1"
	said := [2]*web.Exchange{}
	for i, what := range []string{"one", "two"} {
		said[i] = exchange("192.0.2.1:80", "http://a.test/said", "HTTP/1.1", "", what)
		said[i].Request.First, said[i].Request.Body = "POST /said HTTP/1.1", web.Bytes([]byte(what))
	}
	upgraded := exchange("192.0.2.1:80", "http://a.test/upgraded", "HTTP/1.1", "Connection: Upgrade\nUpgrade: websocket\nKeep-Alive: timeout=5\nKind: chat", "")
	upgraded.Response.First = "HTTP/1.1 101 Switching Protocols"
	edited := exchange("192.0.2.1:80", "http://a.test/edited", "HTTP/1.1", "Content-Length: 99", "abc")
	return []*web.Exchange{
		exchange("192.0.2.1:80", "http://a.test/", "HTTP/1.1", "Content-Length: 5\nServer: one\nDate: "+recorded+
			"\nExpires: Tue, 14 Nov 2023 23:13:20 GMT\nLast-Modified: Mon, 13 Nov 2023 22:13:20 GMT\n"+
			"Set-Cookie: id=1; Expires=Wed, 15 Nov 2023 22:13:20 GMT; Path=/\nSet-Cookie: gone=; expires=Thu, 01 Jan 1970 00:00:00 GMT", "hello"),
		chunked, cut, slow, away, failed, upgraded, edited, both, head, said[0], said[1],
		exchange("192.0.2.2:443", "https://two.test/", "HTTP/2.0", "Content-Length: 1000000\nAlt-Svc: h3=\":443\"; ma=60, h2=\":443\"", big),
		exchange("[2001:db8::1]:443", "https://one.test/", "HTTP/1.1", "Content-Length: 3", "one"),
		exchange("192.0.2.2:443", "https://one.test/", "HTTP/1.1", "Content-Length: 3", "one"),
	}
}

// world is a network on loopback: where each recorded address really is.
type world struct {
	tcp, udp map[string]string
	*Servers
	handler *Handler
	misses  chan Miss
	roots   *x509.CertPool
}

func serve(t testing.TB, h *Handler) *world {
	t.Helper()
	all := site()
	w := &world{tcp: map[string]string{}, udp: map[string]string{}, handler: h, misses: make(chan Miss, 100), roots: x509.NewCertPool()}
	h.RoundTrips = RoundTrips(all)
	h.Index, h.Start, h.Miss = match.New(all, match.Fuzzy, nil), time.Now(), func(m Miss) { w.misses <- m }
	a, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	w.roots.AppendCertsFromPEM(a.PEM())
	w.Servers, err = Serve(Origins(all), h, a, Network{
		Listen: func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, "127.0.0.1:0")
			if err == nil {
				w.tcp[address] = l.Addr().String()
			}
			return l, err
		},
		ListenPacket: func(network, address string) (net.PacketConn, error) {
			l, err := net.ListenPacket(network, "127.0.0.1:0")
			if err == nil {
				w.udp[address] = l.LocalAddr().String()
			}
			return l, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// client connects to the server recorded at an address.
func (w *world) client(t testing.TB, server string) *http.Client {
	tr := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: w.roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.tcp[server])
		}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestOrigins(t *testing.T) {
	var got []string
	untold := exchange("192.0.2.2:443", "http://two.test:443/", "HTTP/1.1", "", "this is TLS")
	for _, o := range Origins(append(append([]*web.Exchange{untold}, site()...), untold)) {
		got = append(got, fmt.Sprint(o, " ", o.Scheme, " ", o.H3))
	}
	want := []string{"192.0.2.1:80 http false", "192.0.2.2:443 https true", "[2001:db8::1]:443 https false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := Addresses(site()); len(n) != 4 {
		t.Error(n)
	}
	if d := RoundTrips(site()); len(d) != 1 || d[netip.MustParseAddr("192.0.2.1")] != 50*time.Millisecond {
		t.Error(d)
	}
}

func TestProtocols(t *testing.T) {
	w := serve(t, &Handler{HTTP3: Recorded})
	for _, row := range []struct{ server, url, proto, body string }{
		{"192.0.2.1:80", "http://a.test/", "HTTP/1.1", "hello"},
		{"192.0.2.2:443", "https://two.test/", "HTTP/2.0", big},
		{"192.0.2.2:443", "https://one.test/", "HTTP/1.1", "one"},
		{"[2001:db8::1]:443", "https://one.test/", "HTTP/1.1", "one"},
	} {
		r, body := get(t, w.client(t, row.server), row.url)
		if r.Proto != row.proto || body != row.body || r.StatusCode != 200 {
			t.Errorf("%s: %s %d, %d bytes", row.url, r.Proto, r.StatusCode, len(body))
		}
	}
	if len(w.udp) != 1 {
		t.Fatal(w.udp)
	}
	tr := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots},
		Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, w.udp["192.0.2.2:443"], c, q)
		}}
	defer tr.Close()
	r, body := get(t, &http.Client{Transport: tr}, "https://two.test/")
	if r.Proto != "HTTP/3.0" || body != big || !strings.Contains(r.Header.Get("Alt-Svc"), "h3") {
		t.Errorf("%s %v, %d bytes", r.Proto, r.Header, len(body))
	}
}

func TestHTTP3Switch(t *testing.T) {
	for mode, want := range map[HTTP3]string{Off: "0 ", Everywhere: `2 h3=":443"; ma=86400`} {
		w := serve(t, &Handler{HTTP3: mode})
		r, _ := get(t, w.client(t, "192.0.2.2:443"), "https://two.test/")
		if got := fmt.Sprint(len(w.udp), " ", r.Header.Get("Alt-Svc")); got != want {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

func TestResponses(t *testing.T) {
	w := serve(t, &Handler{Frozen: true})
	c := w.client(t, "192.0.2.1:80")
	r, body := get(t, c, "http://a.test/")
	want := http.Header{"Content-Length": {"5"}, "Server": {"one"}, "Date": {recorded}, "Expires": {"Tue, 14 Nov 2023 23:13:20 GMT"},
		"Last-Modified": {"Mon, 13 Nov 2023 22:13:20 GMT"}, "Set-Cookie": {"id=1; Expires=Wed, 15 Nov 2023 22:13:20 GMT; Path=/",
			"gone=; expires=Thu, 01 Jan 1970 00:00:00 GMT"}}
	if d := cmp.Diff(want, r.Header); d != "" || body != "hello" {
		t.Errorf("%q %s", body, d)
	}
	r, err := c.Get("http://a.test/chunked")
	if err != nil {
		t.Fatal(err)
	}
	announced := fmt.Sprint(r.Trailer)
	all, _ := io.ReadAll(r.Body)
	if string(all) != "abc" || r.ContentLength != -1 || announced != "map[Other:[] Sum:[]]" || r.Trailer.Get("Sum") != "6" || r.Trailer.Get("Late") != "7" {
		t.Errorf("%q %d %s %v", all, r.ContentLength, announced, r.Trailer)
	}
	r, err = c.Get("http://a.test/cut")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); err == nil || string(b) != "abc" || r.ContentLength != 10 {
		t.Errorf("what was cut short is %q, %v", b, err)
	}
	r, _ = get(t, c, "http://a.test/away")
	if r.StatusCode != 302 || len(r.Header["Set-Cookie"]) != 2 || len(r.Header["Date"]) != 0 {
		t.Error(r.StatusCode, r.Header)
	}
	for path, want := range map[string]int64{"": 5, "away": -1, "edited": -1, "head": 77} {
		r, err = c.Head("http://a.test/" + path)
		if err != nil || r.ContentLength != want {
			t.Error(path, r, err)
		}
		r.Body.Close()
	}
	for _, what := range []string{"two", "one"} {
		r, err = c.Post("http://a.test/said", "", io.MultiReader(strings.NewReader(what))) // of a length that is not said
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(r.Body); string(b) != what {
			t.Errorf("%s for %s", b, what)
		}
	}
	r, body = get(t, c, "http://a.test/upgraded") // what followed is not recorded
	if h := r.Header; r.StatusCode != 501 || body != "" || h["Upgrade"] != nil || h["Keep-Alive"] != nil || h.Get("Kind") != "chat" {
		t.Error(r.StatusCode, body, h)
	}
	if r, body = get(t, c, "http://a.test/edited"); r.ContentLength != 3 || body != "abc" {
		t.Error(r.ContentLength, body)
	}
}

// Several clients get one answer at once, each whole.
func TestTogether(t *testing.T) {
	w := serve(t, &Handler{})
	var all sync.WaitGroup
	for range 4 {
		c := w.client(t, "192.0.2.1:80")
		all.Go(func() {
			for range 50 {
				for path, want := range map[string]string{"": "hello <nil> [] 2\n", "both": "abc <nil> [1 2 3 4] 0\n"} {
					r, err := c.Get("http://a.test/" + path)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(r.Body)
					r.Body.Close()
					if got := fmt.Sprintln(string(body), err, r.Trailer["Sum"], len(r.Header["Set-Cookie"])); got != want {
						t.Error(path, got)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestDates(t *testing.T) {
	w := serve(t, &Handler{})
	w.handler.Start = time.Now().Add(-time.Hour)
	get(t, w.client(t, "192.0.2.1:80"), "http://a.test/")
	r, _ := get(t, w.client(t, "192.0.2.1:80"), "http://a.test/")
	date := func(s string) time.Time {
		d, err := http.ParseTime(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	now := date(r.Header.Get("Date"))
	if d := time.Since(now); d < -2*time.Second || d > 10*time.Second {
		t.Error(now)
	}
	if d := date(r.Header.Get("Expires")).Sub(now); d != time.Hour {
		t.Error(d)
	}
	if d := now.Sub(date(r.Header.Get("Last-Modified"))); d < 25*time.Hour || d > 25*time.Hour+10*time.Second {
		t.Error(d)
	}
	cookies := r.Cookies()
	if d := cookies[0].Expires.Sub(now); d != 24*time.Hour {
		t.Error(d)
	}
	if cookies[1].Expires.Year() != 1970 {
		t.Error(cookies[1])
	}
}

func TestShift(t *testing.T) {
	then := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, value, want string
		then              time.Time
	}{
		{"Expires", "Sun, 22 Nov 2026 11:00:00 GMT", "Sun, 22 Nov 2026 12:00:00 GMT", then},
		{"Expires", "Sun, 22 Nov 2026 11:00:00 GMT", "Sun, 22 Nov 2026 11:00:00 GMT", time.Time{}},
		{"Expires", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", then},
		{"Set-Cookie", "a; Expires=Sun, 22 Nov 2026 11:00:00 GMT", "a; Expires=Sun, 22 Nov 2026 11:00:00 GMT", time.Time{}},
		{"Set-Cookie", "a; Expires=Fri, 31 Dec 9999 23:59:59 GMT", "a; Expires=Fri, 31 Dec 9999 23:59:59 GMT", then},
		{"Set-Cookie", "a; Expires=Sun, 22-Nov-26 11:00:00 GMT", "a; Expires=Sun, 22-Nov-26 12:00:00 GMT", then},
		{"Set-Cookie", "a; Expires=Sunday, 22-Nov-26 11:00:00 GMT", "a; Expires=Sunday, 22-Nov-26 12:00:00 GMT", then},
		{"Set-Cookie", "a; Expires=Sun, 22 Nov 2026 11:00:00 UTC", "a; Expires=Sun, 22 Nov 2026 12:00:00 UTC", then},
		{"Set-Cookie", "a; Expires=Sun, 22 Nov 2026 11:00:00 +0000", "a; Expires=Sun, 22 Nov 2026 12:00:00 +0000", then},
		{"Set-Cookie", "a; Expires=Sun, 22 Nov 2026 12:00:00 +0100", "a; Expires=Sun, 22 Nov 2026 13:00:00 +0100", then},
		{"Set-Cookie", "a; Expires=Mon, 31-Dec-68 23:59:59 GMT", "a; Expires=Mon, 31-Dec-68 23:59:59 GMT", then},
		{"Set-Cookie", "a; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a; Expires=Thu, 01 Jan 1970 00:00:00 GMT", then},
	} {
		h := http.Header{row.name: {row.value}}
		shift(h, row.then, then, then.Add(time.Hour))
		if got := h.Get(row.name); got != row.want {
			t.Errorf("%s, not %s", got, row.want)
		}
	}
}

// A server answers what is asked of it as a whole by what was recorded.
func TestOptions(t *testing.T) {
	w := serve(t, &Handler{})
	for server, at := range map[string]string{"192.0.2.1:80": "http://a.test", "192.0.2.2:443": "https://two.test"} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		u.Opaque = "*"
		r, err := w.client(t, server).Do(&http.Request{Method: "OPTIONS", URL: u, Host: u.Host})
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if m := <-w.misses; r.StatusCode != 404 || m.URL != at+"/*" {
			t.Error(r.StatusCode, m)
		}
	}
}

// A body is longer than what is kept of it.
func TestLongBody(t *testing.T) {
	x := exchange("192.0.2.1:80", "http://a.test/said", "HTTP/1.1", "", "heard")
	body := bytes.Repeat([]byte("x"), most+5)
	x.Request.First, x.Request.Body = "POST /said HTTP/1.1", web.Bytes(body)
	h := &Handler{Index: match.New([]*web.Exchange{x}, match.Strict, nil)}
	for size, want := range map[int]int{most + 5: 200, most + 4: 404, most: 404} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "http://a.test/said", bytes.NewReader(body[:size]))
		r.RequestURI = "/said"
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes: %d", size, w.Code)
		}
	}
}

func TestThink(t *testing.T) {
	for _, row := range []struct {
		think Think
		least time.Duration
	}{{Think{}, 0}, {Think{Recorded: true}, 100 * time.Millisecond}, {Think{Fixed: 30 * time.Millisecond}, 30 * time.Millisecond}} {
		w := serve(t, &Handler{Think: row.think})
		start := time.Now()
		get(t, w.client(t, "192.0.2.1:80"), "http://a.test/slow")
		if d := time.Since(start); d < row.least {
			t.Errorf("%+v: %v", row.think, d)
		}
	}
}

func TestMiss(t *testing.T) {
	w := serve(t, &Handler{})
	const says = "nothing recorded answers GET http://a.test/absent; the closest is GET http://a.test/away: its path differs"
	r, body := get(t, w.client(t, "192.0.2.1:80"), "http://a.test/absent")
	if r.StatusCode != 404 || body != "gm-webreplay: "+says+"\n" {
		t.Error(r.StatusCode, body)
	}
	if m := <-w.misses; m.String() != says {
		t.Error(m)
	}
	get(t, w.client(t, "192.0.2.1:80"), "http://a.test/absent")
	get(t, w.client(t, "192.0.2.1:80"), "http://a.test/")
	if served, missed, different := w.handler.Counts(); served != 1 || missed != 2 || different != 1 {
		t.Error(served, missed, different)
	}
}

func TestNames(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	l, err := net.Listen("tcp", u.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	NameServer(Names(site())).Serve(u, l)
	for _, row := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string
	}{
		{"a.test.", dns.TypeA, dns.RcodeSuccess, "192.0.2.1"},
		{"A.Test.", dns.TypeA, dns.RcodeSuccess, "192.0.2.1"},
		{"a.test.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"one.test.", dns.TypeAAAA, dns.RcodeSuccess, "2001:db8::1"},
		{"one.test.", dns.TypeHTTPS, dns.RcodeSuccess, ""},
		{"failed.test.", dns.TypeA, dns.RcodeSuccess, "192.0.2.9"},
		{"other.test.", dns.TypeA, dns.RcodeNameError, ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			q := new(dns.Msg).SetQuestion(row.name, row.kind)
			r, _, err := (&dns.Client{Net: network}).Exchange(q, u.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, rr := range r.Answer {
				f := strings.Fields(rr.String())
				got += f[len(f)-1]
			}
			if r.Rcode != row.rcode || got != row.want {
				t.Errorf("%s %d over %s: %d %q", row.name, row.kind, network, r.Rcode, got)
			}
		}
	}
}

func TestOffers(t *testing.T) {
	for value, want := range map[string]string{`h3=":443"; ma=86400`: "[443]", `h3-29=":443", h3=":8443"`: "[8443]",
		`h3="other.test:443"`: "[]", `clear`: "[]", `h2=":443"`: "[]", `h3=":99999"`: "[]", ``: "[]"} {
		if got := fmt.Sprint(offers(value)); got != want {
			t.Errorf("%s: %s", value, got)
		}
	}
}

// Whatever a cookie is, only its date changes, and not at all by no time.
func FuzzCookie(f *testing.F) {
	f.Add("id=1; Expires=Wed, 15 Nov 2023 22:13:20 GMT; Path=/")
	f.Add("id=1; expires=Wed, 15-Nov-23 22:13:20 GMT")
	f.Fuzz(func(t *testing.T, cookie string) {
		if got := movedCookie(cookie, time.Hour); strings.Count(got, ";") != strings.Count(cookie, ";") {
			t.Errorf("%q became %q", cookie, got)
		}
	})
}

func BenchmarkServe(b *testing.B) {
	w := serve(b, &Handler{})
	for _, row := range []struct{ name, server, url string }{{"h1", "192.0.2.1:80", "http://a.test/"}, {"h2", "192.0.2.2:443", "https://two.test/"}} {
		b.Run(row.name, func(b *testing.B) {
			c := w.client(b, row.server)
			for b.Loop() {
				r, err := c.Get(row.url)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
