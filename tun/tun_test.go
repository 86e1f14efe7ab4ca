package tun_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
	"gomahi/packet"
	"gomahi/tun"
	"gomahi/tun/tuntest"
)

var openers = []struct {
	name string
	open opener
}{
	{"offload", tun.Open},
	{"plain", tun.OpenPlain},
}

func TestOpenAndClose(t *testing.T) {
	for _, tt := range openers {
		t.Run(tt.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				d, err := tt.open("delay-1234567890")
				if err == nil {
					d.Close()
				}
				if !errors.Is(err, unix.EINVAL) {
					t.Errorf("with a name of 16 bytes: %v, want EINVAL", err)
				}
				if d, err = tt.open("delay-123456789"); err != nil {
					return err
				}
				if d.Name() != "delay-123456789" {
					t.Errorf("name is %q", d.Name())
				}
				if flags, err := unix.FcntlInt(uintptr(d.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor flags %#x, %v: a command would inherit it", flags, err)
				}
				if _, err := tt.open("delay-123456789"); !errors.Is(err, unix.EBUSY) {
					t.Errorf("a second time: %v, want EBUSY", err)
				}
				if _, err := netlink.LinkByName("delay-123456789"); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				var gone netlink.LinkNotFoundError
				if _, err := netlink.LinkByName("delay-123456789"); !errors.As(err, &gone) {
					t.Errorf("after it was closed the device is there: %v", err)
				}
				return nil
			})
		})
	}
}

// Between two devices with offloads, frames stay whole.
func TestFramesStayWhole(t *testing.T) {
	testutil.InNamespace(t, func() error {
		a, b, err := forwarding(tun.Open, tun.Open)
		if err != nil {
			return err
		}
		defer a.Close()
		defer b.Close()
		var in, out packet.Pool
		for _, family := range families {
			for _, shape := range shapes {
				r := family.shaped(shape)
				sent := tuntest.Frame(&in, r.bytes())
				if err := a.Write(sent, 0, sent.Len()); err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				got, err := read(b, &out)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				if got.Len() != sent.Len() || got.Bytes() != sent.Bytes() {
					t.Errorf("%s: %d packets in %d bytes, want %d in %d", r.name, got.Len(), got.Bytes(), sent.Len(), sent.Bytes())
				}
				// Whatever the kernel wrote into its virtio header, each packet can be written alone, and comes out.
				for i := range got.Len() {
					if err := a.Write(got, i, i+1); err != nil {
						return fmt.Errorf("%s: writing packet %d of %d again: %w", r.name, i, got.Len(), err)
					}
					again, err := read(b, &out)
					if err != nil {
						return fmt.Errorf("%s: reading packet %d of %d again: %w", r.name, i, got.Len(), err)
					}
					if want := got.Packet(i, 0).Size; again.Len() != 1 || again.Packet(0, 0).Size != want {
						t.Errorf("%s: packet %d came back as %d of %d bytes, want 1 of %d", r.name, i, again.Len(), again.Bytes(), want)
					}
					release(again)
				}
				release(got)
				release(sent)
			}
		}
		return nil
	})
}

// What a program here sends in one system call is read as one frame.
func TestSocketFrames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		family int
		to     unix.Sockaddr
		sizes  []int32
	}{
		{"udp4", unix.AF_INET, &unix.SockaddrInet4{Port: 9, Addr: [4]byte(dst4)}, []int32{1228, 1228, 1228, 629}},
		{"udp6", unix.AF_INET6, &unix.SockaddrInet6{Port: 9, Addr: [16]byte(dst6)}, []int32{1248, 1248, 1248, 649}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				a, b, err := forwarding(tun.Open, tun.Open)
				if err != nil {
					return err
				}
				defer a.Close()
				defer b.Close()
				s, err := unix.Socket(tt.family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return err
				}
				defer unix.Close(s)
				if err := unix.SetsockoptInt(s, unix.SOL_UDP, unix.UDP_SEGMENT, 1200); err != nil {
					return err
				}
				if err := unix.Sendto(s, make([]byte, 3*1200+601), 0, tt.to); err != nil {
					return err
				}
				var pool packet.Pool
				f, err := read(b, &pool)
				if err != nil {
					return err
				}
				if f.Len() != len(tt.sizes) {
					return fmt.Errorf("%d packets, want %d", f.Len(), len(tt.sizes))
				}
				for i, want := range tt.sizes {
					if got := f.Packet(i, 0).Size; got != want {
						t.Errorf("packet %d has %d bytes, want %d", i, got, want)
					}
					if err := b.Write(f, i, i+1); err != nil {
						t.Errorf("writing packet %d alone: %v", i, err)
					}
				}
				return nil
			})
		})
	}
}

// The kernel may refuse what a frame says; nothing else may come of it, and the next frame is as good as any.
func TestGarbage(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tt := range openers {
		t.Run(tt.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				a, b, err := forwarding(tt.open, tun.OpenPlain)
				if err != nil {
					return err
				}
				defer a.Close()
				defer b.Close()
				var in, out packet.Pool
				write := func(data []byte) {
					f := tuntest.Frame(&in, data)
					if err := a.Write(f, 0, f.Len()); err != nil && !errors.Is(err, unix.EINVAL) {
						t.Errorf("% x: %v", data[:min(len(data), 60)], err)
					}
					release(f)
					for got, _ := b.Read(&out); got != nil; got, _ = b.Read(&out) {
						release(got) // or its queue fills up
					}
				}
				for _, data := range [][]byte{
					make([]byte, packet.VnetLen+1),
					make([]byte, 100),
					bytes.Repeat([]byte{0xff}, 3000),
					make([]byte, packet.MaxFrame),
				} {
					write(data)
				}
				for i := range 2000 {
					frame := families[i%len(families)].shaped(shapes[i%len(shapes)]).bytes()
					frame = frame[:max(packet.VnetLen+1, len(frame)-r.IntN(len(frame))*r.IntN(2))]
					for range 1 + r.IntN(3) {
						frame[r.IntN(min(len(frame), 80))] = byte(r.Uint32())
					}
					write(frame)
				}
				// It still works, whatever of the garbage came through before.
				want := recipe{udp: true, payload: 77}.bytes()
				f := tuntest.Frame(&in, want)
				if err := a.Write(f, 0, 1); err != nil {
					return err
				}
				for {
					got, err := nextPackets(b, &out, 1)
					if err != nil {
						return err
					}
					if bytes.HasSuffix(got[0], want[packet.VnetLen+28:]) {
						return nil
					}
				}
			})
		})
	}
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	for _, tt := range openers {
		for _, r := range []recipe{
			{name: "one packet", udp: true, payload: 1000},
			{name: "frame", flags: ack, payload: 60000, gso: 1460},
		} {
			t.Run(tt.name+", "+r.name, func(t *testing.T) {
				testutil.InNamespace(t, func() error {
					a, b, err := forwarding(tun.Open, tt.open)
					if err != nil {
						return err
					}
					defer a.Close()
					defer b.Close()
					var in, out packet.Pool
					f := tuntest.Frame(&in, r.bytes())
					if n := testing.AllocsPerRun(100, func() {
						err = errors.Join(err, a.Write(f, 0, 1))
						if f.Len() > 1 {
							err = errors.Join(err, a.Write(f, 1, f.Len()))
						}
						for left := f.Len(); left > 0 && err == nil; {
							var got *packet.Frame
							if got, err = read(b, &out); err == nil {
								left -= got.Len()
								release(got)
							}
						}
					}); n != 0 {
						t.Errorf("%v allocations", n)
					}
					return err
				})
			})
		}
	}
}

// What the loop that reads a device sees over the device's life. Events are what poll(2) reports when asked for POLLIN.
func TestDeviceStates(t *testing.T) {
	for _, tt := range openers {
		t.Run(tt.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				a, b, err := forwarding(tun.Open, tt.open)
				if err != nil {
					return err
				}
				defer a.Close()
				defer b.Close()
				link, err := netlink.LinkByName("b")
				if err != nil {
					return err
				}
				var in, out packet.Pool
				f := tuntest.Frame(&in, recipe{udp: true, payload: 100}.bytes())
				send := func() error { return a.Write(f, 0, 1) }
				// A packet for nobody: what is written into b must not come out of it.
				away := recipe{udp: true, payload: 100}.bytes()
				away[packet.VnetLen+19] = 1
				g := tuntest.Frame(&in, away)
				for _, step := range []struct {
					name   string
					do     func() error
					events int16
					frame  bool
					read   error
					write  error
				}{
					{name: "up"},
					{name: "a packet came", do: send, events: unix.POLLIN, frame: true},
					{name: "that was all"},
					{name: "down with a packet queued", do: func() error {
						return errors.Join(send(), netlink.LinkSetDown(link))
					}, events: unix.POLLIN, frame: true, write: unix.EIO},
					{name: "down", write: unix.EIO},
					{name: "up again", do: func() error { return netlink.LinkSetUp(link) }},
					{name: "a packet came again", do: send, events: unix.POLLIN, frame: true},
					{name: "deleted with a packet queued", do: func() error {
						return errors.Join(send(), netlink.LinkDel(link))
					}, events: unix.POLLERR, read: unix.EBADFD, write: unix.EBADFD},
					{name: "deleted, once more", events: unix.POLLERR, read: unix.EBADFD, write: unix.EBADFD},
				} {
					if step.do != nil {
						if err := step.do(); err != nil {
							return fmt.Errorf("%s: %w", step.name, err)
						}
					}
					fds := []unix.PollFd{{Fd: int32(b.FD()), Events: unix.POLLIN}}
					if _, err := unix.Poll(fds, 0); err != nil || fds[0].Revents != step.events {
						t.Errorf("%s: poll reports %#x, %v, want %#x", step.name, fds[0].Revents, err, step.events)
					}
					got, err := b.Read(&out)
					if (got != nil) != step.frame || err != step.read {
						t.Errorf("%s: read %v, %v, want a frame: %v, %v", step.name, got != nil, err, step.frame, step.read)
					}
					if got != nil {
						release(got)
					}
					if err := b.Write(g, 0, 1); err != step.write {
						t.Errorf("%s: write %v, want %v", step.name, err, step.write)
					}
				}
				return nil
			})
		})
	}
}

// Deleting a device wakes whoever waits for it.
func TestDeletingWakes(t *testing.T) {
	for _, tt := range openers {
		t.Run(tt.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				d, err := tt.open("d")
				if err != nil {
					return err
				}
				defer d.Close()
				link, err := netlink.LinkByName("d")
				if err != nil {
					return err
				}
				woken := make(chan error)
				go func() { woken <- await(d) }()
				if err := netlink.LinkDel(link); err != nil {
					return err
				}
				return <-woken
			})
		})
	}
}
