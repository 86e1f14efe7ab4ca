package gateway

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"gomahi/packet"
)

const (
	mtu = 1500
	// largest is the most that a frame has after its virtio header.
	largest = 1 << 16
	// copied is up to what length a frame is copied into a buffer of its size. A longer one keeps what it was read into.
	copied = 16 << 10
)

type vnetHeader [packet.VnetLen]byte

// device is the room's TUN device, to netstack a link whose host segments and sums: whole frames in, whole frames out.
type device struct {
	*channel.Endpoint // what a link needs beside reading and writing
	fd                int
	raw               syscall.RawConn // of the same, which Go's poller watches
	busy              chan struct{}   // takes a value whenever a frame has been read
	summed            atomic.Bool     // the packet being injected has been checked by the kernel, or never left it
}

func newDevice(fd int) *device {
	raw, _ := os.NewFile(uintptr(fd), "device").SyscallConn() // never fails
	return &device{Endpoint: channel.New(0, mtu, ""), fd: fd, raw: raw, busy: make(chan struct{}, 1)}
}

func (d *device) GSOMaxSize() uint32               { return 65535 - 60 }
func (d *device) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Capabilities leaves out checksums for sending: packets of netstack's that are no GSO frames would then have none.
// Netstack asks for each packet that it is given (stack/nic.go, DeliverNetworkPacket), so the answer is about that one.
func (d *device) Capabilities() stack.LinkEndpointCapabilities {
	if d.summed.Load() {
		return stack.CapabilityRXChecksumOffload
	}
	return 0
}

// frame is an IP packet as read, perhaps one that the kernel left unsegmented. Its headers have a buffer of their own:
// netstack copies the buffer that a header lies in when it has made a second reference to the packet (buffer.PullUp).
type frame struct {
	vnet        vnetHeader
	first, rest *buffer.View // rest is nil where there is none
}

// Most headers fit into the first part; netstack would put others together.
const firstLen = 128

// whole is the packet in one piece.
func (f *frame) whole() []byte {
	b := append([]byte(nil), f.first.AsSlice()...)
	if f.rest != nil {
		b = append(b, f.rest.AsSlice()...)
	}
	return b
}

func (f *frame) release() {
	f.first.Release()
	if f.rest != nil {
		f.rest.Release()
	}
}

// inject gives netstack a frame.
func (d *device) inject(f *frame) {
	d.summed.Store(f.vnet[packet.VnetFlags]&(packet.VnetNeedsCsum|packet.VnetDataValid) != 0)
	proto := ipv4.ProtocolNumber
	if f.first.AsSlice()[0]>>4 == 6 {
		proto = ipv6.ProtocolNumber
	}
	b := buffer.MakeWithView(f.first)
	if f.rest != nil {
		b.Append(f.rest)
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	d.InjectInbound(proto, p)
	p.DecRef()
}

// serve reads frames until the device is gone. What take gets is its own. Of acknowledgements that have come close behind
// each other it gets the last.
func (d *device) serve(take func(*frame)) {
	room := buffer.NewViewSize(largest)
	var held *frame // an acknowledgement, until it is known whether another follows
	pass := func() {
		if held != nil {
			take(held)
			held = nil
		}
	}
	defer pass()
	for {
		f := &frame{first: buffer.NewViewSize(firstLen)}
		n, errno := d.read([]unix.Iovec{iovec(f.vnet[:]), iovec(f.first.AsSlice()), iovec(room.AsSlice())}, held == nil)
		if errno != 0 || n <= len(f.vnet) {
			f.first.Release()
			if n == 0 && errno != unix.EINTR && errno != unix.EAGAIN { // EBADFD once the device is gone
				return
			}
			pass()
			continue
		}
		wake(d.busy)
		size := n - len(f.vnet)
		f.first.CapLength(min(size, firstLen))
		switch size -= firstLen; {
		case size > copied:
			f.rest = room
			f.rest.CapLength(size)
			room = buffer.NewViewSize(largest)
		case size > 0:
			f.rest = buffer.NewViewWithData(room.AsSlice()[:size])
		}
		if held != nil && f.supersedes(held) {
			held.release()
			held = nil
		}
		pass()
		if plainAck(f) != 0 {
			held = f
		} else {
			take(f)
		}
	}
}

// read reads a frame. Where there is none it waits, or returns EAGAIN.
func (d *device) read(iovs []unix.Iovec, wait bool) (n int, errno unix.Errno) {
	err := d.raw.Read(func(fd uintptr) bool {
		n, errno = readv(int(fd), iovs)
		return errno != unix.EAGAIN || !wait
	})
	if err != nil {
		errno = unix.EBADFD
	}
	return max(n, 0), errno
}

// WritePackets writes frames. One that the room's kernel refuses, since the device is down, say, is lost as on any link.
func (d *device) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, p := range pkts.AsSlice() {
		d.write(p)
	}
	return pkts.Len(), nil
}

func (d *device) write(p *stack.PacketBuffer) {
	var head vnetHeader
	if g := p.GSOOptions; g.Type != stack.GSONone {
		if g.NeedsCsum {
			head[packet.VnetFlags] = packet.VnetNeedsCsum
			binary.LittleEndian.PutUint16(head[packet.VnetCsumStart:], g.L3HdrLen)
			binary.LittleEndian.PutUint16(head[packet.VnetCsumOffset:], g.CsumOffset)
		}
		if p.Data().Size() > int(g.MSS) {
			head[packet.VnetGSOType] = packet.GSOTCPv4
			if g.Type == stack.GSOTCPv6 {
				head[packet.VnetGSOType] = packet.GSOTCPv6
			}
			binary.LittleEndian.PutUint16(head[packet.VnetHdrLen:], uint16(p.HeaderSize()))
			binary.LittleEndian.PutUint16(head[packet.VnetGSOSize:], g.MSS)
		}
	}
	var few [16]unix.Iovec
	iovs := append(few[:0], iovec(head[:]))
	views, offset := p.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if offset >= len(b) {
			offset -= len(b)
			continue
		}
		iovs = append(iovs, iovec(b[offset:]))
		offset = 0
	}
	if len(iovs) > maxIovecs { // made of very small pieces
		b := p.ToView()
		defer b.Release()
		iovs = append(few[:0], iovec(head[:]), iovec(b.AsSlice()))
	}
	writev(d.fd, iovs)
}

// maxIovecs is the most pieces that one call takes: UIO_MAXIOV, include/uapi/linux/uio.h.
const maxIovecs = 1024

// readv and writev do not tell the scheduler, since what they are for does not block.
func readv(fd int, iovs []unix.Iovec) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iovs))), uintptr(len(iovs)))
	return int(n), errno
}

func writev(fd int, iovs []unix.Iovec) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iovs))), uintptr(len(iovs)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func iovec(b []byte) (v unix.Iovec) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
	return v
}
