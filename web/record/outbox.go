package record

import (
	"net"
	"sync"
	"time"
)

// An outbox is a connection whose writes return before they are done. What comes while one is going leaves together with
// the next: TLS and HTTP/2 write record by record and frame by frame, and each write to a socket costs far more than
// those few kilobytes do.
type outbox struct {
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
)

func newOutbox(c net.Conn) *outbox {
	o := &outbox{Conn: c}
	o.changed.L = &o.mu
	return o
}

func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) >= mostWaiting && o.err == nil && !o.closed {
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
func (o *outbox) rest() {
	o.busy = false
	o.changed.Broadcast()
	if o.closed {
		o.Conn.Close()
	}
}

// passOn writes until nothing waits.
func (o *outbox) passOn() {
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
func (o *outbox) Close() error {
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
func (o *outbox) CloseWrite() error {
	o.mu.Lock()
	for o.busy {
		o.changed.Wait()
	}
	o.mu.Unlock()
	return closeWrite(o.Conn)
}

// SetDeadline is for reads. Writes wait for whoever does not read, as long as the connection is there.
func (o *outbox) SetDeadline(t time.Time) error { return o.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing. (crypto/tls would give up what is still waiting when it closes.)
func (o *outbox) SetWriteDeadline(time.Time) error { return nil }
