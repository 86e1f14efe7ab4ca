package gateway

import (
	"sync"
	"time"
)

// Sizes of netstack's buffers of a connection, in bytes: it begins with firstBuffer each way, or less where there are
// many, and netstack enlarges them as the connection proves fast.
const (
	leastBuffer = 8 << 10
	firstBuffer = 128 << 10
	mostBuffer  = 8 << 20
)

const (
	allBuffers  = 64 << 20 // what all together may grow to
	someBuffers = 16 << 20 // what is shared out to begin with
)

// timeWait is how long a closed connection is remembered; clients and the outside have TIME-WAIT of their own.
const timeWait = 5 * time.Second

// budget bounds the connections and their buffers.
type budget struct {
	most int // connections

	mu    sync.Mutex
	n     int
	total int // bytes granted
}

func (b *budget) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n >= b.most
}

// open counts a connection, and says what each of its buffers begins with.
func (b *budget) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	size := min(max(someBuffers/b.n, leastBuffer), firstBuffer)
	b.total += 2 * size
	return size
}

func (b *budget) close(granted int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n--
	b.total -= granted
}

// grant says how large a buffer of size granted may be that would be of size wanted. A large one shrinks once all
// together are near to what they may be.
func (b *budget) grant(granted, wanted int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	fair := max(allBuffers/2/max(b.n, 1), leastBuffer)
	rest := allBuffers - (b.total - granted)
	switch {
	case rest < wanted:
		wanted = max(rest, min(granted, fair), leastBuffer)
	case rest < allBuffers/4:
		wanted = min(wanted, max(fair, leastBuffer))
	}
	b.total += wanted - granted
	return wanted
}
