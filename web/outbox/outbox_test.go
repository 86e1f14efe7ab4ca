package outbox

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// pair is both ends of a TCP connection.
func pair(t *testing.T) (*Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return New(near), far
}

// All that was written arrives, in order, though the connection is closed at once, and deadlines of writes have passed.
func TestOutbox(t *testing.T) {
	o, far := pair(t)
	var want []byte
	read := make(chan []byte)
	go func() {
		time.Sleep(50 * time.Millisecond) // so that much waits
		b, err := io.ReadAll(far)
		if err != nil {
			t.Error(err)
		}
		read <- b
	}()
	for i := range 3000 {
		size := 1 + i*37%3000
		if i%50 == 0 {
			size = 100 << 10 // goes by itself
		}
		p := bytes.Repeat([]byte{byte(i)}, size)
		want = append(want, p...)
		if n, err := o.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		clear(p) // it is the caller's again
	}
	o.SetWriteDeadline(time.Unix(1, 0))
	o.Close()
	if got := <-read; !bytes.Equal(got, want) {
		t.Errorf("%d bytes, not %d", len(got), len(want))
	}
	if _, err := o.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// One direction ends when all of it has arrived, and the other goes on.
func TestOutboxCloseWrite(t *testing.T) {
	o, far := pair(t)
	for range 1000 {
		o.Write([]byte("0123456789"))
	}
	go o.CloseWrite()
	if b, err := io.ReadAll(far); len(b) != 10000 || err != nil {
		t.Error(len(b), err)
	}
	far.Write([]byte("y"))
	if n, err := o.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// Who writes to one that does not read waits, and is told when the connection breaks.
func TestOutboxFull(t *testing.T) {
	o, far := pair(t)
	done := make(chan error)
	go func() {
		for i := 0; ; i++ {
			size := 10 << 10
			if i%10 == 9 {
				size = 1 << 20
			}
			if _, err := o.Write(make([]byte, size)); err != nil {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		t.Fatal(err)
	case <-time.After(300 * time.Millisecond):
	}
	o.mu.Lock()
	if n := len(o.waiting); n > mostWaiting+10<<10 {
		t.Errorf("%d bytes wait", n)
	}
	o.mu.Unlock()
	far.Close()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("it waits for ever")
	}
}

// What is written while a large write is going by itself leaves after it, though nothing else is written.
func TestOutboxBehind(t *testing.T) {
	o, far := pair(t)
	const large = 16 << 20 // more than the kernel takes at once
	go o.Write(make([]byte, large))
	for busy := false; !busy; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		busy = o.busy
		o.mu.Unlock()
	}
	if n, err := o.Write([]byte("end")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	far.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, large+3)
	if n, err := io.ReadFull(far, b); err != nil || string(b[large:]) != "end" {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Closing one that has yet to write ends reading at once.
func TestOutboxCloseReads(t *testing.T) {
	o, _ := pair(t)
	go o.Write(make([]byte, 16<<20)) // which nobody reads
	read := make(chan error)
	go func() {
		_, err := o.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(50 * time.Millisecond)
	o.Close()
	select {
	case <-read:
	case <-time.After(5 * time.Second):
		t.Error("it reads for ever")
	}
}
