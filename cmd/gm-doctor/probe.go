package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runProbe is the client inside a container: rtt ADDRESS N, send ADDRESS N BYTES PACE-NS, or flood ADDRESS TIME-NS.
func runProbe(args []string, w io.Writer) error {
	if len(args) == 0 {
		return errors.New("there is no such probe")
	}
	var address string
	var n, size int
	var length time.Duration
	scan := func(into ...any) error {
		_, err := fmt.Sscan(strings.Join(args[1:], " "), into...)
		return err
	}
	switch args[0] {
	case "rtt":
		if err := scan(&address, &n); err != nil {
			return err
		}
		return roundTrips(address, n, w)
	case "send":
		if err := scan(&address, &n, &size, &length); err != nil {
			return err
		}
		return send(address, n, size, length)
	case "flood":
		if err := scan(&address, &length); err != nil {
			return err
		}
		return flood(address, length)
	}
	return fmt.Errorf("%q is no probe", args[0])
}

// roundTrips sends n datagrams 5 ms apart, and writes each one's round trip in nanoseconds, as they come back.
func roundTrips(address string, n int, w io.Writer) error {
	const pace, patience = 5 * time.Millisecond, time.Second
	c, err := net.Dial("udp4", address)
	if err != nil {
		return err
	}
	defer c.Close()
	fd, done, err := blocking(c.(*net.UDPConn))
	if err != nil {
		return err
	}
	defer done()
	start := time.Now()
	go func() {
		runtime.LockOSThread()
		for i := range n {
			time.Sleep(time.Until(start.Add(time.Duration(i) * pace)))
			unix.Write(fd, binary.BigEndian.AppendUint64(nil, uint64(time.Since(start))))
		}
	}()
	late := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &late); err != nil {
		return err
	}
	runtime.LockOSThread()
	b := make([]byte, 8)
	var trips []int64
	for len(trips) < n {
		_, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			break // the rest is lost
		}
		trips = append(trips, int64(time.Since(start))-int64(binary.BigEndian.Uint64(b)))
	}
	for _, t := range trips {
		if _, err := fmt.Fprintln(w, t); err != nil {
			return err
		}
	}
	return nil
}

// send sends n datagrams of a size, in steps of a millisecond where they have a pace.
func send(address string, n, size int, pace time.Duration) error {
	c, err := net.Dial("udp4", address)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, size)
	start := time.Now()
	for i := range n {
		if ahead := time.Until(start.Add(time.Duration(i) * pace)); ahead > time.Millisecond {
			time.Sleep(ahead)
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// flood sends over TCP for a time, and ends when the receiver has everything.
func flood(address string, length time.Duration) error {
	c, err := net.DialTimeout("tcp4", address, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 256<<10)
	for end := time.Now().Add(length); time.Now().Before(end); {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(time.Second))
	c.Read(b)
	return nil
}
