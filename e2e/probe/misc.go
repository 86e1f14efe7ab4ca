package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"github.com/vishvananda/netlink"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

func dns(args []string) error {
	h := mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		m := new(mdns.Msg).SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == mdns.TypeA {
			m.Answer = append(m.Answer, &mdns.A{A: net.ParseIP(args[1]),
				Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 1}})
		}
		w.WriteMsg(m)
	})
	errs := make(chan error, 2)
	for _, network := range []string{"udp", "tcp"} {
		go func() { errs <- mdns.ListenAndServe(args[0], network, h) }()
	}
	return <-errs
}

// raw sends what no program ought to send.
func raw(args []string) error {
	ifi, err := net.InterfaceByName("ingress")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	send := func(b []byte, proto uint16) error {
		to := &unix.SockaddrLinklayer{Protocol: proto<<8 | proto>>8, Ifindex: ifi.Index}
		err := unix.Sendto(fd, b, 0, to)
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOBUFS) {
			return nil // the kernel would not have it
		}
		return err
	}
	if kind, rest, _ := strings.Cut(args[0], ":"); kind != "random" {
		b, err := hex.DecodeString(args[0])
		if err != nil {
			return err
		}
		return send(b, 0x0800)
	} else if s, n, ok := strings.Cut(rest, ":"); ok {
		seed, _ := strconv.ParseUint(s, 10, 64)
		most, _ := strconv.Atoi(n)
		r := rand.New(rand.NewPCG(seed, 0))
		for range most {
			b := make([]byte, 1+r.IntN(1500))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			proto := uint16(0x0800)
			switch r.IntN(4) { // make most of them look like something at first
			case 0:
				b[0] = 0x45
			case 1:
				b[0], proto = 0x60, 0x86dd
			case 2:
				b[0] = 0x45
				if len(b) > 20 {
					b[2], b[3], b[6], b[7], b[8], b[9] = byte(len(b)>>8), byte(len(b)), 0, 0, 64, 6
				}
			}
			if err := send(b, proto); err != nil {
				return err
			}
		}
	}
	return nil
}

// count prints the packets that cross a device within a time, one a line, and how many.
func count(args []string) error {
	at := 0
	if args[0] != "any" {
		ifi, err := net.InterfaceByName(args[0])
		if err != nil {
			return err
		}
		at = ifi.Index
	}
	lasts, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	const all = 0x0300 // ETH_P_ALL in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, all)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: at}); err != nil {
		return err
	}
	n := 0
	buf := make([]byte, 64<<10)
	for end := time.Now().Add(lasts); ; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		tv := unix.NsecToTimeval(int64(left))
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
		k, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			continue
		}
		n++
		name := ""
		if a, ok := from.(*unix.SockaddrLinklayer); ok {
			if ifi, err := net.InterfaceByIndex(a.Ifindex); err == nil {
				name = ifi.Name
			}
		}
		fmt.Println(name, hex.EncodeToString(buf[:min(k, 64)]))
	}
	fmt.Println(n, "packets")
	return nil
}

// signals writes each signal that arrives to a file, and ends with SIGTERM.
func signals(args []string) error {
	c := make(chan os.Signal, 100)
	signal.Notify(c, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	fmt.Fprintln(f, "ready")
	for s := range c {
		fmt.Fprintln(f, unix.SignalName(s.(syscall.Signal)))
		if s == unix.SIGTERM {
			break
		}
	}
	return nil
}

func ignore(s syscall.Signal) { signal.Ignore(s) }

// route adds a route through a neighbour.
func route(args []string) error {
	_, dst, err := net.ParseCIDR(args[0])
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(args[1])})
}

// sink takes one TCP connection after the other, and writes how much each brought and how it ended to a file.
func sink(args []string) error {
	l, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			n, err := io.Copy(io.Discard, c)
			c.Close()
			how := "end"
			if err != nil {
				how = err.Error()
			}
			os.WriteFile(args[1], fmt.Appendf(nil, "%d %s\n", n, how), 0o644)
		}()
	}
}

// push connects, writes so many bytes, closes and is gone.
func push(args []string) error {
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(args[1])
	if _, err := c.Write(make([]byte, n)); err != nil {
		return err
	}
	return c.Close()
}

// flood sends UDP packets at a rate in Mbit/s; 0 is as fast as it can.
func flood(args []string) error {
	f := flag.NewFlagSet("flood", flag.ExitOnError)
	rate := f.Float64("rate", 1000, "")
	lasts := f.Duration("time", time.Second, "")
	size := f.Int("size", 1500, "of a packet over IPv4, in bytes")
	f.Parse(args)
	c, err := net.Dial("udp", net.JoinHostPort(f.Arg(0), drainPort))
	if err != nil {
		return err
	}
	b := make([]byte, *size-28)
	start := time.Now()
	n := 0
	for t := time.Duration(0); t < *lasts; t = time.Since(start) {
		if *rate == 0 {
			for range 64 {
				c.Write(b)
			}
			n += 64
			continue
		}
		for due := int(t.Seconds() * *rate * 1e6 / 8 / float64(*size)); n < due; n++ {
			c.Write(b)
		}
		time.Sleep(200 * time.Microsecond)
	}
	fmt.Println("sent", n)
	return nil
}

func now([]string) error {
	_, err := fmt.Println(time.Now().UnixNano())
	return err
}
