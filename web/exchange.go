// Package web keeps recordings of web sites: directories with a file per exchange, a request and its response, in the
// format of the original (see format.go). Its subdirectories record them (web/record), find the response to a request
// among them (web/match), serve them again (web/replay), and exchange them with other formats (web/archive). None knows
// of namespaces.
package web

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Field is a header or trailer line.
type Field struct{ Name, Value string }

// A Message is a request or a response.
type Message struct {
	First   string // the request line or status line, as of HTTP/1.1 whatever the protocol was
	Header  []Field
	Body    Body // as it came, without the framing of a transfer coding
	Trailer []Field
	// Unsized is set where the Content-Length among the headers was not sent, but stands for a chunked body or one that
	// HTTP/2 framed: the original knows of no other way.
	Unsized bool
}

// Get returns the first value of a header, "" without one.
func (m *Message) Get(name string) string {
	for _, f := range m.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values returns all values of a header, in their order.
func (m *Message) Values(name string) (out []string) {
	for _, f := range m.Header {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// Sent are the headers as they were sent: without a Content-Length that stands in.
func (m *Message) Sent() []Field {
	if !m.Unsized {
		return m.Header
	}
	return slices.DeleteFunc(slices.Clone(m.Header), func(f Field) bool { return strings.EqualFold(f.Name, "Content-Length") })
}

// Remove takes all headers of a name away.
func (m *Message) Remove(name string) {
	m.Header = slices.DeleteFunc(slices.Clone(m.Header), func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// An Exchange is a request and what came of it. Recordings of the original have none of the fields from ServerName on.
type Exchange struct {
	Server   netip.AddrPort
	Scheme   string // "http" or "https"
	Request  Message
	Response Message

	ServerName string // that the client asked for in TLS (SNI)
	Protocol   string // "HTTP/1.1", "HTTP/2.0"
	Order      uint64 // by which requests began, from 1; above Placed, the place given
	Start      time.Time
	FirstByte  time.Duration // from the request's sending to the response's first byte
	Duration   time.Duration // from the request's sending to the response's end
	Connect    time.Duration // what the TCP handshake with the server took: a round trip
	TLS        time.Duration // what the TLS handshake took
	Failure    string        // why there is no response, or not all of it

	File  string // where it is stored, if it is
	other []byte // fields that are not known here, to be kept
}

// Method is the request's, "" where the client got no further than connecting.
func (x *Exchange) Method() string {
	method, _, _ := strings.Cut(x.Request.First, " ")
	return method
}

// Target is the request's path and query, as sent.
func (x *Exchange) Target() string {
	f := strings.Fields(x.Request.First)
	if len(f) < 2 {
		return ""
	}
	return OriginForm(f[1])
}

// OriginForm is the path and query of a request's target, of which a proxy's client sends the whole URL (RFC 9112, 3.2).
func OriginForm(target string) string {
	if !strings.HasPrefix(target, "/") {
		if u, err := url.Parse(target); err == nil && u.Host != "" {
			return u.RequestURI()
		}
	}
	return target
}

// Host is the name that the request is for, in lower case, with the port unless it is the scheme's own.
func (x *Exchange) Host() string {
	host := x.Request.Get("Host")
	if host == "" {
		host = x.ServerName
	}
	if host == "" && x.Server.IsValid() {
		host = x.Server.String()
	}
	return CanonicalHost(x.Scheme, host)
}

// CanonicalHost is a host in lower case, without a port that goes without saying.
func CanonicalHost(scheme, host string) string {
	host = strings.ToLower(host)
	if name, port, err := net.SplitHostPort(host); err == nil && port == strconv.Itoa(int(DefaultPort(scheme))) {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	return strings.TrimSuffix(host, ".")
}

// DefaultPort is that of http or https.
func DefaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// Name is the host without a port: what name service was asked for, unless it is an address.
func (x *Exchange) Name() string {
	host := x.Host()
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// URL is the whole of what was asked for.
func (x *Exchange) URL() string { return URL(x.Scheme, x.Host(), x.Target()) }

// URL is that of a target. One that is no path, such as that of "OPTIONS *", becomes one, or it would be part of the host.
func URL(scheme, host, target string) string {
	if target != "" && !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return scheme + "://" + host + target
}

// Status is the response's code, 0 without a response.
func (x *Exchange) Status() int {
	f := strings.Fields(x.Response.First)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(f[1])
	return n
}

// Fields are a header's lines, by name: net/http does not keep their order.
func Fields(h http.Header) (out []Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			out = append(out, Field{name, v})
		}
	}
	return out
}
