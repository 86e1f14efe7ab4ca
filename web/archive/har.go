// Package archive exchanges recordings with other formats, and makes one of others.
package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"gomahi/web"
)

// The parts of an HTTP archive, version 1.2, that are written: http://www.softwareishard.com/blog/har-12-spec/
type entry struct {
	Started    time.Time   `json:"startedDateTime"`
	Time       float64     `json:"time"` // ms, as all times here
	Request    harRequest  `json:"request"`
	Response   harResponse `json:"response"`
	Cache      struct{}    `json:"cache"`
	Timings    timings     `json:"timings"`
	Server     string      `json:"serverIPAddress,omitempty"`
	Connection string      `json:"connection,omitempty"`
	Comment    string      `json:"comment,omitempty"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harRequest struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	Version     string    `json:"httpVersion"`
	Cookies     []pair    `json:"cookies"`
	Headers     []pair    `json:"headers"`
	Query       []pair    `json:"queryString"`
	Post        *postData `json:"postData,omitempty"`
	HeadersSize int64     `json:"headersSize"`
	BodySize    int64     `json:"bodySize"`
}

type postData struct {
	Type     string `json:"mimeType"`
	Text     string `json:"text"`
	Encoding string `json:"encoding,omitempty"` // not of the standard, but what browsers write
}

type harResponse struct {
	Status      int     `json:"status"`
	StatusText  string  `json:"statusText"`
	Version     string  `json:"httpVersion"`
	Cookies     []pair  `json:"cookies"`
	Headers     []pair  `json:"headers"`
	Content     content `json:"content"`
	RedirectURL string  `json:"redirectURL"`
	HeadersSize int64   `json:"headersSize"`
	BodySize    int64   `json:"bodySize"`
}

type content struct {
	Size        int64  `json:"size"`
	Compression int64  `json:"compression,omitempty"`
	Type        string `json:"mimeType"`
	Text        string `json:"text"`
	Encoding    string `json:"encoding,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

type timings struct {
	Connect float64 `json:"connect"`
	SSL     float64 `json:"ssl"`
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// ExportHAR writes exchanges as an HTTP archive. Bodies are decoded where their coding is known; others stay as they came,
// and a comment says so.
func ExportHAR(w io.Writer, version string, all []*web.Exchange) error {
	if _, err := fmt.Fprintf(w, `{"log":{"version":"1.2","creator":{"name":"gomahi","version":%q},"pages":[],"entries":[`, version); err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i, x := range all {
		if i > 0 {
			io.WriteString(w, ",")
		}
		if err := e.Encode(export(x)); err != nil {
			return fmt.Errorf("writing %s: %w", x.URL(), err)
		}
	}
	_, err := io.WriteString(w, "]}}\n")
	return err
}

func export(x *web.Exchange) *entry {
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	_, status, _ := strings.Cut(x.Response.First, " ")
	_, text, _ := strings.Cut(status, " ")
	protocol := x.Protocol
	if protocol == "" {
		protocol, _, _ = strings.Cut(x.Response.First, " ")
	}
	e := &entry{Started: x.Start.UTC(), Server: x.Server.Addr().String(), Comment: x.Failure,
		Request: harRequest{Method: x.Method(), URL: x.URL(), Version: protocol, Headers: pairs(x.Request.Header), Cookies: []pair{},
			Query: query(x.Target()), HeadersSize: -1, BodySize: x.Request.Body.Size()},
		Response: harResponse{Status: x.Status(), StatusText: text, Version: protocol, Headers: pairs(x.Response.Sent()), Cookies: []pair{},
			RedirectURL: x.Response.Get("Location"), HeadersSize: -1, BodySize: x.Response.Body.Size()},
		Timings: timings{Connect: ms(x.Connect + x.TLS), SSL: ms(x.TLS), Wait: ms(x.FirstByte), Receive: ms(max(0, x.Duration-x.FirstByte))},
	}
	e.Time = e.Timings.Connect + e.Timings.Wait + e.Timings.Receive
	if b := x.Request.Body.Bytes(); len(b) > 0 {
		e.Request.Post = &postData{Type: x.Request.Get("Content-Type")}
		e.Request.Post.Text, e.Request.Post.Encoding = textOf(b)
	}
	c := &e.Response.Content
	c.Type = x.Response.Get("Content-Type")
	body := x.Response.Body.Bytes()
	if coding := strings.Join(x.Response.Values("Content-Encoding"), ", "); coding != "" {
		if plain, err := Decode(coding, body); err == nil {
			body = plain
		} else {
			c.Comment = undecoded + coding
		}
	}
	c.Size = int64(len(body))
	c.Compression = max(0, c.Size-x.Response.Body.Size())
	c.Text, c.Encoding = textOf(body)
	return e
}

// undecoded begins the comment of content that is in a coding still.
const undecoded = "as it came, in the coding "

func pairs(fields []web.Field) []pair {
	out := []pair{}
	for _, f := range fields {
		out = append(out, pair(f))
	}
	return out
}

func query(target string) []pair {
	out := []pair{}
	if _, q, found := strings.Cut(target, "?"); found {
		for part := range strings.SplitSeq(q, "&") {
			name, value, _ := strings.Cut(part, "=")
			out = append(out, pair{name, value})
		}
	}
	return out
}

// textOf is a body as JSON can hold it.
func textOf(b []byte) (text, encoding string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return base64.StdEncoding.EncodeToString(b), "base64"
}

// Decode undoes the codings of a Content-Encoding header (RFC 9110, 8.4), the last first: gzip, deflate, br and zstd.
func Decode(codings string, b []byte) ([]byte, error) {
	if len(b) == 0 { // as of a HEAD request: there is nothing that was coded
		return b, nil
	}
	list := strings.Split(codings, ",")
	for _, coding := range slices.Backward(list) {
		r, err := decoder(strings.ToLower(strings.TrimSpace(coding)), b)
		if err != nil {
			return nil, err
		}
		if b, err = io.ReadAll(r); err != nil {
			return nil, fmt.Errorf("undoing the coding %s: %w", strings.TrimSpace(coding), err)
		}
	}
	return b, nil
}

func decoder(coding string, b []byte) (io.Reader, error) {
	r := bytes.NewReader(b)
	switch coding {
	case "identity", "":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate": // some servers leave zlib's frame out
		if z, err := zlib.NewReader(r); err == nil {
			return z, nil
		}
		return flate.NewReader(bytes.NewReader(b)), nil
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) // which has no goroutines to end
	}
	return nil, fmt.Errorf("the coding %q is not known here\nhint: gzip, deflate, br and zstd are; another program must undo others", coding)
}

// The parts that are read: what is of no use here many programs write as they like. All numbers may have a fraction.
type readEntry struct {
	Started  time.Time    `json:"startedDateTime"`
	Request  readRequest  `json:"request"`
	Response readResponse `json:"response"`
	Timings  struct {
		Connect float64 `json:"connect"`
		SSL     float64 `json:"ssl"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	} `json:"timings"`
	Server string `json:"serverIPAddress"`
}

type readRequest struct {
	Method  string `json:"method"`
	URL     string `json:"url"`
	Version string `json:"httpVersion"`
	Headers []pair `json:"headers"`
	Post    struct {
		Type     string `json:"mimeType"`
		Text     string `json:"text"`
		Encoding string `json:"encoding"`
		Params   []pair `json:"params"`
	} `json:"postData"`
}

type readResponse struct {
	Status     float64 `json:"status"`
	StatusText string  `json:"statusText"`
	Headers    []pair  `json:"headers"`
	Content    struct {
		Size     float64 `json:"size"`
		Text     *string `json:"text"` // nil where the browser no longer had it
		Encoding string  `json:"encoding"`
		Comment  string  `json:"comment"`
	} `json:"content"`
}

// ImportHAR reads an HTTP archive, an entry at a time, and gives its exchanges to store. Those that are no HTTP, or have
// no response or not its body, are left out, and counted. Bodies are not compressed as they came: the format does not
// have that.
func ImportHAR(r io.Reader, store func(*web.Exchange) error) (stored, left int, err error) {
	b := bufio.NewReader(r)
	const mark = "\ufeff" // that some editors put before UTF-8
	if first, _ := b.Peek(len(mark)); string(first) == mark {
		b.Discard(len(mark))
	}
	d := json.NewDecoder(b)
	for _, step := range []string{"log", "entries"} {
		if err := enter(d, step); err != nil {
			return 0, 0, fmt.Errorf("this is no HTTP archive: %w", err)
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return 0, 0, errors.New("this is no HTTP archive: its entries are no list")
	}
	for n := 1; d.More(); n++ {
		var e readEntry
		if err := d.Decode(&e); err != nil {
			return stored, left, fmt.Errorf("entry %d: %w", n, err)
		}
		x, err := imported(&e)
		if err != nil {
			return stored, left, fmt.Errorf("entry %d, %s: %w", n, e.Request.URL, err)
		}
		if x == nil {
			left++
			continue
		}
		stored++
		x.Order = uint64(stored)
		if err := store(x); err != nil {
			return stored, left, err
		}
	}
	_, err = d.Token()
	return stored, left, err
}

// enter reads up to the value of an object's key.
func enter(d *json.Decoder, key string) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("there is no %q", key)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if t == key {
			return nil
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return fmt.Errorf("there is no %q", key)
}

// imported makes an exchange of an entry; nil if it is none.
func imported(e *readEntry) (*web.Exchange, error) {
	status, content := int(e.Response.Status), &e.Response.Content
	u, err := url.Parse(e.Request.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || status < 200 || status > 999 {
		return nil, nil
	}
	bare := e.Request.Method == http.MethodHead || status == http.StatusNotModified // its headers are about another's body
	if content.Text == nil && content.Size > 0 && !bare {
		return nil, nil
	}
	if strings.ContainsAny(e.Request.Method, " \r\n") || e.Request.Method == "" {
		return nil, fmt.Errorf("its method is %q", e.Request.Method)
	}
	ms := func(v float64) time.Duration { return time.Duration(min(max(v, 0), 1e12) * 1e6) }
	x := &web.Exchange{Scheme: u.Scheme, Protocol: protocol(e.Request.Version), Start: e.Started,
		FirstByte: ms(e.Timings.Wait), Duration: ms(e.Timings.Wait) + ms(e.Timings.Receive), TLS: ms(e.Timings.SSL),
		Connect: ms(e.Timings.Connect - max(0, e.Timings.SSL))}
	if x.Server, err = server(e.Server, u); err != nil {
		return nil, err
	}
	x.Request = web.Message{First: e.Request.Method + " " + u.RequestURI() + " HTTP/1.1", Header: fieldsOf(e.Request.Headers)}
	if x.Request.Get("Host") == "" {
		x.Request.Header = append([]web.Field{{Name: "Host", Value: u.Host}}, x.Request.Header...)
	}
	p := &e.Request.Post
	if p.Text == "" && !strings.HasPrefix(strings.ToLower(p.Type), "multipart/") {
		p.Text, p.Encoding = form(p.Params), ""
	}
	if err := setBody(&x.Request, p.Text, p.Encoding); err != nil {
		return nil, err
	}
	x.Response = web.Message{First: fmt.Sprintf("HTTP/1.1 %d %s", status, e.Response.StatusText), Header: fieldsOf(e.Response.Headers)}
	x.Response.Remove("Transfer-Encoding")
	if bare {
		return x, nil
	}
	if !strings.HasPrefix(content.Comment, undecoded) {
		x.Response.Remove("Content-Encoding")
	}
	sized := x.Response.Get("Content-Length") != ""
	if content.Text != nil {
		if err := setBody(&x.Response, *content.Text, content.Encoding); err != nil {
			return nil, err
		}
	}
	x.Response.SetUnsized()
	x.Response.Unsized = !sized
	return x, nil
}

// fieldsOf leaves out HTTP/2's pseudo-headers.
func fieldsOf(pairs []pair) (out []web.Field) {
	for _, p := range pairs {
		if !strings.HasPrefix(p.Name, ":") {
			out = append(out, web.Field(p))
		}
	}
	return out
}

// form is the body of a form whose fields alone are given.
func form(params []pair) string {
	var parts []string
	for _, p := range params {
		parts = append(parts, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	return strings.Join(parts, "&")
}

func setBody(m *web.Message, text, encoding string) error {
	b := []byte(text)
	if encoding == "base64" {
		var err error
		if b, err = base64.StdEncoding.DecodeString(text); err != nil {
			return fmt.Errorf("its content: %w", err)
		}
	}
	m.Body = web.Bytes(b)
	return nil
}

// protocol is what browsers call it, as net/http does.
func protocol(s string) string {
	switch s = strings.ToUpper(s); s {
	case "H2", "HTTP/2":
		return "HTTP/2.0"
	case "H3", "HTTP/3":
		return "HTTP/3.0"
	}
	return s
}

// server is where a URL leads: the address as recorded, or one that stands in for it.
func server(address string, u *url.URL) (netip.AddrPort, error) {
	port := web.DefaultPort(u.Scheme)
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return netip.AddrPort{}, fmt.Errorf("its port is %q", p)
		}
		port = uint16(n)
	}
	a, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		if a, err = netip.ParseAddr(u.Hostname()); err != nil {
			a = web.StandIn(strings.ToLower(u.Hostname()))
		}
	}
	return netip.AddrPortFrom(a.Unmap().WithZone(""), port), nil
}
