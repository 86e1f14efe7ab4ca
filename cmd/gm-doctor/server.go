package main

import (
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long after a tool's end its last packet may still be unread.
const quiet = 100 * time.Millisecond

// echo sends datagrams back until it gets an empty one.
func echo(c *net.UDPConn) {
	fd, done, err := blocking(c)
	if err != nil {
		return
	}
	defer done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, b, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		unix.Sendto(fd, b[:n], 0, from)
	}
}

// stopEcho ends the echo at c.
func stopEcho(c *net.UDPConn) { c.WriteTo(nil, c.LocalAddr()) }

// blocking is a descriptor of the socket whose calls wait in the kernel: a thread in one is back sooner than Go's poller
// can have it run. done closes it.
func blocking(c *net.UDPConn) (fd int, done func() error, err error) {
	f, err := c.File()
	if err != nil {
		return 0, nil, err
	}
	return int(f.Fd()), f.Close, nil // Fd makes it block
}

// arrivals are the times of all datagrams until c's deadline.
func arrivals(c *net.UDPConn) (at []time.Time) {
	b := make([]byte, 2048)
	for {
		if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
			return at
		}
		at = append(at, time.Now())
	}
}

// receive takes one connection, and returns its rate in bit/s from its first bytes to its last; 0 if there is none.
func receive(l *net.TCPListener) float64 {
	c, err := l.Accept()
	if err != nil {
		return 0
	}
	defer c.Close()
	b := make([]byte, 1<<20)
	if _, err := c.Read(b); err != nil {
		return 0
	}
	start, sum := time.Now(), 0
	last := start
	for {
		n, err := c.Read(b)
		if sum += n; n > 0 {
			last = time.Now()
		}
		if err != nil {
			break
		}
	}
	if sum == 0 {
		return 0
	}
	return float64(sum) * 8 / last.Sub(start).Seconds()
}
