package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// port is where serve listens, for UDP and TCP.
const (
	port      = "9000"
	drainPort = "9001"
	replySize = 24 // where in a packet
)

// serve starts the servers in the calling thread's namespace, on all addresses of both families.
//
// UDP: what comes to the next port is swallowed. Otherwise each packet comes back with the time of its arrival, CLOCK_MONOTONIC in nanoseconds, in its bytes 16 to 23,
// and as long as its bytes 24 to 27 say, if that is longer.
// TCP: a line says what to do. "sink" takes data until its end and answers with its length and SHA-256, "discard" with
// its length alone; "source N" sends N bytes of stream, "flood NANOSECONDS" sends for that long; "echo" echoes.
func serve() error {
	u, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	u.(*net.UDPConn).SetReadBuffer(16 << 20)
	t, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	drain, err := net.ListenPacket("udp", ":"+drainPort)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, _, err := drain.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			if n >= 24 {
				binary.BigEndian.PutUint64(buf[16:], uint64(monotonic()))
			}
			if n >= replySize+4 {
				n = min(max(n, int(binary.BigEndian.Uint32(buf[replySize:]))), len(buf))
			}
			u.WriteTo(buf[:n], from)
		}
	}()
	go func() {
		for {
			c, err := t.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return nil
}

func answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 256<<10)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	var n int64
	switch word, arg, _ := strings.Cut(strings.TrimSpace(line), " "); word {
	case "sink":
		h := sha256.New()
		n, _ := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		fmt.Fprintf(c, "%d %x\n", n, h.Sum(nil))
	case "discard":
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		fmt.Fprintf(c, "%d\n", n)
	case "source":
		fmt.Sscan(arg, &n)
		io.Copy(c, io.LimitReader(stream(), n))
	case "flood":
		fmt.Sscan(arg, &n)
		buf := make([]byte, 256<<10)
		for end := time.Now().Add(time.Duration(n)); time.Now().Before(end); {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case "echo":
		io.Copy(c, r)
	}
}

// stream is bytes without end, the same in every program.
func stream() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// streamSum is the SHA-256 of the first n bytes of stream.
func streamSum(n int64) hash.Hash {
	h := sha256.New()
	io.Copy(h, io.LimitReader(stream(), n))
	return h
}

func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
