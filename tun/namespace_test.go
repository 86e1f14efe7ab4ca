package tun_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun"
)

type opener func(name string) (tun.Device, error)

// forwarding makes this namespace a router between two devices: what is written into a for 198.51.100.2 or
// 2001:db8:2::2 is read from b, and what is written into b for 192.0.2.2 or 2001:db8:1::2 from a.
func forwarding(openA, openB opener) (a, b tun.Device, err error) {
	for file, value := range map[string]string{
		"ipv4/ip_forward":                 "1",
		"ipv6/conf/all/forwarding":        "1",
		"ipv6/conf/default/addr_gen_mode": "1", // no link-local address, so nothing is said on its behalf
		"ipv6/conf/default/accept_dad":    "0",
	} {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0); err != nil {
			return nil, nil, err
		}
	}
	if a, err = openA("a"); err != nil {
		return nil, nil, err
	}
	if b, err = openB("b"); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(up(a, "192.0.2.1/24", "2001:db8:1::1/64"), up(b, "198.51.100.1/24", "2001:db8:2::1/64")); err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

func up(d tun.Device, addrs ...string) error {
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		return err
	}
	// Room for every packet of a frame at once.
	if err := netlink.LinkSetTxQLen(link, 10000); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, s := range addrs {
		addr, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		addr.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("adding %s: %w", s, err)
		}
	}
	return nil
}

var (
	dst4 = []byte{198, 51, 100, 2}
	dst6 = []byte{0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}
)

// ours says whether a packet is of the tests' flows; the kernel has things to say too, like multicast reports.
func ours(ip []byte) bool {
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		return bytes.Equal(ip[16:20], dst4)
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return bytes.Equal(ip[24:40], dst6)
	}
	return false
}

// await waits until there is something to read. The time is there for a test that hangs: nothing depends on it.
func await(d tun.Device) error {
	fds := []unix.PollFd{{Fd: int32(d.FD()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(10*time.Second/time.Millisecond))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return errors.New("no packet came")
		default:
			return nil
		}
	}
}

// read returns the next frame of the tests' flows.
func read(d tun.Device, pool *packet.Pool) (*packet.Frame, error) {
	for {
		f, err := d.Read(pool)
		if err != nil {
			return nil, err
		}
		if f == nil {
			if err := await(d); err != nil {
				return nil, err
			}
			continue
		}
		if ours(f.Headers()) {
			return f, nil
		}
		release(f)
	}
}

func release(f *packet.Frame) {
	for i := range f.Len() {
		f.Packet(i, 0).Release()
	}
}

// content is the frame's IP packet.
func content(f *packet.Frame) []byte {
	return bytes.Join(f.Run(nil, make([]byte, packet.HeaderRoom), 0, f.Len()), nil)[packet.VnetLen:]
}

// nextPackets returns the next n packets of the tests' flows that come out of a plain device.
func nextPackets(d tun.Device, pool *packet.Pool, n int) (packets [][]byte, err error) {
	for len(packets) < n {
		f, err := read(d, pool)
		if err != nil {
			return packets, fmt.Errorf("after %d of %d packets: %w", len(packets), n, err)
		}
		packets = append(packets, content(f))
		release(f)
	}
	return packets, nil
}
