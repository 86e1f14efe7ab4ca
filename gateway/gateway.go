// Package gateway is the way out of a room, a network namespace whose owner has no privilege outside: it takes the room's
// packets from a TUN device, ends TCP, UDP and ICMP echo in a TCP/IP stack of its own (gVisor's netstack), and carries
// what they say on through ordinary sockets.
//
//	room's namespace                this process, in the original namespace
//	kernel ══ TUN device ══ device ─┬─ netstack ── TCP  ── relay ── a socket per connection
//	                                ├─ netstack ── UDP  ── flow  ── a socket per flow
//	                                └───────────── echo ── flow  ── a ping socket per flow
//
// It behaves as a router would whose other side is the outside: what cannot be reached is answered with the ICMP message
// that says why, and a connection is accepted inside only when the outside has accepted it.
package gateway

import (
	"io"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"gomahi/packet"
)

// Options say what to serve.
type Options struct {
	Device  int // descriptor of a TUN device with a virtio header of packet.VnetLen bytes, non-blocking
	Control int // descriptor of a stream: 'r' is written when the device is served, and its end is the end

	Address, Address6 netip.Addr                    // the gateway's own; behind them is the host's loopback
	Resolvers         map[netip.Addr]netip.AddrPort // inside, port 53 alone, to outside
	NoHostLoopback    bool                          // neither the host's loopback nor its other addresses

	Linger time.Duration // how long the end may take
}

// memoryLimit is what the garbage collector aims at, in bytes.
const memoryLimit = 180 << 20

// Run serves the device until control or the device ends, and then delivers what is left. It gives up, for the whole
// process, every privilege that it does not need.
func Run(o Options) error {
	// The tool and the two ends of a connection have to run as well; with more, threads mostly wake each other.
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/2))
	debug.SetMemoryLimit(memoryLimit)
	debug.SetTraceback("none") // whatever happens takes one line of the user's terminal
	deafen()
	shed(o.Device, o.Control)
	log.SetTarget(&log.Writer{Next: io.Discard})
	g, err := newGateway(o)
	if err != nil {
		return err
	}
	if err := confine(); err != nil {
		return err
	}
	return g.run()
}

type gateway struct {
	Options
	stack  *stack.Stack
	device *device
	route  *policy
	dials  *dials
	flows  *flows
	budget budget
	pool   packet.Pool // of whoever takes frames
	open   func(kind, proto int, to netip.AddrPort, options ...socketOption) (*socket, error)

	mu       sync.Mutex
	relays   map[*relay]struct{}
	draining chan struct{} // closed when the end has begun
	trimming atomic.Bool
}

func newGateway(o Options) (*gateway, error) {
	g := &gateway{Options: o, relays: map[*relay]struct{}{}, draining: make(chan struct{}), open: newSocket}
	var err error
	if g.route, err = newPolicy(o); err != nil {
		return nil, err
	}
	g.device = newDevice(o.Device)
	g.limit()
	return g, g.newStack()
}

// limit shares out the descriptors that the process may have.
func (g *gateway) limit() {
	var r unix.Rlimit
	files := 1024
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err == nil {
		files = int(min(r.Cur, 1<<20))
	}
	g.budget.most = min(files/2, mostConnections)
	g.dials = newDials(g, min(files/4, 4096))
	g.flows = newFlows(g, min(files/4, 2048))
}

// trimAfter is how long the memory of what has ended may be kept.
const trimAfter = 10 * time.Second

// trim gives memory back to the system a while after something has ended. Pools keep what they have through one
// collection, so there are two.
func (g *gateway) trim() {
	if g.trimming.Swap(true) {
		return
	}
	time.AfterFunc(trimAfter, func() {
		g.trimming.Store(false)
		runtime.GC()
		debug.FreeOSMemory()
	})
}

// run serves until the end.
func (g *gateway) run() error {
	over := make(chan struct{}, 2)
	control := os.NewFile(uintptr(g.Control), "control")
	go func() {
		io.Copy(io.Discard, control)
		over <- struct{}{}
	}()
	go func() {
		g.device.serve(g.take)
		over <- struct{}{}
	}()
	if _, err := control.Write([]byte{'r'}); err != nil {
		return nil // whoever started us is gone already
	}
	<-over
	g.drain()
	return nil
}
