package match

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"gomahi/web"
)

// exchange is one whose response says which it is. Head is "METHOD URL" and header lines of the request; those after an
// empty line are the response's.
func exchange(id, head string) *web.Exchange {
	request, response, _ := strings.Cut(head, "\n\n")
	lines := strings.Split(request, "\n")
	method, url, _ := strings.Cut(lines[0], " ")
	scheme, rest, _ := strings.Cut(url, "://")
	host, path, _ := strings.Cut(rest, "/")
	x := &web.Exchange{Server: netip.MustParseAddrPort("192.0.2.1:80"), Scheme: scheme}
	x.Request = web.Message{First: method + " /" + path + " HTTP/1.1", Header: append([]web.Field{{Name: "Host", Value: host}}, parse(lines[1:])...)}
	if body := x.Request.Get("Body"); body != "" {
		x.Request.Body = web.Bytes([]byte(body))
		x.Request.Remove("Body")
	}
	x.Response = web.Message{First: "HTTP/1.1 200 " + id, Header: parse(strings.Split(response, "\n"))}
	return x
}

func parse(lines []string) (out []web.Field) {
	for _, l := range lines {
		if name, value, ok := strings.Cut(l, ": "); ok {
			out = append(out, web.Field{Name: name, Value: value})
		}
	}
	return out
}

func request(head string) *Request {
	x := exchange("", head)
	r := &Request{Scheme: x.Scheme, Method: x.Method(), Host: x.Host(), Target: x.Target(), Header: http.Header{}, Body: x.Request.Body.Bytes()}
	for _, f := range x.Request.Header[1:] {
		r.Header.Add(f.Name, f.Value)
	}
	return r
}

func id(x *web.Exchange) string {
	if x == nil {
		return "miss"
	}
	return strings.TrimPrefix(x.Response.First, "HTTP/1.1 200 ")
}

var site = map[string]string{
	"since":   "GET http://a.test/dated\nIf-Modified-Since: Mon, 13 Nov 2023 22:13:20 GMT",
	"since-2": "GET http://a.test/dated\nIf-Modified-Since: yesterday",
	"rest":    "GET http://a.test/dated\nRange: bytes=5-\nIf-Range: Mon, 13 Nov 2023 22:13:20 GMT",
	"host":    "GET http://a.test/host\n\nVary: Host",
	"begun":   "GET http://a.test/film\nRange: bytes=0-9\nIf-Range: x",
	"film":    "GET http://a.test/film",
	"tag":     "GET http://a.test/tag\nIf-None-Match: x",
	"untag":   "GET http://a.test/tag",
	"a":       "GET http://a.test/",
	"a-https": "GET https://a.test/",
	"q1":      "GET http://a.test/q?x=100&t=1",
	"q2":      "GET http://a.test/q?x=123&t=2",
	"post-1":  "POST http://a.test/form\nBody: one",
	"post-2":  "POST http://a.test/form\nBody: two",
	"plain":   "GET http://a.test/coded\nAccept-Encoding: identity\n\nVary: accept-encoding, Origin",
	"gzip":    "GET http://a.test/coded\nAccept-Encoding: gzip\n\nVary: accept-encoding, Origin",
	"whole":   "GET http://a.test/ranged",
	"part":    "GET http://a.test/ranged\nRange: bytes=0-9",
	"agent":   "GET http://a.test/agent\nUser-Agent: one",
	"port":    "GET http://a.test:8080/",
	"again-1": "GET http://a.test/again",
	"login":   "GET http://a.test/home",
	"home":    "GET http://a.test/home\nCookie: b=1; a=2",
}

func index(mode Mode, ignore *regexp.Regexp) *Index {
	var all []*web.Exchange
	for _, name := range []string{"a", "a-https", "q1", "q2", "post-1", "post-2", "plain", "gzip", "whole", "part", "agent", "port", "again-1", "login", "home",
		"since", "since-2", "rest", "host", "begun", "film", "tag", "untag"} {
		all = append(all, exchange(name, site[name]))
	}
	all = append(all, exchange("again-2", site["again-1"]), exchange("again-3", site["again-1"]))
	failed := exchange("failed", "GET http://a.test/failed")
	failed.Response = web.Message{}
	return New(append(all, failed), mode, ignore)
}

func TestFind(t *testing.T) {
	for _, row := range []struct{ name, request, fuzzy, strict, mahimahi string }{
		{"as recorded", "GET http://a.test/", "a", "a", "a"},
		{"over TLS", "GET https://a.test/", "a-https", "a-https", "a-https"},
		{"with a port", "GET http://a.test:8080/", "port", "port", "port"},
		{"the host's case and default port", "GET http://A.test:80/", "a", "a", "a"},
		{"another path", "GET http://a.test/b", "miss", "miss", "miss"},
		{"another host", "GET http://b.test/", "miss", "miss", "miss"},
		{"without a response", "GET http://a.test/failed", "miss", "miss", "miss"},
		{"a query as recorded", "GET http://a.test/q?x=123&t=2", "q2", "q2", "q2"},
		{"a similar query", "GET http://a.test/q?x=120", "q2", "miss", "q2"},
		{"another query", "GET http://a.test/q?y", "q1", "miss", "q1"},
		{"a body", "POST http://a.test/form\nBody: two", "post-2", "post-2", "post-1"},
		{"another body", "POST http://a.test/form\nBody: three", "post-1", "miss", "post-1"},
		{"another method", "PUT http://a.test/form", "miss", "miss", "miss"},
		{"HEAD of what was got", "HEAD http://a.test/", "a", "miss", "miss"},
		{"varying", "GET http://a.test/coded\nAccept-Encoding: gzip", "gzip", "gzip", "plain"},
		{"varying otherwise", "GET http://a.test/coded\nAccept-Encoding: br", "plain", "miss", "plain"},
		{"a range", "GET http://a.test/ranged\nRange: bytes=0-9", "part", "part", "whole"},
		{"no range", "GET http://a.test/ranged", "whole", "whole", "whole"},
		{"another range", "GET http://a.test/film\nRange: bytes=5-6\nIf-Range: x", "film", "miss", "begun"},
		{"another tag", "GET http://a.test/tag\nIf-None-Match: y", "untag", "miss", "tag"},
		{"a date that moved", "GET http://a.test/dated\nIf-Modified-Since: Sun, 22 Nov 2026 22:13:20 GMT", "since", "since", "since"},
		{"no date", "GET http://a.test/dated\nIf-Modified-Since: yesterday", "since-2", "since-2", "since"},
		{"a range of a date that moved", "GET http://a.test/dated\nRange: bytes=5-\nIf-Range: Sun, 22 Nov 2026 22:13:20 GMT", "rest", "rest", "since"},
		{"varying by host", "GET http://a.test/host", "host", "host", "host"},
		{"no cookie", "GET http://a.test/home", "login", "login", "login"},
		{"cookies of the same names", "GET http://a.test/home\nCookie: a=3\nCookie: b=4", "home", "home", "login"},
		{"other cookies", "GET http://a.test/home\nCookie: a=3", "login", "login", "login"},
		{"a user agent", "GET http://a.test/agent\nUser-Agent: one", "agent", "agent", "agent"},
		{"another user agent", "GET http://a.test/agent\nUser-Agent: two", "agent", "agent", "miss"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for mode, want := range map[Mode]string{Fuzzy: row.fuzzy, Strict: row.strict, Mahimahi: row.mahimahi} {
				if got := id(index(mode, nil).Find(request(row.request))); got != want {
					t.Errorf("%s: %s, not %s", mode, got, want)
				}
			}
		})
	}
}

// A request's target is looked for as one that was recorded is.
func TestFrom(t *testing.T) {
	for target, want := range map[string]string{"/a?b": "/a?b", "//a/b": "//a/b", "http://s.test/a?b": "/a?b", "http://s.test": "/", "*": "*"} {
		x := &web.Exchange{Request: web.Message{First: "GET " + target + " HTTP/1.1"}}
		if got := From("http", &http.Request{RequestURI: target}, nil).Target; got != want || x.Target() != want {
			t.Errorf("%s: %s, and recorded %s", target, got, x.Target())
		}
	}
}

// Of a long body only the beginning is compared, and the length.
func TestLongBody(t *testing.T) {
	ix := index(Strict, nil)
	for _, row := range []struct {
		body string
		rest int64
		want string
	}{{"tw", 1, "post-2"}, {"tw", 2, "miss"}, {"tw", 0, "miss"}, {"on", 1, "post-1"}, {"two", 1, "miss"}} {
		r := request("POST http://a.test/form\nBody: " + row.body)
		r.Rest = row.rest
		if got := id(ix.Find(r)); got != row.want {
			t.Errorf("%s and %d bytes: %s, not %s", row.body, row.rest, got, row.want)
		}
	}
}

func TestRepeats(t *testing.T) {
	r := request("GET http://a.test/again")
	for mode, want := range map[Mode]string{Fuzzy: "again-1 again-2 again-3 again-3", Strict: "again-1 again-2 again-3 again-3",
		Mahimahi: "again-1 again-1 again-1 again-1"} {
		ix := index(mode, nil)
		var got []string
		for range 4 {
			got = append(got, id(ix.Find(r)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
}

func TestIgnoreQuery(t *testing.T) {
	ix := index(Strict, regexp.MustCompile("^(t|_)$"))
	for query, want := range map[string]string{"x=123&t=99": "q2", "_=5&x=100": "q1", "x=123&t=2&u=1": "miss"} {
		if got := id(ix.Find(request("GET http://a.test/q?" + query))); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
}

func TestClosest(t *testing.T) {
	for _, row := range []struct {
		name, request string
		mode          Mode
		want          string
	}{
		{"path", "GET http://a.test/rangex", Fuzzy, "whole its path differs"},
		{"scheme", "GET https://a.test/q", Fuzzy, "a-https its path differs"},
		{"method", "PUT http://a.test/", Fuzzy, "a its method differs"},
		{"query", "GET http://a.test/q?x=12", Strict, "q2 its query differs"},
		{"body", "POST http://a.test/form", Strict, "post-1 its body differs"},
		{"range", "GET http://a.test/ranged\nRange: bytes=5-6", Strict, "whole its range or conditions differ"},
		{"vary", "GET http://a.test/coded\nAccept-Encoding: br", Strict, "plain headers differ that its Vary names"},
		{"agent", "GET http://a.test/agent", Mahimahi, "agent its User-Agent differs"},
		{"nothing", "GET http://c.test/", Fuzzy, "miss "},
	} {
		t.Run(row.name, func(t *testing.T) {
			ix := index(row.mode, nil)
			if x := ix.Find(request(row.request)); x != nil {
				t.Fatal(id(x))
			}
			x, why := ix.Closest(request(row.request))
			if got := id(x) + " " + why; got != row.want {
				t.Errorf("%s, not %s", got, row.want)
			}
		})
	}
}

// What failed when it was recorded answers nothing, and is named as the reason.
func TestClosestFailed(t *testing.T) {
	x := exchange("failed", "GET http://a.test/broken")
	x.Response, x.Failure = web.Message{}, "the server reset the connection"
	ix := New([]*web.Exchange{exchange("other", "GET http://a.test/brok"), x}, Fuzzy, nil)
	if x := ix.Find(request("GET http://a.test/broken")); x != nil {
		t.Error(id(x))
	}
	if got, why := ix.Closest(request("GET http://a.test/broken")); got != x || why != "it failed when it was recorded: the server reset the connection" {
		t.Errorf("%v: %s", got, why)
	}
}

// Whatever is asked, what is found has the scheme, host and path asked for; what was recorded is found, by itself where
// it is the only one of its kind; and strict finds nothing that fuzzy does not.
func FuzzFind(f *testing.F) {
	f.Add("GET", "/q", "x=12", "y", "a=1")
	f.Fuzz(func(t *testing.T, method, path, query, other, header string) {
		line := func(q string) string { return fmt.Sprintf("%s http://a.test/%s?%s\nX: %s", method, path, q, header) }
		ok := func(s string) bool {
			return !strings.ContainsAny(s, "?# \t\r\n\v\f\u0085\u00a0") && strings.ToValidUTF8(s, "") == s
		}
		if method == "" || !ok(method) || !ok(path) || !ok(query) || !ok(other) || len(strings.Fields(method+path+query+other)) > 1 {
			return // no request
		}
		both := []*web.Exchange{exchange("one", line(query)), exchange("two", line(other))}
		r := request(line(query))
		if x := New(both, Strict, nil).Find(r); id(x) != "one" {
			t.Errorf("%q among %q: %s", query, other, id(x))
		}
		if x := New(both[1:], Fuzzy, nil).Find(r); x == nil || x.Target() != both[1].Target() {
			t.Error("fuzzy finds nothing")
		}
		r.Target += "x"
		strict, fuzzy := New(both, Strict, nil).Find(r), New(both, Fuzzy, nil).Find(r)
		if strict != nil && fuzzy != strict {
			t.Errorf("%s and %s", id(strict), id(fuzzy))
		}
		r.Target = "/other" + r.Target
		if x := New(both, Fuzzy, nil).Find(r); x != nil {
			t.Error("found at another path")
		}
	})
}

func BenchmarkFind(b *testing.B) {
	var all []*web.Exchange
	for i := range 1000 {
		all = append(all, exchange("x", fmt.Sprintf("GET http://a.test/%d", i)))
	}
	ix := New(all, Fuzzy, nil)
	r := request("GET http://a.test/500")
	b.ReportAllocs()
	for b.Loop() {
		ix.Find(r)
	}
}
