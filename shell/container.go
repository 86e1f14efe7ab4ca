// Package shell starts a command in a network namespace of its own, whose only way out is an emulated link, and carries
// the packets of that link.
//
//	parent's namespace            this process             container's namespace
//	NAT ── delay-1234 ══ tun ══ write <─ uplink  ─< read ══ tun ══ ingress ── the command
//	                            read >─ downlink ─> write
//
// Everything is held by this process alone: the devices and the nftables table belong to its descriptors, the addresses
// to its socket, the command to one of its threads. When it dies, by whatever cause, the kernel removes them.
package shell

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/host"
	"gomahi/tun"
)

// Options say what to run, and behind what.
type Options struct {
	Tool     string    // names the device
	Prefix   string    // for prompts, such as "[delay 50 ms] "
	Levels   int       // how many nested containers it stands for; 0 is 1
	Path     string    // the command's file
	Argv     []string  // its arguments, its name first
	Uplink   Stage     // out of the container
	Downlink Stage     // into it
	Start    time.Time // time 0 of the stages

	Outside  string // how the container reaches it: ByNAT, ByGateway, or Auto
	Closed   bool   // it does not
	Host     bool   // the container is the outside to those within it: GM_BASE is its own address
	Loopback bool   // by a gateway, GM_BASE is the host's loopback

	Outer func(*Outer) error // puts servers at the link's outer end; if Closed, that is a network of its own
	Files map[string][]byte  // what the command sees in place of files of the host's
	Env   []string           // what it gets beside the usual variables

	Linger     time.Duration // how long what was sent is still delivered after the command's end, at most
	Contain    bool          // the command gets a PID namespace, and nothing of it outlives us
	NoOffload  bool          // one packet per read and write
	Precise    bool          // spin before departures
	Realtime   bool          // carry packets before all else that runs, where that is allowed
	TxQueueLen int           // frames that may wait on each device to be read; 0 for the usual
	HoldEffect bool          // packets pass untouched until SIGUSR1
	Terminal   Terminal      // the command's own; nil for ours

	Ready func(rouse func()) // is told what makes the stages be asked anew, when something else than a packet has changed one
	Warn  func(string)       // tells the user what is amiss though the command runs
}

// How a container reaches the outside: through NAT in its parent's namespace, or through a gateway with ordinary sockets
// there. Auto is NAT where this process may make namespaces and the firewall lets it through, else the gateway.
const (
	Auto      = "auto"
	ByNAT     = "nat"
	ByGateway = "gateway"
)

// Summary is what a run carried.
type Summary struct {
	Level            int // 1 for the outermost container
	Uplink, Downlink Traffic
	Untranslated     uint64 // packets dropped since NAT could not give them the host's address
}

// Run returns when the command has ended and what it sent is delivered. The status is the command's. An error is ours.
func Run(o Options) (status unix.WaitStatus, sum Summary, err error) {
	if f := host.WhyNot(false); f != nil {
		return 0, sum, f.Err()
	}
	// Two threads may doze, each in a place of the scheduler's, and what else there is must get back to work at once.
	runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	c := &container{Options: o, room: here, job: job{told: make(chan event, 16)}}
	c.heed = c.ownSignal
	defer c.endTerminal()
	if c.signals, err = catchSignals(); err != nil {
		return 0, sum, fmt.Errorf("catching signals: %w", err)
	}
	defer c.close()
	if err := c.prepare(); err != nil {
		var i interrupted
		if errors.As(err, &i) {
			return unix.WaitStatus(i), Summary{Level: level(true)}, nil // at whatever moment
		}
		return 0, sum, err
	}
	if status, err = c.serve(); err != nil {
		return status, sum, err // what carries packets may still do so
	}
	sum = Summary{Level: level(c.nested), Uplink: c.uplink.Traffic, Downlink: c.downlink.Traffic}
	if c.nat != nil {
		sum.Untranslated = c.nat.untranslated()
	}
	return status, sum, nil
}

// close takes down what is there. Without it the kernel would, but for the forwarding of the host's own devices.
func (c *container) close() {
	for _, d := range []tun.Device{c.outside, c.inside} {
		if d != nil {
			d.Close()
		}
	}
	if err := endForwarding(c.guarded); err != nil {
		c.Warn(err.Error())
	}
	if c.nat != nil {
		c.nat.close()
	}
}

type container struct {
	Options

	addresses
	six, nested      bool
	beyond6          bool // and IPv6 leads beyond the parent
	outside, inside  tun.Device
	nat              *nat
	names            int   // the port of name service outside
	guarded          []int // devices that forward because of us
	uplink, downlink *ferry
	parent           int             // the network namespace outside
	namespace        int             // the container's
	sockets          *netlink.Handle // asks for its sockets

	room     *room      // that this process was started in, if any
	gateway  *gateway   // that this process started, if any
	starting chan error // says when it serves

	job                    // the command, or its init
	resumed atomic.Int64   // when the job was last continued
	release []*atomic.Bool // effects that wait for SIGUSR1
}

func (c *container) clock() time.Duration { return time.Since(c.Start) }

// serve waits for the end of the command and of its traffic.
func (c *container) serve() (status unix.WaitStatus, err error) {
	if !c.Precise && !c.Realtime { // for it takes a moment
		defer time.AfterFunc(time.Second, forgetStart).Stop()
	}
	foreground := ownsTerminal()
	over := false
	var kill <-chan time.Time
	uplink, downlink := c.uplink.over, c.downlink.over
	var dead <-chan error
	if c.gateway != nil {
		dead = c.gateway.ended
	}
	for ended := false; !ended; {
		select {
		case <-uplink:
			over, uplink = true, nil
		case <-downlink:
			over, downlink = true, nil
		case err := <-dead:
			return 0, err
		case <-kill:
			unix.Kill(c.pid, unix.SIGKILL)
		case s := <-c.signals:
			c.signal(s)
		case e := <-c.told:
			status, err = e.status, e.err
			ended = !status.Stopped() || err != nil
			if !ended {
				c.stop(e.at)
			}
		}
		if over && kill == nil { // the link has ended, and so must the command
			unix.Kill(c.pid, unix.SIGTERM)
			unix.Kill(c.pid, unix.SIGCONT)
			kill = time.After(time.Second)
		}
	}
	c.endTerminal()
	sockets := c.sockets
	if over { // what TCP has yet to send will not get through
		sockets = nil
	}
	if over && c.Levels <= 1 { // of several, the others may have something yet
		c.Linger = 0
	}
	enough := make(chan struct{})
	go func() {
		for s := range c.signals {
			if deadly(s.signal) {
				close(enough)
				return
			}
		}
	}()
	if c.room != nil {
		c.room.left()
	}
	deadline := time.Now().Add(c.Linger)
	linger(c.uplink, sockets, c.Linger, enough)
	c.uplink.end()
	c.downlink.end()
	c.uplink.Unread, c.downlink.Unread = unread(c.namespace, c.inside.Name()), unread(c.parent, c.outside.Name())
	if c.gateway != nil {
		c.gateway.finish(max(0, time.Until(deadline)))
	}
	if c.Contain && foreground {
		reclaimTerminal()
	}
	return status, err
}

// ownSignal is what a signal means to the container itself. It says whether that is all.
func (c *container) ownSignal(s unix.Signal) bool {
	switch {
	case s == unix.SIGCONT:
		c.resumed.Store(int64(c.clock()))
	case s == unix.SIGUSR1 && c.release != nil:
		for _, r := range c.release {
			r.Store(true)
		}
		c.release = nil
		return true
	}
	return false
}
