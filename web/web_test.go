package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

const original = "testdata/original" // recorded by the original

func content(t testing.TB, b Body) string {
	t.Helper()
	got, err := io.ReadAll(b.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func stored(x *Exchange) (b []byte) {
	for _, part := range x.marshal(0) {
		b = append(b, part.data...)
	}
	return b
}

func sample() *Exchange {
	return &Exchange{
		Server: netip.MustParseAddrPort("[2001:db8::7]:8443"), Scheme: "https",
		Request: Message{First: "POST /a?b=c HTTP/1.1", Header: []Field{{"Host", "Www.Example:8443"}, {"Cookie", "a=1"}, {"cookie", "b=2"}},
			Body: Bytes([]byte("asked"))},
		Response: Message{First: "HTTP/1.1 206 Partial Content", Header: []Field{{"Set-Cookie", "x"}, {"Set-Cookie", "x"}, {"Content-Length", "8"}},
			Body: Bytes([]byte("answered")), Trailer: []Field{{"Checksum", "1"}}, Unsized: true},
		ServerName: "www.example", Protocol: "HTTP/2.0", Order: 7, Start: time.Unix(1700000000, 5),
		FirstByte: 3 * time.Millisecond, Duration: 4 * time.Millisecond, Connect: 5 * time.Millisecond, TLS: 6 * time.Millisecond,
		Failure: "the connection was reset",
	}
}

// What the original wrote is read, and written again byte for byte.
func TestOriginal(t *testing.T) {
	all, err := Load(original)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, x := range all {
		got[x.URL()] = fmt.Sprint(x.Server, " ", x.Method(), " ", x.Status(), " ", x.Request.Get("user-agent"), " ", x.Response.Body.Size())
		file, err := os.ReadFile(x.File)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored(x), file) {
			t.Errorf("%s would not be written as it was", x.File)
		}
	}
	want := map[string]string{
		"http://www.test/":           "192.0.2.10:80 GET 200 curl/7.88.1 108",
		"http://www.test/a.png":      "192.0.2.10:80 GET 200 curl/7.88.1 3000",
		"http://cdn.test/app.js?v=3": "198.51.100.20:80 GET 200 curl/7.88.1 18",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRoundTrip(t *testing.T) {
	d, err := Create(filepath.Join(t.TempDir(), "site"), false)
	if err != nil {
		t.Fatal(err)
	}
	x := sample()
	x.other = appendString(nil, 99, "of another program")
	piece := strings.Repeat("0123456789", 1000)
	long := func() Body { // one that goes to disk
		s := d.Spool()
		t.Cleanup(s.Close)
		for range 50 {
			io.WriteString(s, piece)
		}
		body, err := s.Body()
		if err != nil || body.file == nil {
			t.Fatal(body.file, err)
		}
		return body
	}
	body := long()
	x.Response.Body = body
	name, err := d.Write(x)
	if err != nil {
		t.Fatal(err)
	}
	if spooled, err := body.file.Stat(); err != nil {
		t.Error(err)
	} else if file, err := os.Stat(name); err != nil || !os.SameFile(spooled, file) {
		t.Error("a large body was copied", err)
	}
	y, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, y.Response.Body); got != strings.Repeat(piece, 50) {
		t.Errorf("a body of %d bytes", len(got))
	}
	x.File, x.Response.Body, y.Response.Body = name, Body{}, Body{}
	if a, b := fmt.Sprintf("%+v", x), fmt.Sprintf("%+v", y); a != b {
		t.Errorf("wrote %s\nread %s", a, b)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	for _, response := range []Body{Bytes([]byte("short")), long()} {
		z := sample()
		z.Request.Body, z.Response.Body = long(), response
		if name, err = d.Write(z); err != nil {
			t.Fatal(err)
		}
		z, err = Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if z.Response.Body.Size() != response.Size() || content(t, z.Request.Body) != strings.Repeat(piece, 50) {
			t.Errorf("%+v", z)
		}
	}
	for what, pair := range map[string][2]string{"host": {x.Host(), "www.example:8443"}, "name": {x.Name(), "www.example"},
		"URL": {x.URL(), "https://www.example:8443/a?b=c"}} {
		if pair[0] != pair[1] {
			t.Errorf("%s %q, not %q", what, pair[0], pair[1])
		}
	}
}

// An IPv6 server has a stand-in for the original, which reads the first field alone.
func TestStandIn(t *testing.T) {
	b := stored(sample())
	a := StandIn("2001:db8::7")
	if !bytes.HasPrefix(b, appendString(nil, fieldIP, a.String())) {
		t.Errorf("%x", b[:20])
	}
	if !netip.MustParsePrefix("198.18.0.0/15").Contains(a) {
		t.Error(a)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(dir, false); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if _, err := Create(dir, true); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("no exchange"), 0o600)
	if _, err := Create(file, true); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Error(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), file+" is not a recorded exchange") {
		t.Error(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") { // at once
		t.Error(err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no recorded exchanges") {
		t.Error(err)
	}
}

// Exchanges come in the order of their requests, whatever their files' names are.
func TestOrder(t *testing.T) {
	type recorded struct{ order, start uint64 }
	for _, row := range []struct {
		name    string
		written []recorded
		want    string
	}{
		{"a run", []recorded{{2, 20}, {1, 10}, {3, 20}}, "[1 2 3]"},
		{"two runs", []recorded{{1, 50}, {2, 60}, {1, 10}, {2, 20}}, "[1 2 1 2]"},
		{"without times", []recorded{{3, 0}, {1, 0}, {2, 0}}, "[1 2 3]"},
		{"places", []recorded{{Placed + 2, 10}, {Placed + 1, 20}, {Placed + 3, 0}}, "[4294967297 4294967298 4294967299]"},
		{"all kinds", []recorded{{1, 1}, {Placed + 1, 20}, {0, 0}}, "[0 4294967297 1]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := Create(t.TempDir(), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range row.written {
				x := sample()
				x.Order, x.Start = r.order, time.Time{}
				if r.start != 0 {
					x.Start = time.Unix(int64(r.start), 0)
				}
				if _, err := d.Write(x); err != nil {
					t.Fatal(err)
				}
			}
			all, err := Load(d.Path())
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			last := time.Time{}
			for _, x := range all {
				got = append(got, x.Order)
				if row.name == "two runs" && x.Start.Before(last) {
					t.Error("the runs are mixed")
				}
				last = x.Start
			}
			if fmt.Sprint(got) != row.want {
				t.Errorf("%d, not %s", got, row.want)
			}
		})
	}
}

// What is asked of a server as a whole has a URL too, of the same host.
func TestURL(t *testing.T) {
	for first, want := range map[string]string{"OPTIONS * HTTP/1.1": "http://a.test/*", "GET /b?c HTTP/1.1": "http://a.test/b?c", "": "http://a.test"} {
		x := &Exchange{Scheme: "http", Request: Message{First: first, Header: []Field{{"Host", "a.test"}}}}
		if got := x.URL(); got != want {
			t.Errorf("%s: %s", first, got)
		}
	}
}

func TestParseErrors(t *testing.T) {
	good := func() []byte { return stored(sample()) }
	for _, row := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, `its server's address is ""`},
		{"cut short", good()[:50], "unexpected EOF"},
		{"a wrong type", appendNumber(nil, fieldIP, 1), "field 1 is of wire type 0, not 2"},
		{"no address", appendString(good(), fieldIP6, "here"), `its server's address is "here"`},
		{"port 0", appendNumber(good(), fieldPort, 0), "its server's port is 0"},
		{"a large port", appendNumber(good(), fieldPort, 65536), "its server's port is 65536"},
		{"an unknown scheme", appendNumber(good(), fieldScheme, 3), "its scheme is 3, not 1 (HTTP) or 2 (HTTPS)"},
		{"a negative time", appendNumber(good(), fieldTLS, 1<<63), "one of its times is negative"},
		{"a bad request", appendString(good(), fieldRequest, "\x0a"), "its request: unexpected EOF"},
		{"no failure, no request", stored(&Exchange{Server: sample().Server, Scheme: "http"}), "it has no request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Parse(row.b); err == nil || err.Error() != row.want {
				t.Errorf("%v, not %s", err, row.want)
			}
		})
	}
}

func TestUnchunk(t *testing.T) {
	for _, row := range []struct{ name, coding, body, want string }{
		{"chunked", "chunked", "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789"},
		{"trailers", "Chunked", "1\r\na\r\n0\r\nSum: 1\r\n\r\n", "a"},
		{"empty", "chunked", "0\r\n\r\n", ""},
		{"already without", "chunked", "plain", "plain"},
		{"cut short", "chunked", "3\r\nab", "3\r\nab"},
		{"more after it", "chunked", "0\r\n\r\nmore", "0\r\n\r\nmore"},
		{"too long a chunk", "chunked", "3fffffffffffffff\r\nab\r\n", "3fffffffffffffff\r\nab\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := Message{Header: []Field{{"Transfer-Encoding", row.coding}}, Body: Bytes([]byte(row.body))}
			m.unchunk()
			if got := string(m.Body.Bytes()); got != row.want || !m.Unsized || m.Get("Content-Length") != fmt.Sprint(len(row.want)) {
				t.Errorf("%q %v", got, m.Header)
			}
		})
	}
}

// Where a file cannot be stored there is an error, and nothing is left.
func TestNoSpace(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "size=200k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	d, err := Create(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	x := sample()
	x.Response.Body = Bytes(make([]byte, 40<<10))
	for err == nil {
		_, err = d.Write(x)
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
	all, err := Load(dir)
	if err != nil || len(all) == 0 {
		t.Error(len(all), err)
	}
	s := d.Spool()
	defer s.Close()
	if n, err := s.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
		t.Error(n, err)
	}
	if _, err := s.Body(); err == nil {
		t.Error("a spool that did not fit has a body")
	}
}

// What parses is written so that it parses to the same.
func FuzzParse(f *testing.F) {
	names, err := Files(original)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(stored(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			return
		}
		x.URL()
		x.Name()
		x.Status()
		once := stored(x)
		y, err := Parse(once)
		if err != nil {
			t.Fatal(err)
		}
		if again := stored(y); !bytes.Equal(once, again) {
			t.Errorf("%x\nbecame %x", once, again)
		}
		x.Response.unchunk()
	})
}

// A body that is chunked again and decoded is itself.
func FuzzUnchunk(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		unchunked(b)
		size = max(1, size)
		var framed []byte
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			framed = append(fmt.Appendf(framed, "%x\r\n", n), rest[:n]...)
			framed, rest = append(framed, "\r\n"...), rest[n:]
		}
		got, _, ok := unchunked(append(framed, "0\r\n\r\n"...))
		if !ok || !bytes.Equal(got, b) {
			t.Errorf("%q became %q, %v", b, got, ok)
		}
	})
}
