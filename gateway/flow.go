package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// How long a flow is kept without a packet: one that has had a reply, one that has not, one that asks for names, and one
// of echoes. RFC 4787, 4.3 wants more than two minutes of the first, and leaves well-known ports to us.
const (
	answeredFor = 180 * time.Second
	silentFor   = 60 * time.Second
	namesFor    = 10 * time.Second
	echoesFor   = 30 * time.Second
)

// flowKey tells flows apart. An echo's source port is its identifier; its destination has none.
type flowKey struct {
	proto    uint8
	src, dst netip.AddrPort
}

func (k flowKey) echo() bool { return k.proto != unix.IPPROTO_UDP }

// flow is what one sender in the room says to one destination: UDP, or echo requests of one identifier.
type flow struct {
	flowKey
	g    *gateway
	sock *socket

	element  *list.Element // the rest of this part under the lock of flows
	last     time.Time
	answered bool

	hops, tos, whole int // as set on the socket; whole is whether it may not be fragmented
	told             int // an MTU that the room knows of
}

// flows are bounded in number; beyond it the idlest is forgotten.
type flows struct {
	g    *gateway
	most int

	mu    sync.Mutex
	under map[flowKey]*flow
	order list.List // of *flow, the idlest first
}

func newFlows(g *gateway, most int) *flows {
	return &flows{g: g, most: most, under: map[flowKey]*flow{}}
}

// get returns the flow of a key, and makes it if there is none. It is used by whoever takes frames, alone.
func (t *flows) get(k flowKey) (*flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.under[k]; f != nil {
		t.touch(f)
		return f, nil
	}
	if len(t.under) >= t.most {
		t.remove(t.order.Front().Value.(*flow))
	}
	t.mu.Unlock()
	f, err := t.open(k)
	t.mu.Lock()
	if err != nil {
		return nil, err
	}
	if len(t.under) == 0 {
		go t.sweep()
	}
	t.under[k] = f
	f.element = t.order.PushBack(f)
	t.touch(f)
	go f.serve()
	return f, nil
}

func (t *flows) open(k flowKey) (*flow, error) {
	to, err := t.g.route.to(k.dst)
	if err != nil {
		return nil, err
	}
	proto := 0
	if k.echo() {
		proto = int(k.proto)
	}
	f := &flow{flowKey: k, g: t.g, hops: -1, tos: -1, whole: -1}
	f.sock, err = t.g.open(unix.SOCK_DGRAM, proto, to, tellErrors)
	return f, err
}

func (t *flows) touch(f *flow) {
	f.last = time.Now()
	t.order.MoveToBack(f.element)
}

// heard counts a reply.
func (t *flows) heard(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.answered = true
	if f.element != nil {
		t.touch(f)
	}
}

// remove forgets a flow, whose goroutine ends for it.
func (t *flows) remove(f *flow) {
	t.order.Remove(f.element)
	f.element = nil
	delete(t.under, f.flowKey)
	f.sock.file.Close()
}

// sweep forgets flows that have been idle for long enough, until there are none.
func (t *flows) sweep() {
	for range time.Tick(time.Second) {
		if t.swept(time.Now()) {
			return
		}
	}
}

func (t *flows) swept(now time.Time) (none bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.order.Front(); e != nil; {
		f := e.Value.(*flow)
		e = e.Next()
		if now.Sub(f.last) >= f.keep() {
			t.remove(f)
			t.g.trim()
		}
	}
	return len(t.under) == 0
}

func (f *flow) keep() time.Duration {
	switch {
	case f.echo():
		return echoesFor
	case f.dst.Port() == dnsPort:
		return namesFor
	case f.answered:
		return answeredFor
	}
	return silentFor
}

// datagrams are buffers that hold the largest, after a header of UDP.
var datagrams = sync.Pool{New: func() any { return new([header.UDPMinimumSize + 1<<16]byte) }}

// serve carries replies to the room until the flow is forgotten.
func (f *flow) serve() {
	for {
		var m message
		var err error
		b := (*[header.UDPMinimumSize + 1<<16]byte)(nil)
		e := f.sock.raw.Read(func(fd uintptr) bool {
			b = datagrams.Get().(*[header.UDPMinimumSize + 1<<16]byte)
			m, err = receive(int(fd), b[header.UDPMinimumSize:], 0)
			if err == nil {
				return true
			}
			datagrams.Put(b)
			return err != unix.EAGAIN
		})
		switch {
		case e != nil:
			return
		case err != nil: // what has happened to a packet of ours
			f.reportErrors()
			continue
		}
		f.g.flows.heard(f)
		if f.echo() {
			f.replyEcho(b[header.UDPMinimumSize:][:m.n], m.tos)
		} else {
			f.replyUDP(b[:header.UDPMinimumSize+m.n], m.tos)
		}
		datagrams.Put(b)
	}
}
