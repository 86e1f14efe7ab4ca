package gateway

import (
	"bytes"
	"encoding/binary"
)

// plainAck returns where the TCP header of a packet begins that is an acknowledgement and nothing else: without data, flags,
// or options but for timestamps. It is 0 for all others.
func plainAck(f *frame) int {
	ip := f.first.AsSlice()
	at := 0
	switch {
	case len(ip) >= 40 && ip[0] == 0x45 && ip[9] == 6 && ip[6]&0x3f == 0 && ip[7] == 0:
		at = 20
	case len(ip) >= 60 && ip[0]>>4 == 6 && ip[6] == 6:
		at = 40
	default:
		return 0
	}
	const ack, noOptions, timestamps = 0x10, 5 << 4, 8 << 4
	h := ip[at:]
	switch {
	case f.rest != nil || h[13] != ack:
		return 0
	case len(h) == 20 && h[12] == noOptions:
		return at
	case len(h) == 32 && h[12] == timestamps && bytes.Equal(h[20:24], []byte{1, 1, 8, 10}): // RFC 7323, appendix A
		return at
	}
	return 0
}

// supersedes says whether a packet makes the one that came just before it needless: both are plain acknowledgements of one
// connection, and the later acknowledges more.
func (f *frame) supersedes(earlier *frame) bool {
	at := plainAck(f)
	if at == 0 || at != plainAck(earlier) {
		return false
	}
	a, b := earlier.first.AsSlice(), f.first.AsSlice()
	addresses := 12
	if at == 40 {
		addresses = 8
	}
	return bytes.Equal(a[addresses:at+4], b[addresses:at+4]) && len(a) == len(b) &&
		int32(binary.BigEndian.Uint32(b[at+8:])-binary.BigEndian.Uint32(a[at+8:])) > 0
}
