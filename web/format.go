package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of the stored messages. Those up to 5 are the original's (RequestResponse, HTTPMessage and HTTPHeader of
// package MahimahiProtobufs, proto2); it ignores the others.
//
//	message RequestResponse {
//	  optional string ip = 1;             // of an IPv6 server: see StandIn
//	  optional uint32 port = 2;
//	  optional Scheme scheme = 3;         // HTTP = 1, HTTPS = 2
//	  optional HTTPMessage request = 4;
//	  optional HTTPMessage response = 5;
//	  optional string ip6 = 16;
//	  optional string server_name = 17;
//	  optional string protocol = 18;
//	  optional uint64 order = 19;
//	  optional int64 start = 20;          // ns since 1970
//	  optional int64 first_byte = 21;     // ns, as the next three
//	  optional int64 duration = 22;
//	  optional int64 connect = 23;
//	  optional int64 tls = 24;
//	  optional string failure = 25;
//	}
//	message HTTPMessage {
//	  optional bytes first_line = 1;
//	  repeated HTTPHeader header = 2;
//	  optional bytes body = 3;
//	  repeated HTTPHeader trailer = 16;
//	  optional bool unsized = 17;
//	}
//	message HTTPHeader {
//	  optional bytes key = 1;
//	  optional bytes value = 2;
//	}
const (
	fieldIP         = 1
	fieldPort       = 2
	fieldScheme     = 3
	fieldRequest    = 4
	fieldResponse   = 5
	fieldIP6        = 16
	fieldServerName = 17
	fieldProtocol   = 18
	fieldOrder      = 19
	fieldStart      = 20
	fieldFirstByte  = 21
	fieldDuration   = 22
	fieldConnect    = 23
	fieldTLS        = 24
	fieldFailure    = 25

	fieldFirstLine = 1
	fieldHeader    = 2
	fieldBody      = 3
	fieldTrailer   = 16
	fieldUnsized   = 17

	fieldKey   = 1
	fieldValue = 2
)

var schemes = []string{1: "http", 2: "https"}

// StandIn is the IPv4 address by which the original replays a server that has another one, or that has none: one of
// those for benchmarks (RFC 2544), the same for the same name.
func StandIn(name string) netip.Addr {
	h := sha256.Sum256([]byte(name))
	return netip.AddrFrom4([4]byte{198, 18 | h[0]&1, h[1], 1 + h[2]%254})
}

// The body of a message can stand before all else in a file: the message is then in two parts, which readers merge. The
// lengths before it have a fixed size, so that it can be written before they are known.
const (
	leadSize    = 2 * (1 + sizeDigits)
	sizeDigits  = 5
	mostInPlace = 1<<(7*sizeDigits) - 1 - leadSize
)

// lead is what stands before such a body.
func lead(message protowire.Number, size int64) []byte {
	b := appendPadded(protowire.AppendTag(nil, message, protowire.BytesType), uint64(size)+leadSize/2)
	return appendPadded(protowire.AppendTag(b, fieldBody, protowire.BytesType), uint64(size))
}

// appendPadded appends a number in so many digits.
func appendPadded(b []byte, v uint64) []byte {
	for range sizeDigits - 1 {
		b, v = append(b, byte(v)|0x80), v>>7
	}
	return append(b, byte(v))
}

// marshal lays out an exchange as it is stored, but for the body of the message that is in the file already, if any. The
// parts are to be written one after the other.
func (x *Exchange) marshal(placed protowire.Number) []Body {
	var b []byte
	ip := x.Server.Addr().Unmap()
	if ip.Is6() {
		b = appendString(b, fieldIP, StandIn(ip.String()).String())
	} else {
		b = appendString(b, fieldIP, ip.String())
	}
	b = appendNumber(b, fieldPort, uint64(x.Server.Port()))
	for i, s := range schemes {
		if s != "" && s == x.Scheme {
			b = appendNumber(b, fieldScheme, uint64(i))
		}
	}
	var out []Body
	for _, m := range []struct {
		field protowire.Number
		*Message
	}{{fieldRequest, &x.Request}, {fieldResponse, &x.Response}} {
		body := m.Body
		if m.field == placed {
			body = Body{}
		}
		head, tail := m.marshal(m.field == placed)
		b = protowire.AppendTag(b, m.field, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(head))+uint64(body.Size())+uint64(len(tail)))
		out = append(out, Bytes(append(b, head...)), body)
		b = tail
	}
	if ip.Is6() {
		b = appendString(b, fieldIP6, ip.String())
	}
	for _, f := range []struct {
		field protowire.Number
		value string
	}{{fieldServerName, x.ServerName}, {fieldProtocol, x.Protocol}, {fieldFailure, x.Failure}} {
		if f.value != "" {
			b = appendString(b, f.field, f.value)
		}
	}
	start := uint64(0)
	if !x.Start.IsZero() {
		start = uint64(x.Start.UnixNano())
	}
	for _, f := range []struct {
		field protowire.Number
		value uint64
	}{{fieldOrder, x.Order}, {fieldStart, start}, {fieldFirstByte, uint64(x.FirstByte)},
		{fieldDuration, uint64(x.Duration)}, {fieldConnect, uint64(x.Connect)}, {fieldTLS, uint64(x.TLS)}} {
		if f.value != 0 {
			b = appendNumber(b, f.field, f.value)
		}
	}
	return append(out, Bytes(append(b, x.other...)))
}

// marshal lays out what stands before a message's body, and what after it.
func (m *Message) marshal(placed bool) (head, tail []byte) {
	head = appendString(nil, fieldFirstLine, m.First)
	head = appendFields(head, fieldHeader, m.Header)
	if !placed {
		head = protowire.AppendTag(head, fieldBody, protowire.BytesType)
		head = protowire.AppendVarint(head, uint64(m.Body.Size()))
	}
	tail = appendFields(nil, fieldTrailer, m.Trailer)
	if m.Unsized {
		tail = appendNumber(tail, fieldUnsized, 1)
	}
	return head, tail
}

func appendFields(b []byte, field protowire.Number, fields []Field) []byte {
	for _, f := range fields {
		h := appendString(appendString(nil, fieldKey, f.Name), fieldValue, f.Value)
		b = appendString(b, field, string(h))
	}
	return b
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// value is one field's: a number or bytes, as its type is.
type value struct {
	number uint64
	bytes  []byte
	raw    []byte // with its tag
}

// known says of which type each field of a message is.
type known map[protowire.Number]protowire.Type

// fields calls f for each field of a message that is known, and returns the others as they are.
func fields(b []byte, types known, f func(protowire.Number, value) error) (other []byte, err error) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		m := protowire.ConsumeFieldValue(field, kind, b[n:])
		if m < 0 {
			return nil, protowire.ParseError(m)
		}
		v := value{raw: b[:n+m]}
		want, ok := types[field]
		if !ok {
			other = append(other, v.raw...)
			b = b[n+m:]
			continue
		}
		if kind != want {
			return nil, fmt.Errorf("field %d is of wire type %d, not %d", field, kind, want)
		}
		switch kind {
		case protowire.VarintType:
			v.number, _ = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			v.bytes, _ = protowire.ConsumeBytes(b[n:])
		}
		if err := f(field, v); err != nil {
			return nil, err
		}
		b = b[n+m:]
	}
	return other, nil
}

var exchangeFields = known{fieldIP: protowire.BytesType, fieldPort: protowire.VarintType, fieldScheme: protowire.VarintType,
	fieldRequest: protowire.BytesType, fieldResponse: protowire.BytesType, fieldIP6: protowire.BytesType,
	fieldServerName: protowire.BytesType, fieldProtocol: protowire.BytesType, fieldOrder: protowire.VarintType,
	fieldStart: protowire.VarintType, fieldFirstByte: protowire.VarintType, fieldDuration: protowire.VarintType,
	fieldConnect: protowire.VarintType, fieldTLS: protowire.VarintType, fieldFailure: protowire.BytesType}

var messageFields = known{fieldFirstLine: protowire.BytesType, fieldHeader: protowire.BytesType,
	fieldBody: protowire.BytesType, fieldTrailer: protowire.BytesType, fieldUnsized: protowire.VarintType}

var headerFields = known{fieldKey: protowire.BytesType, fieldValue: protowire.BytesType}

// Parse reads a stored exchange. Its bodies are parts of b.
func Parse(b []byte) (*Exchange, error) {
	x := new(Exchange)
	var ip, ip6 string
	var port, scheme uint64
	other, err := fields(b, exchangeFields, func(field protowire.Number, v value) (err error) {
		switch field {
		case fieldIP:
			ip = string(v.bytes)
		case fieldIP6:
			ip6 = string(v.bytes)
		case fieldPort:
			port = v.number
		case fieldScheme:
			scheme = v.number
		case fieldRequest:
			if err = x.Request.parse(v.bytes); err != nil {
				err = fmt.Errorf("its request: %w", err)
			}
		case fieldResponse:
			if err = x.Response.parse(v.bytes); err != nil {
				err = fmt.Errorf("its response: %w", err)
			}
		case fieldServerName:
			x.ServerName = string(v.bytes)
		case fieldProtocol:
			x.Protocol = string(v.bytes)
		case fieldFailure:
			x.Failure = string(v.bytes)
		case fieldOrder:
			x.Order = v.number
		case fieldStart:
			x.Start = time.Unix(0, int64(v.number))
		case fieldFirstByte:
			x.FirstByte, err = duration(v.number)
		case fieldDuration:
			x.Duration, err = duration(v.number)
		case fieldConnect:
			x.Connect, err = duration(v.number)
		case fieldTLS:
			x.TLS, err = duration(v.number)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	x.other = other
	if ip6 != "" {
		ip = ip6
	}
	addr, err := netip.ParseAddr(ip)
	switch {
	case err != nil || addr.Zone() != "":
		return nil, fmt.Errorf("its server's address is %q", ip)
	case port == 0 || port > 65535:
		return nil, fmt.Errorf("its server's port is %d", port)
	case scheme == 0 || scheme >= uint64(len(schemes)):
		return nil, fmt.Errorf("its scheme is %d, not 1 (HTTP) or 2 (HTTPS)", scheme)
	case x.Request.First == "" && x.Failure == "":
		return nil, errors.New("it has no request")
	case x.Response.First == "" && x.Failure == "":
		return nil, errors.New("it has no response")
	}
	x.Server, x.Scheme = netip.AddrPortFrom(addr.Unmap(), uint16(port)), schemes[scheme]
	return x, nil
}

func duration(v uint64) (time.Duration, error) {
	if int64(v) < 0 {
		return 0, errors.New("one of its times is negative")
	}
	return time.Duration(v), nil
}

// parse reads a message, which merges with what is there already, as Protocol Buffers' parts of a message do.
func (m *Message) parse(b []byte) error {
	_, err := fields(b, messageFields, func(field protowire.Number, v value) error {
		switch field {
		case fieldFirstLine:
			m.First = string(v.bytes)
		case fieldHeader, fieldTrailer:
			var h Field
			_, err := fields(v.bytes, headerFields, func(field protowire.Number, v value) error {
				if field == fieldKey {
					h.Name = string(v.bytes)
				} else {
					h.Value = string(v.bytes)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("a header: %w", err)
			}
			if field == fieldHeader {
				m.Header = append(m.Header, h)
			} else {
				m.Trailer = append(m.Trailer, h)
			}
		case fieldBody:
			m.Body = Bytes(v.bytes)
		case fieldUnsized:
			m.Unsized = v.number != 0
		}
		return nil
	})
	return err
}
