// Package tun opens packet devices: whole frames in, runs of wire packets out.
package tun

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"gomahi/packet"
)

// A Device is a network interface whose packets this program reads and writes. Reading and writing never block. One
// goroutine may read while another writes.
type Device interface {
	Name() string // the present one: a device may be renamed
	// FD becomes readable when there is a frame.
	FD() int
	// Read takes in the next frame, in one of pool's; nil where there is none now. It is the caller's until its last
	// packet is released.
	Read(pool *packet.Pool) (*packet.Frame, error)
	// Write puts out the packets i to j-1 of a frame, together. The frame stays the caller's.
	Write(f *packet.Frame, i, j int) error
	Close() error
}

// A Joiner is a Device that can put out several datagrams as one frame, where the kernel can.
type Joiner interface {
	Joins() bool
	// WriteRow puts them out, all or none. They stay the caller's.
	WriteRow(r *packet.Row) error
}

// Offloads of include/uapi/linux/if_tun.h that x/sys lacks; USO is UDP segmentation, of Linux 6.2.
const (
	tunFlagUSO4 = 0x20
	tunFlagUSO6 = 0x40
)

// Open creates the device name in the calling thread's network namespace; it is gone when it is closed. Frames cross it
// unsegmented and with their transport checksums still to be computed.
func Open(name string) (Device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	joins := true
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err == nil {
		const tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
		if err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tso|tunFlagUSO4|tunFlagUSO6); err == unix.EINVAL {
			joins = false
			err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tso)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("creating the TUN device %s: %w", name, err)
	}
	d := newDevice(name, fd, 0)
	d.joins = joins
	return d, nil
}

// device reads and writes frames; skip is what it leaves out of their beginning.
type device struct {
	name    string
	fd      int
	skip    int
	joins   bool // it takes UDP to be segmented
	in, out vectors
	room    [packet.HeaderRoom]byte
}

// vectors are the arguments of one readv or writev, kept so that no call allocates.
type vectors struct {
	bufs [][]byte
	iovs [max(packet.Parts, 1+packet.MostJoined)]unix.Iovec
}

func newDevice(name string, fd, skip int) *device {
	d := &device{name: name, fd: fd, skip: skip}
	d.in.bufs = make([][]byte, 0, packet.Parts)
	d.out.bufs = make([][]byte, 0, len(d.out.iovs))
	return d
}

func (d *device) Name() string {
	if ifr, err := unix.NewIfreq(""); err == nil && unix.IoctlIfreq(d.fd, unix.TUNGETIFF, ifr) == nil {
		return ifr.Name()
	}
	return d.name // it is gone
}
func (d *device) FD() int      { return d.fd }
func (d *device) Close() error { return unix.Close(d.fd) }

func (d *device) Read(pool *packet.Pool) (*packet.Frame, error) {
	f := pool.Get()
	d.in.bufs = f.Buffers(d.in.bufs[:0], d.skip)
	n, errno := d.in.call(unix.SYS_READV, d.fd)
	if errno != 0 || n <= packet.VnetLen-d.skip {
		pool.Discard(f)
		if errno == 0 || errno == unix.EAGAIN || errno == unix.EINTR {
			return nil, nil
		}
		return nil, errno
	}
	if d.skip == 0 {
		f.Filled(n)
	} else {
		f.FilledPlain(n)
	}
	return f, nil
}

func (d *device) Write(f *packet.Frame, i, j int) error {
	d.out.bufs = f.Run(d.out.bufs[:0], d.room[:], i, j)
	d.out.bufs[0] = d.out.bufs[0][d.skip:]
	if _, errno := d.out.call(unix.SYS_WRITEV, d.fd); errno != 0 {
		return errno
	}
	return nil
}

func (d *device) Joins() bool { return d.joins }

func (d *device) WriteRow(r *packet.Row) error {
	d.out.bufs = r.Buffers(d.out.bufs[:0], d.room[:])
	if _, errno := d.out.call(unix.SYS_WRITEV, d.fd); errno != 0 {
		return errno
	}
	return nil
}

// call hands the buffers to readv or writev. Neither blocks here, so the scheduler need not be told.
func (v *vectors) call(trap uintptr, fd int) (int, unix.Errno) {
	for i, b := range v.bufs {
		v.iovs[i].Base = unsafe.SliceData(b)
		v.iovs[i].SetLen(len(b))
	}
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&v.iovs[0])), uintptr(len(v.bufs)))
	return int(n), errno
}
