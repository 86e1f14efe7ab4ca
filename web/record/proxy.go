// Package record is the proxy that records: it stands between clients and the servers that they think they are
// connected to, relays what they say, and stores each exchange of HTTP.
package record

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/web"
	"gomahi/web/authority"
)

// A Proxy records what passes through it. Its fields are not changed once it serves.
type Proxy struct {
	Dir       *web.Dir
	Authority *authority.Authority // signs what clients are shown
	Dial      func(ctx context.Context, server netip.AddrPort) (net.Conn, error)
	Roots     *x509.CertPool // that servers' certificates are verified by; nil for the system's
	Insecure  bool           // they are not
	Warn      func(string)   // is told what could not be stored

	order   atomic.Uint64
	mu      sync.Mutex // over what follows
	open    map[net.Conn]bool
	closed  bool
	counts  Counts
	origins map[netip.AddrPort]bool
	storing sync.WaitGroup
	warned  bool
	dialing int // connections whose server has not accepted theirs yet
}

// Counts are what a proxy saw.
type Counts struct {
	Exchanges  int    // stored, failures included
	Origins    int    // servers of them
	Bytes      uint64 // of their bodies
	Failures   int    // of them that have no response, or not all of it
	Relayed    int    // connections that were no HTTP, or became something else
	Unfinished int    // exchanges that clients gave up before their end
	Unstored   int    // exchanges that could not be stored
	Untrusted  int    // clients that did not take our certificates
}

// Counts are those so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Origins = len(p.origins)
	c.Unfinished += p.dialing
	return c
}

func (p *Proxy) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// track notes a connection, which Close closes; false if that has been called.
func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.open == nil {
		p.open = map[net.Conn]bool{}
	}
	p.open[c] = true
	return true
}

// reach connects to a server.
func (p *Proxy) reach(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	wait := func(n int) {
		p.mu.Lock()
		p.dialing += n
		p.mu.Unlock()
	}
	wait(1)
	c, err := p.Dial(ctx, server)
	if p.over() { // too late: it stays unfinished
		if err == nil {
			c.Close()
		}
		return nil, net.ErrClosed
	}
	wait(-1)
	return c, err
}

// over says whether Close has been called.
func (p *Proxy) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// Close ends all connections, and returns when what was complete is stored.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.storing.Wait()
}

// store keeps an exchange.
func (p *Proxy) store(x *web.Exchange) {
	_, err := p.Dir.Write(x)
	if err != nil {
		p.refuse(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.origins == nil {
		p.origins = map[netip.AddrPort]bool{}
	}
	p.origins[x.Server] = true
	p.counts.Exchanges++
	p.counts.Bytes += uint64(x.Request.Body.Size() + x.Response.Body.Size())
	if x.Failure != "" {
		p.counts.Failures++
	}
}

// refuse counts an exchange that could not be stored, and says why of the first.
func (p *Proxy) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Unstored++
	if !p.warned && p.Warn != nil {
		p.warned = true
		p.Warn(err.Error() + "\nhint: what passes is no longer recorded, or not all of it")
	}
}

// fail stores that there was no answer, and why.
func (p *Proxy) fail(x *web.Exchange, err error) {
	x.Failure = reason(err)
	if x.Order == 0 {
		x.Order = p.order.Add(1)
		x.Start = time.Now()
	}
	p.store(x)
}

// reason is an error without the addresses, which are known, and in words.
func reason(err error) string {
	var o *net.OpError
	var s *os.SyscallError
	var timeout net.Error
	switch {
	case errors.As(err, &s) && errors.Is(s.Err, unix.ECONNRESET):
		return "the server reset the connection"
	case errors.As(err, &s):
		return fmt.Sprintf("%s: %v", s.Syscall, s.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the server did not answer in time"
	case errors.As(err, &o):
		return fmt.Sprintf("%s: %v", o.Op, o.Err)
	}
	return err.Error()
}
