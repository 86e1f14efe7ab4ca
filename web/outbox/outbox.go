// Package outbox makes connections whose writes leave together.
package outbox

import (
	"net"
	"sync"
	"time"
)

// A Conn is a connection whose writes return before they are done. What comes while one is going, or before the first has
// begun, leaves together: net/http writes what its buffers of 4 KB do not hold apart from what they do, TLS and HTTP/2
// write record by record and frame by frame, and each write to a socket costs far more than those few kilobytes do.
type Conn struct {
	net.Conn
	mu      sync.Mutex
	changed sync.Cond
	waiting []byte
	going   []byte // what leaves now; as memory, what leaves next
	busy    bool   // there is a goroutine that passes on
	closed  bool
	err     error
}

const (
	mostWaiting = 256 << 10 // before those who write do
	worthIt     = 32 << 10  // a write of so much goes by itself, if nothing is before it
	patience    = 30 * time.Second
)

// New makes one of a connection, which nobody else may write to.
func New(c net.Conn) *Conn {
	o := &Conn{Conn: c}
	o.changed.L = &o.mu
	return o
}

// A Listener makes them of those it accepts.
type Listener struct{ net.Listener }

// Accept waits for the next connection.
func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(c), nil
}

// Write takes what is to leave. It waits only while much does already.
func (o *Conn) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.waiting) >= mostWaiting || o.busy && len(p) >= mostWaiting) && o.err == nil && !o.closed {
		o.changed.Wait()
	}
	if o.closed {
		return 0, net.ErrClosed
	}
	if o.err != nil {
		return 0, o.err
	}
	if len(p) >= worthIt && !o.busy {
		o.busy = true
		o.mu.Unlock()
		_, err := o.Conn.Write(p)
		o.mu.Lock()
		o.err = err
		if len(o.waiting) == 0 || err != nil {
			o.rest()
			return len(p), err
		}
		go o.passOn()
		return len(p), nil
	}
	o.waiting = append(o.waiting, p...)
	if !o.busy {
		o.busy = true
		go o.passOn()
	}
	return len(p), nil
}

// rest is when nothing is to be passed on any more.
func (o *Conn) rest() {
	o.busy = false
	o.changed.Broadcast()
	if o.closed {
		o.Conn.Close()
	}
}

// passOn writes until nothing waits.
func (o *Conn) passOn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.err == nil {
		o.waiting, o.going = o.going[:0], o.waiting
		o.changed.Broadcast()
		o.mu.Unlock()
		_, err := o.Conn.Write(o.going)
		o.mu.Lock()
		o.err = err
	}
	o.rest()
}

// Close ends the connection when what was written has left, for which there is some time.
func (o *Conn) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
	if o.busy {
		o.Conn.SetReadDeadline(time.Unix(1, 0))
		return o.Conn.SetWriteDeadline(time.Now().Add(patience))
	}
	return o.Conn.Close()
}

// CloseWrite ends one direction, where the connection can, when what was written has left.
func (o *Conn) CloseWrite() error {
	o.mu.Lock()
	for o.busy {
		o.changed.Wait()
	}
	o.mu.Unlock()
	return CloseWrite(o.Conn)
}

// CloseWrite ends one direction of a connection, where that can be.
func CloseWrite(c net.Conn) error {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// SetDeadline is for reads. Writes wait for whoever does not read, as long as the connection is there.
func (o *Conn) SetDeadline(t time.Time) error { return o.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing. (crypto/tls would give up what is still waiting when it closes.)
func (o *Conn) SetWriteDeadline(time.Time) error { return nil }
