package gateway

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long nothing comes from the room when all that it has sent has come.
const quiet = 20 * time.Millisecond

// drain delivers to the outside what the room has sent, for at most Linger.
func (g *gateway) drain() {
	end := time.Now().Add(g.Linger)
	g.settle(end)
	close(g.draining)
	for pause := time.Millisecond; time.Now().Before(end) && g.undelivered(); pause = min(2*pause, 20*time.Millisecond) {
		time.Sleep(pause)
	}
}

// settle waits until the device has been idle for a while, or is gone.
func (g *gateway) settle(end time.Time) {
	for since := time.Now(); time.Now().Before(end) && time.Since(since) < quiet; {
		select {
		case <-g.device.busy:
			since = time.Now()
		case <-time.After(quiet / 4):
		}
	}
}

// undelivered says whether a connection has something that the outside has not acknowledged.
func (g *gateway) undelivered() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.relays {
		if r.undelivered() {
			return true
		}
	}
	return false
}

func (r *relay) undelivered() bool {
	if !r.sent.Load() {
		return true
	}
	left := 0
	r.sock.control(func(fd int) { left, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return left > 0
}
