package gateway

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestTCP(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	at := map[string]string{
		own4: l.listen(nil, "127.0.0.1:0", echo), own6: l.listen(nil, "[::1]:0", echo),
		"192.0.2.2": l.listen(l.beyond, "192.0.2.2:0", echo), "2001:db8::2": l.listen(l.beyond, "[2001:db8::2]:0", echo),
		"192.0.2.1": l.listen(nil, "192.0.2.1:0", echo),
	}
	for a, port := range at {
		c, err := l.room.dial("tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Error(err)
			continue
		}
		if err := roundTrip(c, "hello to "+a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		c.Close()
	}
	for to, want := range map[string]error{
		own4 + ":1":          unix.ECONNREFUSED,
		"[" + own6 + "]:1":   unix.ECONNREFUSED,
		"192.0.2.2:1":        unix.ECONNREFUSED,
		"[2001:db8::2]:1":    unix.ECONNREFUSED,
		"203.0.113.5:80":     unix.EHOSTUNREACH,
		"[2001:db8:2::5]:80": unix.ENETUNREACH,
		"0.0.0.1:80":         unix.EHOSTUNREACH, // that is what administratively prohibited is to Linux,
		"[::127.0.0.1]:80":   unix.EACCES,       // and with IPv6
	} {
		c, err := l.room.dial("tcp", to)
		if errno(err) != want {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
		if c != nil {
			c.Close()
		}
	}
	l.end()
}

// A connection is accepted inside only when the outside has accepted it.
func TestTCPAcceptsLate(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	// Outside, SYNs are lost for a while.
	lost := "198.51.100.7"
	done := make(chan error, 1)
	go func() {
		c, err := l.room.dial("tcp", lost+":7")
		if err == nil {
			err = roundTrip(c, "late")
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it ended before the outside has answered: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	err := l.beyond.do(func() error { return address("lo", []string{lost + "/32"}) })
	if err != nil {
		t.Fatal(err)
	}
	l.listen(l.beyond, lost+":7", echo)
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.end()
}

func TestTCPHalfClose(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	after := l.listen(nil, "127.0.0.1:0", func(c *net.TCPConn) { // answers when all is said
		b, _ := io.ReadAll(c)
		time.Sleep(100 * time.Millisecond)
		c.Write(append([]byte("got "), b...))
	})
	c, err := l.room.dial("tcp", own4+":"+after)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "all")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "got all" || err != nil {
		t.Errorf("the server said %q, %v", b, err)
	}
	said := make(chan string, 1)
	before := l.listen(nil, "127.0.0.1:0", func(c *net.TCPConn) { // says all, and then listens
		io.WriteString(c, "bye")
		c.CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil {
			b = []byte(err.Error())
		}
		said <- string(b)
	})
	if c, err = l.room.dial("tcp", own4+":"+before); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "bye" || err != nil {
		t.Errorf("the server said %q, %v", b, err)
	}
	time.Sleep(100 * time.Millisecond)
	io.WriteString(c, "still here")
	c.Close()
	if s := <-said; s != "still here" {
		t.Errorf("the client said %q", s)
	}
	l.end()
}

func TestTCPReset(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	port := l.listen(nil, "127.0.0.1:0", func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 2))
		c.SetLinger(0)
	})
	c, err := l.room.dial("tcp", own4+":"+port)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "hi")
	if _, err := io.ReadAll(c); errno(err) != unix.ECONNRESET {
		t.Errorf("a reset from the outside came as %v", err)
	}
	for _, stuck := range []bool{false, true} {
		got := make(chan error, 1)
		begun := make(chan bool)
		port = l.listen(nil, "127.0.0.1:0", func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 2))
			close(begun)
			if stuck { // reads nothing, so that what is said fills all buffers
				time.Sleep(time.Second)
			}
			_, err := io.Copy(io.Discard, c)
			got <- err
		})
		if c, err = l.room.dial("tcp", own4+":"+port); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "hi")
		<-begun
		if stuck {
			c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			c.Write(make([]byte, 64<<20))
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		if err := <-got; errno(err) != unix.ECONNRESET {
			t.Errorf("a reset from inside came as %v; stuck: %v", err, stuck)
		}
	}
	l.end()
}

func TestTCPLarge(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	const size = 64 << 20
	sums := make(chan [32]byte, 1)
	port := l.listen(nil, "[::]:0", func(c *net.TCPConn) {
		go func() {
			h := sha256.New()
			io.Copy(h, struct{ io.Reader }{c})
			sums <- [32]byte(h.Sum(nil))
		}()
		send(c, size, 1)
		c.CloseWrite()
		time.Sleep(10 * time.Second)
	})
	for _, a := range []string{own4, own6} {
		c, err := l.room.dial("tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		var up [32]byte
		sent := make(chan bool)
		go func() {
			up = send(c, size, 2)
			c.(*net.TCPConn).CloseWrite()
			close(sent)
		}()
		h := sha256.New()
		n, err := io.Copy(h, struct{ io.Reader }{c})
		if err != nil || n != size || [32]byte(h.Sum(nil)) != send(io.Discard, size, 1) {
			t.Errorf("%s: down came %d of %d bytes, %v", a, n, size, err)
		}
		<-sent
		if got := <-sums; got != up {
			t.Errorf("%s: up came something else", a)
		}
		c.Close()
	}
	l.end()
}

// send writes so many bytes, in pieces of many sizes, and returns their sum.
func send(w io.Writer, size int, seed uint64) [32]byte {
	var key [32]byte
	key[0] = byte(seed)
	content, sizes := rand.NewChaCha8(key), rand.New(rand.NewPCG(seed, 1))
	h := sha256.New()
	b := make([]byte, 256<<10)
	for size > 0 {
		n := min(size, 1+sizes.IntN(len(b)))
		content.Read(b[:n])
		h.Write(b[:n])
		w.Write(b[:n])
		size -= n
	}
	return [32]byte(h.Sum(nil))
}

// resident is the process's memory in MB, of which the tests' own part is some.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

func TestTCPParallel(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	port := l.listen(nil, "127.0.0.1:0", echo)
	const n = 2000
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range conns {
		wg.Go(func() {
			if conns[i], errs[i] = l.room.dial("tcp", own4+":"+port); errs[i] == nil {
				errs[i] = roundTrip(conns[i], strings.Repeat("x", 2000)+strconv.Itoa(i))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i, c := range conns { // all are still there
		wg.Go(func() {
			errs[i] = roundTrip(c, strconv.Itoa(i))
			c.Close()
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n, total := l.budget.counted()
		if n == 0 && total == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections and %d bytes of buffers are left", n, total)
		}
	}
	l.end()
}

func (b *budget) counted() (n, extra int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.extra
}

// A flood of SYNs, to one destination that never answers and to many, stops nobody.
func TestTCPFlood(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	port := l.listen(nil, "127.0.0.1:0", echo)
	c, err := l.room.dial("tcp", own4+":"+port)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []func(i int) [4]byte{
		func(int) [4]byte { return [4]byte{198, 51, 100, 1} },
		func(i int) [4]byte { return [4]byte{198, 51, 100, byte(i)} },
	} {
		err := l.room.do(func() error {
			for i := range 5000 {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
				if err != nil {
					return err
				}
				if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to(i), Port: 80}); err != unix.EINPROGRESS {
					return err
				}
				unix.Close(fd)
				if i%500 == 0 {
					if err := roundTrip(c, "still"); err != nil {
						return err
					}
					other, err := net.Dial("tcp", own4+":"+port)
					if err != nil {
						return err
					}
					other.Close()
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	l.dials.mu.Lock()
	pending := len(l.dials.under)
	l.dials.mu.Unlock()
	if pending > 2*l.dials.most {
		t.Errorf("%d connections are under way, of at most %d", pending, l.dials.most)
	}
	if mb := resident(t); mb > 256 && !raceEnabled {
		t.Errorf("%d MB are resident", mb)
	}
	t.Log(resident(t), "MB,", runtime.NumGoroutine(), "goroutines,", pending, "under way")
	l.end()
}

// What the room has sent before its tool ended is delivered, though the server is slow.
func TestDrain(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	got := make(chan []byte, 1)
	port := l.listen(l.beyond, "192.0.2.2:0", func(c *net.TCPConn) {
		c.SetReadBuffer(4 << 10)
		io.WriteString(c, "something that the client will not read")
		time.Sleep(300 * time.Millisecond)
		b, _ := io.ReadAll(c)
		got <- b
	})
	c, err := l.room.dial("tcp", "192.0.2.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	what := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	c.Write(what)
	l.end()
	if b := <-got; !bytes.Equal(b, what) {
		t.Errorf("%d of %d bytes came", len(b), len(what))
	}
}

// The gateway goes with its device.
func TestDeviceGone(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	l := newLab(t)
	err := l.room.do(func() error {
		link, err := netlink.LinkByName("ingress")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	if err != nil {
		t.Fatal(err)
	}
	l.awaitEnd()
}
