// Package tuntest has a packet device without a kernel behind it, for tests.
package tuntest

import (
	"encoding/binary"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"gomahi/packet"
)

// A Fake is a device whose frames a test puts in and whose written runs it takes out. It is safe for use by several
// goroutines.
type Fake struct {
	mu      sync.Mutex
	event   int // readable while there is a frame
	in, out [][]byte
	err     error
}

// New makes a fake device that delivers frames as they would come from a device with offloads: each with its virtio
// header.
func New() *Fake {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	if err != nil {
		panic(err)
	}
	return &Fake{event: fd}
}

// Deliver makes a frame arrive, virtio header included.
func (d *Fake) Deliver(frame []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.in = append(d.in, frame)
	unix.Write(d.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// Written takes out the runs written so far, each with its virtio header.
func (d *Fake) Written() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.out
	d.out = nil
	return out
}

// Fail makes all reads and writes from now on fail with err.
func (d *Fake) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	unix.Write(d.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (d *Fake) Name() string { return "fake" }
func (d *Fake) FD() int      { return d.event }
func (d *Fake) Close() error { return unix.Close(d.event) }

func (d *Fake) Read(pool *packet.Pool) (*packet.Frame, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if len(d.in) == 0 {
		return nil, nil
	}
	unix.Read(d.event, make([]byte, 8))
	f := Frame(pool, d.in[0])
	d.in = d.in[1:]
	return f, nil
}

func (d *Fake) Write(f *packet.Frame, i, j int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.out = append(d.out, Run(f, i, j))
	return nil
}

// Joins says that the fake takes rows.
func (d *Fake) Joins() bool { return true }

func (d *Fake) WriteRow(r *packet.Row) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.out = append(d.out, slices.Concat(r.Buffers(nil, make([]byte, packet.HeaderRoom))...))
	return nil
}

// Frame puts the bytes of a frame, virtio header included, into a frame of pool.
func Frame(pool *packet.Pool, data []byte) *packet.Frame {
	f := pool.Get()
	n := 0
	for _, b := range f.Buffers(nil, 0) {
		n += copy(b, data[n:])
	}
	f.Filled(n)
	return f
}

// Segmented is a frame, virtio header included, of TCP over IPv4 that stands for n wire packets of 1,000 bytes of payload;
// every byte of it says which, from "a" on.
func Segmented(n int) []byte {
	const payload, headers = 1000, 40
	b := make([]byte, packet.VnetLen+headers+n*payload)
	b[packet.VnetFlags], b[packet.VnetGSOType] = packet.VnetNeedsCsum, packet.GSOTCPv4
	binary.LittleEndian.PutUint16(b[packet.VnetHdrLen:], headers)
	binary.LittleEndian.PutUint16(b[packet.VnetGSOSize:], payload)
	binary.LittleEndian.PutUint16(b[packet.VnetCsumStart:], 20)
	binary.LittleEndian.PutUint16(b[packet.VnetCsumOffset:], 16)
	ip := b[packet.VnetLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[20+12] = 0x50
	for i := range n * payload {
		ip[headers+i] = byte('a' + i/payload)
	}
	return b
}

// Run returns the bytes of the run of packets i to j-1 of a frame, virtio header included.
func Run(f *packet.Frame, i, j int) []byte {
	var out []byte
	for _, b := range f.Run(nil, make([]byte, packet.HeaderRoom), i, j) {
		out = append(out, b...)
	}
	return out
}
