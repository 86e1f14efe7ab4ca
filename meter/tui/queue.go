package tui

import (
	"os"
	"sync"
	"time"
)

// mostQueued is how much a command that reads nothing may be sent; more is lost.
const mostQueued = 16 << 20

// A queue writes to a file that may block, for those who must not.
type queue struct {
	lock  sync.Mutex
	ready sync.Cond
	bytes []byte
	over  bool
	to    *os.File
	ended chan struct{}
}

func newQueue(to *os.File) *queue {
	q := &queue{to: to, ended: make(chan struct{})}
	q.ready.L = &q.lock
	go q.run()
	return q
}

func (q *queue) run() {
	defer close(q.ended)
	for {
		q.lock.Lock()
		for len(q.bytes) == 0 && !q.over {
			q.ready.Wait()
		}
		b := q.bytes
		q.bytes = nil
		q.lock.Unlock()
		if len(b) == 0 {
			return
		}
		if n, err := q.to.Write(b); err != nil {
			q.lock.Lock()
			q.over, q.bytes = true, append(b[n:], q.bytes...)
			q.lock.Unlock()
			return
		}
	}
}

// Write takes b, and never waits.
func (q *queue) Write(b []byte) (int, error) {
	q.lock.Lock()
	defer q.lock.Unlock()
	if len(q.bytes)+len(b) <= mostQueued {
		q.bytes = append(q.bytes, b...)
	}
	q.ready.Signal()
	return len(b), nil
}

// close returns what the file has not taken.
func (q *queue) close() []byte {
	q.lock.Lock()
	q.over = true
	q.ready.Signal()
	q.lock.Unlock()
	q.to.SetWriteDeadline(time.Now())
	<-q.ended
	q.lock.Lock()
	defer q.lock.Unlock()
	return q.bytes
}
