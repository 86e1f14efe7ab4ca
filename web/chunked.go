package web

import (
	"bytes"
	"strconv"
	"strings"
)

// unchunk takes the framing of a chunked body away, which the original stores as it came. A body that is not framed so
// from end to end is left alone.
func (m *Message) unchunk() {
	coding := m.Values("Transfer-Encoding")
	if len(coding) == 0 {
		return
	}
	if strings.EqualFold(strings.TrimSpace(strings.Join(coding, ",")), "chunked") {
		if body, trailer, ok := unchunked(m.Body.Bytes()); ok {
			m.Body, m.Trailer = Bytes(body), append(m.Trailer, trailer...)
		}
	}
	m.Remove("Transfer-Encoding")
	m.SetUnsized()
}

// SetUnsized gives the message a Content-Length, which was not sent: readers that know no better go by it.
func (m *Message) SetUnsized() {
	m.Remove("Content-Length")
	m.Header = append(m.Header, Field{"Content-Length", strconv.FormatInt(m.Body.Size(), 10)})
	m.Unsized = true
}

// unchunked decodes a chunked body (RFC 9112, 7.1), and says whether it was one.
func unchunked(b []byte) (body []byte, trailer []Field, ok bool) {
	for {
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(strings.TrimSpace(string(size)), 16, 62)
		switch {
		case !found || err != nil:
			return nil, nil, false
		case n == 0:
			trailer, ok = trailers(rest)
			return body, trailer, ok
		case uint64(len(rest)) < n+2 || string(rest[n:n+2]) != "\r\n":
			return nil, nil, false
		}
		body, b = append(body, rest[:n]...), rest[n+2:]
	}
}

func trailers(b []byte) (out []Field, ok bool) {
	for {
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		if !found {
			return nil, false
		}
		if len(line) == 0 {
			return out, len(rest) == 0
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return nil, false
		}
		out = append(out, Field{string(name), strings.TrimSpace(string(value))})
		b = rest
	}
}
