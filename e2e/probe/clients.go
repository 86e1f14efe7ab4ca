package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ping prints what ping(8) does, and measures as it does: until the kernel's own stamp on the reply, so that waking this
// program is not counted.
func ping(args []string) error {
	f := flag.NewFlagSet("ping", flag.ExitOnError)
	n := f.Int("c", 4, "")
	interval := f.Float64("i", 1, "")
	f.Parse(args)
	addr, err := netip.ParseAddr(f.Arg(0))
	if err != nil {
		return err
	}
	family, proto, request, reply, to := unix.AF_INET, unix.IPPROTO_ICMP, byte(8), byte(0), unix.Sockaddr(nil)
	if addr.Is4() {
		to = &unix.SockaddrInet4{Addr: addr.As4()}
	} else {
		family, proto, request, reply = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128, 129
		to = &unix.SockaddrInet6{Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW, proto)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	fmt.Printf("PING %s 56(84) bytes of data.\n", addr)
	id := uint16(time.Now().UnixNano())
	var rtts []time.Duration
	left := map[uint16]time.Time{} // when those that are not answered yet were sent
	buf, oob := make([]byte, 2000), make([]byte, 256)
	for seq := 1; seq <= *n; seq++ {
		m := make([]byte, 64)
		m[0] = request
		binary.BigEndian.PutUint16(m[4:], id)
		binary.BigEndian.PutUint16(m[6:], uint16(seq))
		if addr.Is4() { // for ICMPv6 the kernel does it
			binary.BigEndian.PutUint16(m[2:], checksum(m))
		}
		sent := time.Now()
		left[uint16(seq)] = sent
		// Not unix.Write, of which Go's scheduler is told first, which takes longer than sending.
		if _, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m))); errno != 0 {
			fmt.Println(errno)
		}
		next := sent.Add(time.Duration(*interval * float64(time.Second)))
		if seq == *n {
			next = sent.Add(2 * time.Second)
		}
		for wait := time.Until(next); wait > 0 && (seq < *n || len(left) > 0); wait = time.Until(next) {
			tv := unix.NsecToTimeval(int64(max(wait, time.Microsecond)))
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
			k, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, 0)
			if err != nil {
				continue
			}
			b := buf[:k]
			if addr.Is4() {
				b = b[min(k, 4*int(buf[0]&15)):]
			}
			if len(b) < 8 || b[0] != reply || binary.BigEndian.Uint16(b[4:]) != id {
				continue
			}
			answered := binary.BigEndian.Uint16(b[6:])
			if sent, ok := left[answered]; ok {
				delete(left, answered)
				rtt := stamp(oob[:oobn]).Sub(sent)
				fmt.Printf("%d bytes from %s: icmp_seq=%d time=%.2f ms\n", len(b), addr, answered, ms(rtt))
				rtts = append(rtts, rtt)
			}
		}
	}
	fmt.Printf("\n--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss\n", addr, *n, len(rtts),
		100*(*n-len(rtts)) / *n)
	if len(rtts) == 0 {
		return fmt.Errorf("no reply")
	}
	slices.Sort(rtts)
	var sum time.Duration
	for _, r := range rtts {
		sum += r
	}
	fmt.Printf("rtt min/avg/max/median = %.3f/%.3f/%.3f/%.3f ms\n", ms(rtts[0]), ms(sum/time.Duration(len(rtts))),
		ms(rtts[len(rtts)-1]), ms(rtts[len(rtts)/2]))
	return nil
}

// stamp is when the kernel got a packet.
func stamp(oob []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range messages {
		if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	s = s&0xffff + s>>16
	return ^uint16(s&0xffff + s>>16)
}

// udp sends numbered packets and tells which came back, in what order, and how long each way took.
func udp(args []string) error {
	f := flag.NewFlagSet("udp", flag.ExitOnError)
	n := f.Int("n", 100, "")
	interval := f.Duration("i", time.Millisecond, "")
	size := f.Int("size", 64, "")
	wait := f.Duration("wait", time.Second, "")
	reply := f.Int("reply", 0, "")   // bytes of what comes back, if that is more
	file := f.String("each", "", "") // gets a line for each that came back: its number, and when it was sent, there, and back
	f.Parse(args)
	c, err := net.Dial("udp", net.JoinHostPort(f.Arg(0), port))
	if err != nil {
		return err
	}
	c.(*net.UDPConn).SetReadBuffer(16 << 20)
	var back []uint32
	var ups, downs []int64
	var lines bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			k, err := c.Read(buf)
			if err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					return
				}
				continue
			}
			now := monotonic()
			if k < 24 {
				continue
			}
			back = append(back, uint32(binary.BigEndian.Uint64(buf)))
			sent, there := int64(binary.BigEndian.Uint64(buf[8:])), int64(binary.BigEndian.Uint64(buf[16:]))
			fmt.Fprintln(&lines, binary.BigEndian.Uint64(buf), sent, there, now)
			ups = append(ups, there-sent)
			downs = append(downs, now-there)
		}
	}()
	buf := make([]byte, max(replySize+4, *size))
	binary.BigEndian.PutUint32(buf[replySize:], uint32(*reply))
	start := time.Now()
	for i := range *n {
		if *interval > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(i) * *interval)))
		}
		binary.BigEndian.PutUint64(buf, uint64(i))
		binary.BigEndian.PutUint64(buf[8:], uint64(monotonic()))
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
	c.SetReadDeadline(time.Now().Add(*wait))
	<-done
	if *file != "" {
		if err := os.WriteFile(*file, lines.Bytes(), 0o666); err != nil {
			return err
		}
	}
	ordered := slices.IsSorted(back)
	h := sha256.New()
	for _, b := range back {
		binary.Write(h, binary.BigEndian, b)
	}
	fmt.Printf("sent %d received %d ordered %v fate %x\n", *n, len(back), ordered, h.Sum(nil)[:8])
	if len(back) > 0 {
		slices.Sort(ups)
		slices.Sort(downs)
		for _, d := range []struct {
			name string
			v    []int64
		}{{"uplink", ups}, {"downlink", downs}} {
			fmt.Printf("%s min/median/p99/max = %.3f/%.3f/%.3f/%.3f ms\n", d.name, float64(d.v[0])/1e6,
				float64(d.v[len(d.v)/2])/1e6, float64(d.v[len(d.v)*99/100])/1e6, float64(d.v[len(d.v)-1])/1e6)
		}
	}
	return nil
}

// tcp moves data over one connection.
func tcp(args []string) error {
	f := flag.NewFlagSet("tcp", flag.ExitOnError)
	n := f.Int64("bytes", 0, "")
	lasts := f.Duration("time", 0, "")
	reverse := f.Bool("reverse", false, "")
	check := f.Bool("check", false, "")
	cc := f.String("cc", "", "")
	flows := f.Int("flows", 0, "")    // that many at once, into here, and
	bins := f.Duration("bins", 0, "") // what arrives in each such time
	ecn := f.Bool("ecn", false, "")
	f.Parse(args)
	if *ecn { // of this container's own network
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_ecn", []byte("1"), 0); err != nil {
			return err
		}
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if *cc != "" {
			c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, *cc) })
		}
		return err
	}}
	start := time.Now()
	if *flows > 0 {
		return binned(d, net.JoinHostPort(f.Arg(0), port), *flows, *lasts, *bins)
	}
	c, err := d.Dial("tcp", net.JoinHostPort(f.Arg(0), port))
	if err != nil {
		return err
	}
	defer c.Close()
	var moved int64
	verdict := ""
	buf := make([]byte, 256<<10)
	switch {
	case *reverse && *check:
		fmt.Fprintf(c, "source %d\n", *n)
		h := sha256.New()
		if moved, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{c}, buf); err != nil {
			return err
		}
		verdict = compare(h.Sum(nil), streamSum(*n).Sum(nil))
	case *reverse:
		fmt.Fprintf(c, "flood %d\n", *lasts)
		if moved, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, buf); err != nil {
			return err
		}
	case *check:
		fmt.Fprintf(c, "sink\n")
		h := sha256.New()
		if moved, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(c, h)}, io.LimitReader(stream(), *n), buf); err != nil {
			return err
		}
		c.(*net.TCPConn).CloseWrite()
		var there int64
		var sum string
		if _, err := fmt.Fscan(bufio.NewReader(c), &there, &sum); err != nil {
			return err
		}
		verdict = compare([]byte(fmt.Sprintf("%x", h.Sum(nil))), []byte(sum))
	default:
		fmt.Fprintf(c, "discard\n")
		for end := start.Add(*lasts); *lasts > 0 && time.Now().Before(end) || moved < *n; {
			k, err := c.Write(buf)
			moved += int64(k)
			if err != nil {
				return err
			}
		}
		c.(*net.TCPConn).CloseWrite()
		if _, err := fmt.Fscan(bufio.NewReader(c), &moved); err != nil {
			return err
		}
	}
	took := time.Since(start).Seconds()
	fmt.Printf("%d bytes in %.3f s, %.1f Mbit/s%s\n", moved, took, float64(moved)*8/took/1e6, verdict)
	return nil
}

// binned receives several flows, and says how many bytes of them this machine's TCP has received in each time. The
// kernel's count is taken, so that it does not matter how soon this program comes to read.
func binned(d net.Dialer, to string, flows int, lasts, every time.Duration) error {
	var all sync.WaitGroup
	var conns []syscall.RawConn
	for range flows {
		c, err := d.Dial("tcp", to)
		if err != nil {
			return err
		}
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			return err
		}
		conns = append(conns, raw)
		fmt.Fprintf(c, "flood %d\n", lasts)
		all.Go(func() {
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
		})
	}
	var before uint64
	var since time.Time
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(every) {
		now, sum := time.Now(), uint64(0)
		for _, c := range conns {
			c.Control(func(fd uintptr) {
				if i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
					sum += i.Bytes_received
				}
			})
		}
		if before > 0 {
			fmt.Printf("bin %.0f\n", float64(sum-before)*every.Seconds()/now.Sub(since).Seconds())
		}
		before, since = sum, now
	}
	all.Wait()
	return nil
}

func compare(a, b []byte) string {
	if string(a) == string(b) {
		return ", hash right"
	}
	return ", HASH WRONG"
}

func connect(args []string) error {
	c, err := net.DialTimeout("tcp", args[0], 6*time.Second)
	if err != nil {
		return err
	}
	c.Close()
	fmt.Println("connected")
	return nil
}

func resolve(args []string) error {
	f := flag.NewFlagSet("resolve", flag.ExitOnError)
	overTCP := f.Bool("tcp", false, "")
	f.Parse(args)
	r := &net.Resolver{PreferGo: true}
	if *overTCP {
		r.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	start := time.Now()
	a, err := r.LookupNetIP(context.Background(), "ip4", f.Arg(0))
	if err != nil {
		return err
	}
	fmt.Printf("%v in %.1f ms\n", a[0], ms(time.Since(start)))
	return nil
}
