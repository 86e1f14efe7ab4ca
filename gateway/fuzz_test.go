package gateway

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"

	"gomahi/packet"
)

// seeds are frames of all kinds that the gateway tells apart, from 100.64.0.2 and fd01::2.
func seeds() (out [][]byte) {
	for _, dst := range []string{own4, own6, "192.0.2.2", "2001:db8::2", "127.0.0.1", "224.0.0.1", "ff02::1"} {
		for _, hops := range []byte{64, 1} {
			for proto, body := range map[byte][]byte{
				unix.IPPROTO_TCP:      {0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0},
				unix.IPPROTO_UDP:      {0, 9, 0, 53, 0, 12, 0, 0, 'd', 'a', 't', 'a'},
				unix.IPPROTO_ICMP:     {echoRequest4, 0, 0, 0, 0, 1, 0, 2},
				unix.IPPROTO_ICMPV6:   {echoRequest6, 0, 0, 0, 0, 1, 0, 2},
				unix.IPPROTO_FRAGMENT: {unix.IPPROTO_ICMPV6, 0, 0, 1, 0, 0, 0, 1, echoRequest6, 0, 0, 0, 0, 1, 0, 2},
				unix.IPPROTO_GRE:      {0, 0, 0, 0},
			} {
				out = append(out, seed(netip.MustParseAddr(dst), hops, proto, body))
			}
		}
	}
	return append(out, nil, []byte{0x45}, []byte{0x60})
}

func seed(dst netip.Addr, hops, proto byte, body []byte) []byte {
	frame := make([]byte, packet.VnetLen, 100)
	frame[packet.VnetFlags] = packet.VnetDataValid
	if dst.Is4() {
		ip := []byte{0x45, 0, 0, byte(20 + len(body)), 0, 1, 0, 0, hops, proto, 0, 0, 100, 64, 0, 2}
		frame = append(append(frame, ip...), dst.AsSlice()...)
	} else {
		ip := []byte{0x60, 0, 0, 0, 0, byte(len(body)), proto, hops, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}
		frame = append(append(frame, ip...), dst.AsSlice()...)
	}
	return append(frame, body...)
}

// Whatever comes from the room, the gateway goes on: afterwards it answers an echo request.
func FuzzTake(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_DIRECT); err != nil {
		f.Fatal(err)
	}
	g, err := newGateway(Options{Device: pipe[1], Control: -1, Address: netip.MustParseAddr(own4), Address6: netip.MustParseAddr(own6)})
	if err != nil {
		f.Fatal(err)
	}
	g.open = func(int, int, netip.AddrPort, ...socketOption) (*socket, error) { return nil, unix.ENETUNREACH }
	request := seed(netip.MustParseAddr(own6), 64, unix.IPPROTO_ICMPV6, []byte{echoRequest6, 0, 0, 0, 0xab, 0xcd, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		take(g, b)
		for range 100 { // the pipe may be full of answers to earlier ones
			take(g, request)
			if answered(pipe[0]) {
				return
			}
		}
		t.Error("an echo request was not answered")
	})
}

// answered reads what the gateway has written, and says whether there is the reply among it.
func answered(fd int) (ok bool) {
	b := make([]byte, packet.VnetLen+largest)
	for {
		n, err := unix.Read(fd, b)
		if err != nil {
			return ok
		}
		const message = packet.VnetLen + 40
		ok = ok || n == message+8 && b[message] == echoReply6 && binary.BigEndian.Uint16(b[message+echoID:]) == 0xabcd
	}
}

// take gives the gateway a frame as its device would.
func take(g *gateway, b []byte) {
	var f frame
	n := copy(f.vnet[:], b)
	if b = b[n:]; len(b) == 0 || len(b) > largest {
		return
	}
	first := min(len(b), firstLen)
	f.first = buffer.NewViewWithData(b[:first])
	if first < len(b) {
		f.rest = buffer.NewViewWithData(b[first:])
	}
	g.take(&f)
}
