package gateway

import (
	"sync"
	"time"
)

// Sizes of netstack's buffers of a connection, in bytes. It begins with the first, and netstack enlarges them as it
// proves fast. A receive buffer is never smaller than what was advertised with the SYN, or what comes would be dropped.
const (
	firstReceive = 32 << 10
	firstSend    = 16 << 10
	mostBuffer   = 32 << 20
)

// mostConnections with their first buffers take 120 MiB in the worst case, when both ends of each have stopped to read.
const mostConnections = 2560

// enlargement is what all buffers together may grow by.
const enlargement = 48 << 20

// timeWait is how long a closed connection is remembered; clients and the outside have TIME-WAIT of their own.
const timeWait = 5 * time.Second

// budget bounds the connections and their buffers.
type budget struct {
	most int // connections

	mu    sync.Mutex
	n     int
	extra int // bytes beyond the first buffers
}

// open says whether there may be another connection, and counts it.
func (b *budget) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n >= b.most {
		return false
	}
	b.n++
	return true
}

// close gives back a connection and what it was granted.
func (b *budget) close(extra int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n--
	b.extra -= extra
}

// grant says by how much a buffer may be larger than the first, that was granted so much and wants another amount. Those
// with more than their share give of it when little is left.
func (b *budget) grant(granted, wanted int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := enlargement - (b.extra - granted)
	if share := enlargement / 2 / max(b.n, 1); rest-wanted < enlargement/4 && wanted > share {
		wanted = share
	}
	wanted = max(min(wanted, rest), 0)
	b.extra += wanted - granted
	return wanted
}
