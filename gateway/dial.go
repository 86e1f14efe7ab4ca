package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// patience is how long one attempt to reach the outside may take: enough for SYNs after 0, 1, 3, 7 and 15 seconds. It
// is not answered then, as nobody would have; the client's next SYN begins another.
const patience = 20 * time.Second

// prompt is how long the outside may take until an attempt gives way to others, if there are too many.
const prompt = time.Second

// dials are the connections from inside that are not accepted yet. Of those that wait for the outside there are at most
// so many, and half as many to one destination. Beyond that the oldest gives way, as it is the least likely to succeed.
type dials struct {
	g         *gateway
	forwarder *tcp.Forwarder
	most      int

	mu      sync.Mutex
	under   map[stack.TransportEndpointID]*dial
	to      map[netip.AddrPort]int // how many wait for a destination
	waiting list.List              // of *dial, the oldest first
	shaking list.List              // likewise, those that wait for the client
}

// dial is one of them. Its fields are for whoever holds the lock of dials.
type dial struct {
	id          stack.TransportEndpointID
	to          netip.AddrPort
	in          *list.List // waiting or shaking; nil when it is over
	element     *list.Element
	syn         *stack.PacketBuffer // the last that came
	first, last time.Time           // when SYNs came
	sock        *socket             // while it is being connected, and afterwards
	refused     bool
}

func newDials(g *gateway, most int) *dials {
	return &dials{g: g, most: max(most, 8), under: map[stack.TransportEndpointID]*dial{}, to: map[netip.AddrPort]int{}}
}

// take handles what is for no connection that netstack has, and says whether that is all; else netstack sends a RST.
func (d *dials) take(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
	h := header.TCP(p.TransportHeader().Slice())
	if _, ok, whole := header.TCPValid(h, func() uint16 { return p.Data().Checksum() }, uint16(p.Data().Size()), id.RemoteAddress,
		id.LocalAddress, p.RXChecksumValidated); !ok || !whole {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.under[id]
	switch f := h.Flags(); {
	case f.Contains(header.TCPFlagRst):
		if c != nil {
			d.giveUp(c)
		}
		return true
	case !f.Contains(header.TCPFlagSyn) || f.Contains(header.TCPFlagAck):
		return false
	case c != nil:
		c.syn.DecRef()
		c.syn, c.last = p.IncRef(), time.Now()
		if c.in == &d.shaking { // which netstack ignores while it is at it
			d.forwarder.HandlePacket(id, p)
		}
		return true
	}
	now := time.Now()
	c = &dial{id: id, to: addrPort(id.LocalAddress, id.LocalPort), first: now, last: now}
	if d.makeRoom(c) { // else its next SYN may have more luck
		c.syn = p.IncRef()
		d.under[id] = c
		d.enter(c, &d.waiting)
		go d.run(c)
	}
	return true
}

// enter puts a connection on one of the lists, or on none.
func (d *dials) enter(c *dial, in *list.List) {
	if c.in == &d.waiting {
		if d.to[c.to]--; d.to[c.to] == 0 {
			delete(d.to, c.to)
		}
	}
	if c.in != nil {
		c.in.Remove(c.element)
	}
	if c.in = in; in == &d.waiting {
		d.to[c.to]++
	}
	if in != nil {
		c.element = in.PushBack(c)
	} else if d.under[c.id] == c {
		delete(d.under, c.id)
	}
}

// makeRoom says whether there is room for another, after it has given up one that has taken long.
func (d *dials) makeRoom(next *dial) bool {
	if d.shaking.Len() >= d.most {
		d.giveUp(d.shaking.Front().Value.(*dial))
	}
	all, same := d.waiting.Len() >= d.most, d.to[next.to] >= d.most/2
	if !all && !same {
		return true
	}
	for e := d.waiting.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*dial); next.first.Sub(c.first) < prompt {
			break
		} else if !same || c.to == next.to {
			d.giveUp(c)
			return true
		}
	}
	return false
}

// giveUp forgets a connection without an answer.
func (d *dials) giveUp(c *dial) {
	if c.in == &d.shaking {
		if e := d.g.stack.FindTransportEndpoint(netProto(c.to.Addr()), tcp.ProtocolNumber, c.id, nic); e != nil {
			go e.Abort() // and then answer returns
		}
	}
	if c.sock != nil {
		c.sock.reset()
	}
	d.enter(c, nil)
}

// run connects outside, and then answers the client.
func (d *dials) run(c *dial) {
	err := d.connect(c)
	d.mu.Lock()
	syn := c.syn.IncRef()
	defer syn.DecRef()
	over := c.in == nil || err == unix.ETIMEDOUT // as if nobody had answered
	c.refused = err == unix.ECONNREFUSED || err == unix.ECONNRESET
	switch {
	case over:
		d.enter(c, nil)
	case err == nil || c.refused:
		d.enter(c, &d.shaking)
		d.mu.Unlock()
		d.forwarder.HandlePacket(c.id, syn) // which calls answer
		return
	default:
		d.enter(c, nil)
	}
	c.syn.DecRef()
	d.mu.Unlock()
	if !over {
		d.g.reject(quote(syn), d.g.address(c.to.Addr()), why(err), mtu)
	}
}

// connect returns when the outside has accepted, or why it has not.
func (d *dials) connect(c *dial) error {
	to, err := d.g.route.to(c.to)
	if err != nil {
		return err
	}
	sock, err := d.g.open(unix.SOCK_STREAM, 0, to, noDelay)
	if err != nil {
		return err
	}
	d.mu.Lock()
	c.sock = sock
	d.mu.Unlock()
	err = sock.connected(func() (time.Time, bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		at := c.until()
		if c.in != nil && time.Now().After(at) {
			d.giveUp(c)
		}
		return at, c.in != nil
	})
	if err != nil {
		sock.file.Close()
	}
	return err
}

// until is when to give up: after our patience, or when the client, which doubles the time between SYNs, seems to have.
func (c *dial) until() time.Time {
	at, lost := c.first.Add(patience), c.last.Add(2*c.last.Sub(c.first)+3*time.Second)
	if lost.Before(at) {
		return lost
	}
	return at
}

// answer is called with the SYN of a connection whose fate outside is known.
func (d *dials) answer(r *tcp.ForwarderRequest) {
	d.mu.Lock()
	c := d.under[r.ID()]
	ready := c != nil && c.in == &d.shaking
	d.mu.Unlock()
	if !ready {
		r.Complete(false)
		return
	}
	if c.refused || !d.g.budget.open() {
		d.end(c)
		r.Complete(true)
		if c.sock != nil {
			c.sock.reset()
		}
		return
	}
	l := &relay{g: d.g, sock: c.sock, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
	e, err := r.CreateEndpoint(&l.queue) // returns after the handshake
	d.end(c)
	r.Complete(false)
	if err != nil {
		c.sock.reset()
		d.g.budget.close(0)
		return
	}
	l.inner = e
	l.run()
}

// end takes a connection off the lists.
func (d *dials) end(c *dial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enter(c, nil)
	c.syn.DecRef()
}
