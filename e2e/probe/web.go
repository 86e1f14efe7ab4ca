package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"

	"gomahi/web/authority"
	"gomahi/web/replay"
)

// A small internet, of the server's: sites, each at addresses of its own.
var sites = []struct {
	name, addresses string
	protocols       string // http, h1, h2, h3
	page            http.HandlerFunc
}{
	{"www.site.test", "198.51.100.11 2001:db8:2::11", "h2", text(page)},
	{"plain.site.test", "198.51.100.12", "http", text("plain")},
	{"old.site.test", "198.51.100.13", "h1", text("old")},
	{"img.site.test", "198.51.100.14", "h2 h3", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":443"; ma=60`)
		w.Write(picture)
	}},
	{"chunk.site.test", "198.51.100.15", "http", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		for _, part := range []string{"one", "two", "three"} {
			io.WriteString(w, part)
			http.NewResponseController(w).Flush()
		}
		w.Header().Set("Sum", "11")
	}},
	{"zip.site.test", "198.51.100.16", "h2", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Content-Encoding", "br")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "br") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			io.WriteString(z, strings.Repeat("zipped", 1000))
			return
		}
		w.Write([]byte{0x0b, 0x02, 0x80, 'h', 'e', 'l', 'l', 'o', 0x03}) // "hello"
	}},
	{"range.site.test", "198.51.100.17", "h1", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.bin", time.Unix(1700000000, 0), bytes.NewReader(make([]byte, 5000)))
	}},
	{"away.site.test", "198.51.100.18", "http", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://www.site.test/", http.StatusMovedPermanently)
	}},
	{"cookie.site.test", "198.51.100.19", "h2", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("seen"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Expires: time.Now().Add(time.Hour)})
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		io.WriteString(w, "seen")
	}},
	{"slow.site.test", "198.51.100.20", "http", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		io.WriteString(w, "slow")
	}},
	{"reset.site.test", "198.51.100.21", "http", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "begun")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}},
	{"bad.site.test", "198.51.100.22", "h2", text("bad")},
	{"six.site.test", "2001:db8:2::23", "h2", text("six")},
}

// page gets some of the sites, and turns into a list of what the browser got.
const page = `<html><link rel="icon" href="data:,"><body><script src="app.js"></script><script crossorigin src="https://old.site.test/"></script>
<script crossorigin src="https://six.site.test/"></script><link crossorigin rel="stylesheet" href="https://zip.site.test/">
<img crossorigin src="https://img.site.test/"><img src="https://bad.site.test/"><link rel="preload" as="fetch" crossorigin href="https://range.site.test/">
<iframe src="https://cookie.site.test/"></iframe><script>done = new Promise(end => onload = async () => {
await fetch("https://old.site.test/?posted", {method: "POST", body: "asked"}).then(r => r.text())
document.body.innerText = "got\n" +
performance.getEntriesByType("resource").map(e => [e.name, e.nextHopProtocol, e.encodedBodySize, e.responseStatus].join(" "))
.sort().join("\n") + "\nall"; end() })</script></body></html>`

// picture does not compress.
var picture = func() []byte {
	p := image.NewGray(image.Rect(0, 0, 500, 400))
	io.ReadFull(stream(), p.Pix)
	var b bytes.Buffer
	png.Encode(&b, p)
	return b.Bytes()
}()

var anything = make([]byte, 128<<10)

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

// websites serves the small internet, and its names on port 53 of all addresses. The authority of its
// certificates goes to a file, and the hash of its key to one with .spki behind the name.
func websites(args []string) error {
	a, err := authority.New("the test's")
	if err != nil {
		return err
	}
	nobody, err := authority.New("nobody's")
	if err != nil {
		return err
	}
	names := replay.NameServer{}
	for _, s := range sites {
		for at := range strings.FieldsSeq(s.addresses) {
			ip := netip.MustParseAddr(at)
			names[s.name] = append(names[s.name], ip)
			if err := address("lo", netip.PrefixFrom(ip, ip.BitLen()).String()); err != nil {
				return err
			}
			signs := a
			if s.name == "bad.site.test" {
				signs = nobody
			}
			if err := site(ip, s.protocols, s.page, signs); err != nil {
				return err
			}
		}
	}
	u, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	t, err := net.Listen("tcp", ":53")
	if err != nil {
		return err
	}
	names.Serve(u, t)
	if err := os.WriteFile(args[0]+".spki", []byte(a.SPKI()), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(args[0], a.PEM(), 0o644); err != nil {
		return err
	}
	return forever(nil)
}

func site(ip netip.Addr, protocols string, page http.Handler, signs *authority.Authority) error {
	timed := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Timing-Allow-Origin", "*") // or pages of other sites see no figures
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64); err == nil { // of anything, whichever the site
			w.Header().Set("Content-Length", fmt.Sprint(n))
			for ; n > 0; n -= int64(len(anything)) {
				w.Write(anything[:min(n, int64(len(anything)))])
			}
			return
		}
		page.ServeHTTP(w, r)
	}
	certificate := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return signs.Certificate(h.ServerName) }
	config := &tls.Config{GetCertificate: certificate}
	port := uint16(443)
	if protocols == "http" {
		port = 80
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(ip, port).String())
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(timed), TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	switch {
	case protocols == "http":
		go s.Serve(l)
	case protocols == "h1":
		s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		go s.ServeTLS(l, "", "")
	default:
		go s.ServeTLS(l, "", "")
	}
	if strings.Contains(protocols, "h3") {
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			return err
		}
		h3 := &http3.Server{Handler: http.HandlerFunc(timed), TLSConfig: http3.ConfigureTLSConfig(&tls.Config{GetCertificate: certificate})}
		go h3.Serve(u)
	}
	return nil
}

// browse gets everything that the small internet has, so often, and prints what it got. With -h3 it is HTTP/3 that gets what is so named.
func browse(args []string) error {
	f := flag.NewFlagSet("browse", flag.ExitOnError)
	n := f.Int("n", 1, "rounds")
	h3 := f.String("h3", "", "by HTTP/3")
	f.Parse(args)
	if *h3 != "" {
		t := &http3.Transport{}
		defer t.Close()
		return show(&http.Client{Transport: t}, "GET", *h3)
	}
	for range *n {
		if err := round(); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets something, and prints how fast it came.
func fetch(args []string) error {
	start := time.Now()
	res, err := (&http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{}}}).Get(args[0])
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, make([]byte, 128<<10))
	fmt.Printf("%s %d bytes %.1f MB/s\n", res.Proto, n, float64(n)/1e6/time.Since(start).Seconds())
	return err
}

func round() error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	t := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{}}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, Jar: jar, Timeout: 10 * time.Second}
	for _, s := range sites {
		scheme := "https"
		if s.protocols == "http" {
			scheme = "http"
		}
		url := scheme + "://" + s.name + "/"
		err = errors.Join(err, show(c, "GET", url))
		switch s.name {
		case "zip.site.test":
			err = errors.Join(err, show(c, "GET", url, "Accept-Encoding: br"))
		case "range.site.test":
			err = errors.Join(err, show(c, "GET", url, "Range: bytes=10-19"), show(c, "HEAD", url))
		case "plain.site.test":
			err = errors.Join(err, show(c, "POST", url), show(c, "GET", url+"a%2Fb?x=1&y"))
		}
	}
	return err
}

// show prints what is answered, but for what changes by itself.
func show(c *http.Client, method, url string, headers ...string) error {
	r, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		return err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := c.Do(r)
	if err != nil {
		fmt.Println(method, url, headers, "no answer", errors.As(err, new(x509.UnknownAuthorityError)))
		return nil
	}
	defer res.Body.Close()
	h := sha256.New()
	size, err := io.Copy(h, res.Body)
	var lines []string
	for name, values := range res.Header {
		if !slices.Contains([]string{"Date", "Last-Modified", "Set-Cookie"}, name) {
			lines = append(lines, fmt.Sprint(name, values))
		}
	}
	slices.Sort(lines)
	fmt.Printf("%s %s %v %s %s %d bytes %x of %d %v %v %v\n", method, url, headers, res.Status, res.Proto, size, h.Sum(nil)[:6], res.ContentLength,
		lines, res.Trailer, err == nil)
	return nil
}
