package tui

import (
	"os"
	"sync"
)

// mostQueued is how much a command that reads nothing may be sent; more is lost.
const mostQueued = 16 << 20

// A queue writes to a file that may block, for those who must not.
type queue struct {
	lock  sync.Mutex
	ready sync.Cond
	bytes []byte
	over  bool
}

func newQueue(to *os.File) *queue {
	q := &queue{}
	q.ready.L = &q.lock
	go func() {
		for {
			q.lock.Lock()
			for len(q.bytes) == 0 && !q.over {
				q.ready.Wait()
			}
			b := q.bytes
			q.bytes = nil
			over := q.over
			q.lock.Unlock()
			if over {
				return
			}
			if _, err := to.Write(b); err != nil {
				return
			}
		}
	}()
	return q
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

func (q *queue) close() {
	q.lock.Lock()
	q.over = true
	q.ready.Signal()
	q.lock.Unlock()
}
