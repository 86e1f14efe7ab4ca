package tuntest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun"
	"gomahi/tun/tuntest"
)

var _ tun.Device = (*tuntest.Fake)(nil)

// datagrams is a frame of UDP over IPv4, cut at 4 bytes of payload.
func datagrams(payload string) []byte {
	b := append(make([]byte, packet.VnetLen+28), payload...)
	copy(b, []byte{1, 5, 28, 0, 4, 0, 20, 0, 6, 0})
	ip := b[packet.VnetLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[24:], uint16(len(ip)-20))
	return b
}

func readable(t *testing.T, d *tuntest.Fake) bool {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(d.FD()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestFake(t *testing.T) {
	d := tuntest.New()
	var pool packet.Pool
	if f, err := d.Read(&pool); f != nil || err != nil || readable(t, d) {
		t.Fatalf("a new device: read %v, %v, readable: %v", f, err, readable(t, d))
	}

	first, second := datagrams("aaaabbbbc"), datagrams("dddd")
	d.Deliver(first)
	d.Deliver(second)
	var frames []*packet.Frame
	for i, want := range []int{3, 1} {
		if !readable(t, d) {
			t.Fatalf("not readable before frame %d", i)
		}
		f, err := d.Read(&pool)
		if err != nil || f == nil {
			t.Fatalf("frame %d: %v, %v", i, f, err)
		}
		if f.Len() != want {
			t.Errorf("frame %d has %d packets, want %d", i, f.Len(), want)
		}
		frames = append(frames, f)
	}
	if f, err := d.Read(&pool); f != nil || err != nil || readable(t, d) {
		t.Errorf("after the last frame: read %v, %v, readable: %v", f, err, readable(t, d))
	}

	for _, w := range []struct{ frame, i, j int }{{1, 0, 1}, {0, 0, 3}, {0, 2, 3}} {
		if err := d.Write(frames[w.frame], w.i, w.j); err != nil {
			t.Fatal(err)
		}
	}
	out := d.Written()
	if len(out) != 3 || !bytes.Equal(out[0], second) || !bytes.Equal(out[1], first) || !bytes.HasSuffix(out[2], []byte("c")) || len(out[2]) != packet.VnetLen+29 {
		t.Errorf("written: % x", out)
	}
	if out := d.Written(); len(out) != 0 {
		t.Errorf("taken out twice: % x", out)
	}

	d.Deliver(first)
	d.Fail(unix.EBADFD)
	if !readable(t, d) {
		t.Error("a failing device wakes nobody")
	}
	if f, err := d.Read(&pool); f != nil || !errors.Is(err, unix.EBADFD) {
		t.Errorf("read of a failing device: %v, %v", f, err)
	}
	if err := d.Write(frames[0], 0, 1); !errors.Is(err, unix.EBADFD) {
		t.Errorf("write to a failing device: %v", err)
	}
	if !readable(t, d) {
		t.Error("a failing device is readable only once")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
