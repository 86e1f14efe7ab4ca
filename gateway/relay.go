package gateway

import (
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// relay carries a connection's bytes, each way in a goroutine. Each end's FIN becomes the other's, and so does a RST.
type relay struct {
	g     *gateway
	sock  *socket
	inner tcpip.Endpoint
	queue waiter.Queue

	readable, writable chan struct{} // take a value when inner may be

	stuck atomic.Bool // up waits for the outside
	mu    sync.Mutex  // held while what netstack has is written
	over  bool        // it was reset, and has nothing any more
	sent  atomic.Bool // the kernel has all that inner has said

	receive, send int // what buffers were granted beyond the first
}

// run returns when the connection has ended.
func (r *relay) run() {
	r.g.mu.Lock()
	r.g.relays[r] = struct{}{}
	r.g.mu.Unlock()

	event := waiter.NewFunctionEntry(waiter.ReadableEvents|waiter.WritableEvents|waiter.EventHUp|waiter.EventErr, r.notify)
	r.queue.EventRegister(&event)
	down := make(chan struct{})
	go func() {
		defer close(down)
		r.down()
	}()
	r.up()
	r.sent.Store(true)
	<-down
	r.queue.EventUnregister(&event)
	r.inner.Close()
	r.sock.file.Close()

	r.g.mu.Lock()
	delete(r.g.relays, r)
	r.g.mu.Unlock()
	r.g.trim()
	r.g.budget.close(r.receive + r.send)
}

// notify is called by netstack when something has happened to inner.
func (r *relay) notify(mask waiter.EventMask) {
	if mask&(waiter.ReadableEvents|waiter.EventHUp|waiter.EventErr) != 0 {
		wake(r.readable)
	}
	if mask&(waiter.WritableEvents|waiter.EventHUp|waiter.EventErr) != 0 {
		wake(r.writable)
	}
	if mask&waiter.EventHUp != 0 && r.stuck.Load() && r.failed() {
		go r.reset()
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failed says whether inner was reset.
func (r *relay) failed() bool { return tcp.EndpointState(r.inner.State()) == tcp.StateError }

// reset ends the connection with a RST each way.
func (r *relay) reset() {
	r.mu.Lock()
	was := r.over
	r.over = true
	r.mu.Unlock()
	if !was {
		r.sock.reset()
		r.inner.(*tcp.Endpoint).Abort()
		wake(r.readable)
		wake(r.writable)
	}
}

// up carries from inside to the outside. What netstack has is written from where it lies.
func (r *relay) up() {
	q := pieces{most: mostPieces}
	for {
		q.reset()
		_, err := r.inner.Read(&q, tcpip.ReadOptions{Peek: true})
		switch {
		case q.size > 0:
			n, err := r.write(q.iovs)
			if n > 0 {
				r.inner.Read(&discard{n}, tcpip.ReadOptions{})
				r.enlargeReceive(n)
			}
			if err != nil {
				r.reset()
				return
			}
			continue
		case wouldBlock(err):
			select {
			case <-r.readable:
				continue
			case <-r.g.draining:
			}
		}
		switch err.(type) {
		case *tcpip.ErrClosedForReceive, *tcpip.ErrWouldBlock:
			r.sock.shut()
		default:
			r.reset()
		}
		return
	}
}

// write writes at least a part, and returns how much.
func (r *relay) write(iovs []unix.Iovec) (n int, err error) {
	e := r.sock.raw.Write(func(fd uintptr) bool {
		r.mu.Lock()
		if err = os.ErrClosed; !r.over {
			n, err = writev(int(fd), iovs)
		}
		r.mu.Unlock()
		if err == unix.EAGAIN {
			r.stuck.Store(true)
			if r.failed() { // before notify could see that we are
				err = os.ErrClosed
			}
		}
		return err != unix.EAGAIN
	})
	r.stuck.Store(false)
	if e != nil {
		err = e
	}
	return n, err
}

// enlargeReceive lets netstack enlarge its buffer, now that n bytes were taken from it, as far as there is room for that.
func (r *relay) enlargeReceive(n int) {
	r.inner.ModerateRecvBuf(n)
	o := r.inner.SocketOptions()
	if size := int(o.GetReceiveBufferSize()); size > firstReceive {
		if r.receive = r.g.budget.grant(r.receive, size-firstReceive); firstReceive+r.receive != size {
			o.SetReceiveBufferSize(int64(firstReceive+r.receive), false)
		}
	}
}

// enlargeSend does so for what is sent, which netstack enlarges by itself.
func (r *relay) enlargeSend() {
	o := r.inner.SocketOptions()
	if size := int(o.GetSendBufferSize()); size > firstSend {
		if r.send = r.g.budget.grant(r.send, size-firstSend); firstSend+r.send != size {
			o.SetSendBufferSize(int64(firstSend+r.send), false)
		}
	}
}

// down carries from the outside to inside. Netstack reads into its own buffers, of the size of what there is.
func (r *relay) down() {
	for {
		n, err := r.await()
		if err != nil {
			r.reset()
			return
		}
		if n == 0 {
			r.inner.Shutdown(tcpip.ShutdownWrite)
			return
		}
		r.enlargeSend()
		var failed tcpip.Error
		r.sock.raw.Read(func(fd uintptr) bool {
			_, failed = r.inner.Write(&incoming{fd: int(fd), n: min(n, mostRead)}, tcpip.WriteOptions{})
			return true
		})
		switch {
		case failed == nil:
		case wouldBlock(failed):
			select {
			case <-r.writable:
			case <-r.g.draining:
				r.discard()
				return
			}
		default:
			r.reset()
			return
		}
	}
}

// mostRead is the most that is read at once.
const mostRead = 512 << 10

// await returns how much there is to read: 0 at the end.
func (r *relay) await() (n int, err error) {
	e := r.sock.raw.Read(func(fd uintptr) bool {
		if n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); n > 0 || err != nil {
			return true
		}
		var b [1]byte
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
		return err != unix.EAGAIN
	})
	if e != nil {
		err = e
	}
	return n, err
}

// discard reads until the outside ends, for nobody: closing a socket that has something to read would make a RST.
func (r *relay) discard() {
	b := make([]byte, 64<<10)
	for {
		n, err := r.sock.file.Read(b)
		if n == 0 || err != nil {
			return
		}
	}
}

func wouldBlock(err tcpip.Error) bool {
	_, ok := err.(*tcpip.ErrWouldBlock)
	return ok
}

// pieces gathers what netstack has received, without taking it.
type pieces struct {
	most int // pieces
	iovs []unix.Iovec
	size int // bytes
}

// mostPieces is the most of TCP's that is written at once.
const mostPieces = 64

func (q *pieces) reset() {
	clear(q.iovs)
	q.iovs, q.size = q.iovs[:0], 0
}

func (q *pieces) Write(b []byte) (int, error) {
	if len(q.iovs) == q.most {
		return 0, io.ErrShortWrite
	}
	q.iovs = append(q.iovs, iovec(b))
	q.size += len(b)
	return len(b), nil
}

// discard takes n bytes from netstack.
type discard struct{ n int }

func (d *discard) Write(b []byte) (int, error) {
	if len(b) <= d.n {
		d.n -= len(b)
		return len(b), nil
	}
	n := d.n
	d.n = 0
	return n, io.ErrShortWrite
}

// incoming is what a socket has to read, at least n bytes, as netstack wants it.
type incoming struct{ fd, n int }

func (p *incoming) Len() int { return p.n }

func (p *incoming) Read(b []byte) (int, error) {
	if len(b) == 0 { // a question whether this is the end
		return 0, nil
	}
	n, err := unix.Read(p.fd, b)
	if n <= 0 && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return max(n, 0), err
}
