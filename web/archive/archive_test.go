package archive

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"gomahi/web"
)

func zipped(t testing.TB, s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample(t testing.TB) []*web.Exchange {
	z := zipped(t, "console.log(1)")
	all := []*web.Exchange{
		{Server: netip.MustParseAddrPort("[2001:db8::7]:443"), Scheme: "https", Protocol: "HTTP/2.0", Order: 1,
			Start: time.Unix(1700000000, 5e6).UTC(), Connect: 5e6, TLS: 7e6, FirstByte: 11e6, Duration: 13e6,
			Request: web.Message{First: "GET /a.js?v=1&w HTTP/1.1", Header: []web.Field{{Name: "Host", Value: "a.test"}, {Name: "Cookie", Value: "x"}}},
			Response: web.Message{First: "HTTP/1.1 200 OK", Body: web.Bytes(z),
				Header: []web.Field{{Name: "Content-Type", Value: "text/javascript"}, {Name: "Content-Encoding", Value: "gzip"}, {Name: "Content-Length", Value: fmt.Sprint(len(z))}}}},
		{Server: netip.MustParseAddrPort("192.0.2.1:8080"), Scheme: "http", Protocol: "HTTP/1.1", Order: 2, Start: time.Unix(1700000001, 0).UTC(),
			Request: web.Message{First: "POST /b HTTP/1.1", Header: []web.Field{{Name: "Host", Value: "a.test:8080"}}, Body: web.Bytes([]byte{0xff, 0})},
			Response: web.Message{First: "HTTP/1.1 404 Not Found", Body: web.Bytes([]byte{0xfe}), Unsized: true,
				Header: []web.Field{{Name: "Set-Cookie", Value: "a"}, {Name: "Set-Cookie", Value: "b"}, {Name: "Content-Encoding", Value: "br"}, {Name: "Content-Length", Value: "1"}}}},
	}
	return all
}

func TestHAR(t *testing.T) {
	var b bytes.Buffer
	if err := ExportHAR(&b, "0.1", sample(t)); err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Log struct {
			Version string
			Entries []map[string]any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &whole); err != nil || whole.Log.Version != "1.2" || len(whole.Log.Entries) != 2 {
		t.Fatal(err, b.String())
	}
	for _, needed := range []string{"startedDateTime", "time", "request", "response", "cache", "timings"} {
		if _, ok := whole.Log.Entries[0][needed]; !ok {
			t.Errorf("an entry has no %s", needed)
		}
	}
	var back []*web.Exchange
	stored, left, err := ImportHAR(&b, func(x *web.Exchange) error { back = append(back, x); return nil })
	if err != nil || stored != 2 || left != 0 {
		t.Fatal(stored, left, err)
	}
	want := sample(t) // of which the first body is no longer compressed
	want[0].Response.Body = web.Bytes([]byte("console.log(1)"))
	want[0].Response.Remove("Content-Encoding")
	want[0].Response.Remove("Content-Length")
	want[0].Response.Header = append(want[0].Response.Header, web.Field{Name: "Content-Length", Value: "14"})
	for i := range want {
		if d := cmp.Diff(fmt.Sprintf("%+v", want[i]), fmt.Sprintf("%+v", back[i])); d != "" {
			t.Error(d)
		}
	}
}

// What a coding made of a body is the body again.
func TestDecode(t *testing.T) {
	const plain = "console.log(1)"
	encoded := func(make func(io.Writer) io.WriteCloser, b []byte) []byte {
		var out bytes.Buffer
		w := make(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	zipped := encoded(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, []byte(plain))
	for coding, b := range map[string][]byte{
		"identity": []byte(plain),
		"GZip":     zipped,
		"x-gzip":   zipped,
		"deflate":  encoded(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, []byte(plain)),
		"deflate ": encoded(func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 9); return z }, []byte(plain)),
		"br":       encoded(func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }, []byte(plain)),
		"zstd":     encoded(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }, []byte(plain)),
		"gzip, br": encoded(func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }, zipped),
	} {
		if got, err := Decode(coding, b); string(got) != plain || err != nil {
			t.Errorf("%s: %q, %v", coding, got, err)
		}
		if coding != "identity" {
			if got, err := Decode(coding, b[:len(b)/2]); err == nil {
				t.Errorf("%s: half of it is %q", coding, got)
			}
		}
	}
	if got, err := Decode("gzip, br", nil); len(got) > 0 || err != nil {
		t.Errorf("nothing: %q, %v", got, err)
	}
	if _, err := Decode("gzip, dcb", []byte("x")); err == nil || !strings.HasPrefix(err.Error(), `the coding "dcb" is not known here`) {
		t.Error(err)
	}
}

func TestImportHAR(t *testing.T) {
	one := func(method, url, status string) string {
		return `{"log":{"x":[1,{"entries":2}],"entries":[{"startedDateTime":"2024-01-02T03:04:05Z","request":{"method":"` + method + `","url":"` + url +
			`","headers":[{"name":":authority","value":"a"}]},"response":{"status":` + status + `,"content":{"text":"hi"}}}]}}`
	}
	for _, row := range []struct{ name, har, want string }{
		{"an address stands in", one("GET", "https://b.test/x", "200"), "1 0 https://b.test/x " + web.StandIn("b.test").String() + ":443"},
		{"an address of its own", one("GET", "http://192.0.2.3:81/", "200"), "1 0 http://192.0.2.3:81/ 192.0.2.3:81"},
		{"no response", one("GET", "https://b.test/x", "0"), "0 1"},
		{"no HTTP", one("GET", "data:text/plain,x", "200"), "0 1"},
		{"no method", one("", "http://b.test/", "200"), `entry 1, http://b.test/: its method is ""`},
		{"a bad URL", one("GET", "http://%", "200"), "0 1"},
		{"a bad path", one("GET", "https://x.test/%zz", "200"), "0 1"},
		{"a byte order mark", "\ufeff" + one("GET", "http://192.0.2.3/", "200"), "1 0 http://192.0.2.3/ 192.0.2.3:80"},
		{"a bad port", one("GET", "http://a:99999/", "200"), `entry 1, http://a:99999/: its port is "99999"`},
		{"no JSON", "<html>", "this is no HTTP archive: invalid character '<' looking for beginning of value"},
		{"no log", "{}", `this is no HTTP archive: there is no "log"`},
		{"no entries", `{"log":{}}`, `this is no HTTP archive: there is no "entries"`},
		{"no list", `{"log":{"entries":1}}`, "this is no HTTP archive: its entries are no list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ""
			stored, left, err := ImportHAR(strings.NewReader(row.har), func(x *web.Exchange) error {
				got = " " + x.URL() + " " + x.Server.String()
				return nil
			})
			if got = fmt.Sprint(stored, " ", left) + got; err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("%s, not %s", got, row.want)
			}
		})
	}
}

// What becomes of an entry's messages.
func TestImportHARMessages(t *testing.T) {
	for _, row := range []struct{ name, entry, want string }{
		{"a body", `"request":{"method":"GET"},"response":{"status":200,"content":{"size":2,"text":"hi"}}`, `GET "" 200 [{Content-Length 2}] "hi"`},
		{"an empty body", `"request":{"method":"GET"},"response":{"status":200,"content":{"size":0}}`, `GET "" 200 [{Content-Length 0}] ""`},
		{"a body that is gone", `"request":{"method":"GET"},"response":{"status":200,"content":{"size":2}}`, "left out"},
		{"HEAD", `"request":{"method":"HEAD"},"response":{"status":200,"headers":[{"name":"Content-Length","value":"77"}],"content":{"size":77}}`,
			`HEAD "" 200 [{Content-Length 77}] ""`},
		{"not modified", `"request":{"method":"GET"},"response":{"status":304,"headers":[{"name":"Content-Length","value":"77"}],"content":{"text":"old"}}`,
			`GET "" 304 [{Content-Length 77}] ""`},
		{"a form's fields", `"request":{"method":"POST","postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"b","value":"1 &"},{"name":"a"}]}},
			"response":{"status":204}`, `POST "b=1+%26&a=" 204 [{Content-Length 0}] ""`},
		{"a form's text", `"request":{"method":"POST","postData":{"text":"b=1","params":[{"name":"b","value":"2"}]}},"response":{"status":204}`,
			`POST "b=1" 204 [{Content-Length 0}] ""`},
		{"a form in parts", `"request":{"method":"POST","postData":{"mimeType":"multipart/form-data; boundary=x","params":[{"name":"b"}]}},"response":{"status":204}`,
			`POST "" 204 [{Content-Length 0}] ""`},
		{"other types", `"time":"1","connection":7,"cache":null,"request":{"method":"GET","bodySize":0.0,"cookies":{},"headersSize":""},
			"response":{"status":200.0,"bodySize":12.0,"redirectURL":1,"content":{"size":12.5,"compression":"0","mimeType":1,"text":"hi"}},"timings":{"send":""}`,
			`GET "" 200 [{Content-Length 2}] "hi"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := "left out"
			har := `{"log":{"entries":[{` + strings.Replace(row.entry, `"request":{`, `"request":{"url":"http://a.test/",`, 1) + `}]}}`
			_, _, err := ImportHAR(strings.NewReader(har), func(x *web.Exchange) error {
				got = fmt.Sprintf("%s %q %d %v %q", x.Method(), x.Request.Body.Bytes(), x.Status(), x.Response.Header, x.Response.Body.Bytes())
				return nil
			})
			if got != row.want || err != nil {
				t.Errorf("%s, not %s: %v", got, row.want, err)
			}
		})
	}
}

// Each of several Content-Encoding lines is a coding.
func TestExportCodings(t *testing.T) {
	x := sample(t)[0]
	var b bytes.Buffer
	w := brotli.NewWriter(&b)
	w.Write(x.Response.Body.Bytes())
	w.Close()
	x.Response.Body = web.Bytes(b.Bytes())
	x.Response.Header = append(x.Response.Header, web.Field{Name: "content-encoding", Value: "br"})
	if c := export(x).Response.Content; c.Text != "console.log(1)" || c.Comment != "" {
		t.Errorf("%+v", c)
	}
}

// catapult is an archive as Web Page Replay writes it.
func catapult(t testing.TB) []byte {
	type request struct {
		SerializedRequest, SerializedResponse []byte
		LastServedSessionId                   uint32
	}
	q, _ := http.NewRequest("GET", "https://a.test/x?y", nil)
	var asked bytes.Buffer
	q.Write(&asked)
	b, err := json.Marshal(map[string]any{"NegotiatedProtocol": map[string]string{"a.test": "h2"}, "DeterministicTimeSeedMs": 5,
		"Requests": map[string]map[string][]request{"a.test": {"https://a.test/x?y": {
			{SerializedRequest: asked.Bytes(), SerializedResponse: []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\nA: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n")},
			{SerializedRequest: asked.Bytes()},
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	return zipped(t, string(b))
}

func TestImportWPRGo(t *testing.T) {
	stored, left, err := ImportWPRGo(bytes.NewReader(catapult(t)), func(x *web.Exchange) error {
		if x.URL() != "https://a.test/x?y" || x.Protocol != "HTTP/2.0" || string(x.Response.Body.Bytes()) != "hi" ||
			!x.Response.Unsized || len(x.Response.Values("A")) != 2 || x.Server.Addr() != web.StandIn("a.test") {
			t.Errorf("%+v", x)
		}
		return nil
	})
	if stored != 1 || left != 1 || err != nil {
		t.Error(stored, left, err)
	}
	for _, bad := range []string{"", "{}", string(zipped(t, "[]"))} {
		if _, _, err := ImportWPRGo(strings.NewReader(bad), nil); err == nil || !strings.Contains(err.Error(), "this is no archive") {
			t.Error(err)
		}
	}
}

func TestChange(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	d, err := web.Create(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Merge(d, [][]*web.Exchange{sample(t), sample(t)}); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	all, err := web.Load(dir)
	if err != nil || len(all) != 4 {
		t.Fatal(len(all), err)
	}
	var b bytes.Buffer
	if err := List(&b, all[:2]); err != nil || !strings.Contains(b.String(), "https://a.test/a.js?v=1&w") {
		t.Error(b.String(), err)
	}
	x := sample(t)[0]
	if !Strip(x, []string{"content-type"}, regexp.MustCompile("b.test")) || Strip(x, nil, regexp.MustCompile("a.test")) {
		t.Error("what is dropped is not as it should be")
	}
	if x.Request.Get("Cookie") != "" || x.Response.Get("Content-Type") != "" || x.Request.Get("Host") == "" {
		t.Error(x.Request.Header, x.Response.Header)
	}
	short := sample(t)[1]
	short.Response.Header = []web.Field{{Name: "Content-Length", Value: "5"}}
	if _, err := d.Write(short); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "junk"), []byte("junk"), 0o600)
	var faults []string
	good, err := Verify(dir, func(err error) { faults = append(faults, err.Error()) })
	if good != 4 || err != nil || len(faults) != 2 {
		t.Error(good, err, faults)
	}
}

// Merged recordings come one after the other, whenever they were made, and what is appended after them.
func TestMerge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	d, err := web.Create(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	made := func(path string, order uint64, start int64) *web.Exchange {
		x := sample(t)[1]
		x.Request.First, x.Order, x.Start = "GET "+path+" HTTP/1.1", order, time.Unix(start, 0)
		return x
	}
	if _, err := Merge(d, [][]*web.Exchange{{made("/1", 1, 50), made("/2", 2, 60)}, {made("/3", 1, 40), made("/4", 0, 0)}}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*web.Exchange{made("/6", 1, 11), made("/5", 2, 10)} {
		if _, err := d.Write(x); err != nil {
			t.Fatal(err)
		}
	}
	all, err := web.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, x := range all {
		got += x.Target()
	}
	if got != "/1/2/3/4/5/6" {
		t.Error(got)
	}
}

// What is imported can be stored, is found again, and stays itself through an export.
func FuzzImportHAR(f *testing.F) {
	var b bytes.Buffer
	if err := ExportHAR(&b, "0.1", sample(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, har []byte) {
		var all []*web.Exchange
		if _, _, err := ImportHAR(bytes.NewReader(har), func(x *web.Exchange) error { all = append(all, x); return nil }); err != nil {
			return
		}
		for _, x := range all {
			if x.Status() == 0 || x.Method() == "" || !x.Server.IsValid() {
				t.Errorf("%+v", x)
			}
		}
	})
}

// Nothing that is read makes it fail but by an error.
func FuzzImportWPRGo(f *testing.F) {
	r, err := gzip.NewReader(bytes.NewReader(catapult(f)))
	if err != nil {
		f.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, archive []byte) {
		ImportWPRGo(bytes.NewReader(zipped(t, string(archive))), func(x *web.Exchange) error {
			if x.Method() == "" || !x.Server.IsValid() {
				t.Errorf("%+v", x)
			}
			return nil
		})
	})
}
