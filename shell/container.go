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
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/tun"
)

// Options say what to run, and behind what.
type Options struct {
	Tool     string    // names the device
	Prefix   string    // for prompts, such as "[delay 50 ms] "
	Path     string    // the command's file
	Argv     []string  // its arguments, its name first
	Uplink   Stage     // out of the container
	Downlink Stage     // into it
	Start    time.Time // time 0 of the stages

	Linger     time.Duration // how long what was sent is still delivered after the command's end, at most
	Contain    bool          // the command gets a PID namespace, and nothing of it outlives us
	NoOffload  bool          // one packet per read and write
	Precise    bool          // spin before departures
	HoldEffect bool          // packets pass untouched until SIGUSR1

	Warn func(string) // tells the user what is amiss though the command runs
}

// Summary is what a run carried.
type Summary struct {
	Uplink, Downlink Traffic
	Untranslated     uint64 // packets dropped since NAT could not give them the host's address
}

// Run returns when the command has ended and what it sent is delivered. The status is the command's. An error is ours.
func Run(o Options) (status unix.WaitStatus, sum Summary, err error) {
	if err := check(); err != nil {
		return 0, sum, err
	}
	// Two threads wait in the kernel most of the time, and must get back to work at once.
	runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	c := &container{Options: o}
	if c.signals, err = catchSignals(); err != nil {
		return 0, sum, fmt.Errorf("catching signals: %w", err)
	}
	defer c.close()
	if err := c.prepare(); err != nil {
		var i interrupted
		if errors.As(err, &i) {
			return unix.WaitStatus(i), sum, nil
		}
		return 0, sum, err
	}
	status, err = c.serve()
	return status, Summary{c.uplink.Traffic, c.downlink.Traffic, c.nat.untranslated()}, err
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
	guarded          []int // devices that forward because of us
	uplink, downlink *ferry
	namespace        int             // the container's network namespace
	sockets          *netlink.Handle // asks for its sockets

	signals <-chan arrival
	pid     int            // the command, or its init
	told    chan event     // what became of it
	resumed atomic.Int64   // when the job was last continued
	release []*atomic.Bool // effects that wait for SIGUSR1
	stopped bool           // the command is
	goesOn  int64          // when the job was last continued, as event.at
}

// event is a status of the command, or why there will be none.
type event struct {
	status unix.WaitStatus
	at     int64 // CLOCK_MONOTONIC, in nanoseconds
	err    error
}

func (c *container) clock() time.Duration { return time.Since(c.Start) }

// prepare builds the container and starts the command.
func (c *container) prepare() (err error) {
	if c.addresses, err = reserve(); err != nil {
		return err
	}
	_, err = netlink.LinkByName(insideName)
	c.nested = err == nil
	c.six = hasIPv6()
	if c.outside, err = openOutside(c.Tool, c.NoOffload); err != nil {
		return err
	}
	a := c.addresses
	index, err := indexOf(c.outside.Name())
	if err != nil {
		return err
	}
	if err := adopt(index); err != nil {
		return err
	}
	if c.guarded, err = toGuard(); err != nil {
		return err
	}
	if c.nat, err = newNAT(c.outside.Name(), index, a, c.six, c.guarded); err != nil {
		return err
	}
	if err := configure(c.outside.Name(), index, a.outside4, a.inside4, a.outside6, a.inside6, c.six); err != nil {
		return err
	}
	c.beyond6 = c.six && (forwards6() || force6(c.outside.Name(), "1"))
	if err := startForwarding(c.guarded); err != nil {
		return err
	}
	if w := tryForwarding(c.outside, c.Tool, c.nat, a, c.beyond6, c.NoOffload); w != "" {
		c.Warn(w)
	}
	port, err := serveOutside(a.outside4)
	if err != nil {
		return err
	}
	onThread(func() { err = c.prepareInside(port) })
	return err
}

// prepareInside makes the namespace, on a thread that stays in it, and starts the command from there.
func (c *container) prepareInside(dnsPort int) (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	if c.namespace, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	if c.sockets, err = netlink.NewHandle(unix.NETLINK_INET_DIAG); err != nil {
		return fmt.Errorf("reaching socket diagnostics: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bringing up loopback: %w", err)
	}
	if c.six && forced6("lo") == "" {
		// Containers within this one need IPv6 forwarding, and without force_forwarding it is for the whole namespace.
		// A device made later need not be a router's, or it would say that it is one.
		os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
		os.WriteFile("/proc/sys/net/ipv6/conf/default/forwarding", []byte("0"), 0)
	}
	a := c.addresses
	if c.inside, err = open(insideName, c.NoOffload); err != nil {
		return err
	}
	index, err := indexOf(insideName)
	if err != nil {
		return err
	}
	if err := configure(insideName, index, a.inside4, a.outside4, a.inside6, a.outside6, c.six); err != nil {
		return err
	}
	if err := routeAll(index, a.outside4); err != nil {
		return err
	}
	if c.beyond6 { // else it is better to have no route than one that leads nowhere
		if err := routeAll(index, a.outside6); err != nil {
			return err
		}
	}
	at, err := privateNames()
	if err != nil {
		return err
	}
	if err := serveInside(at, c.dialOutside(dnsPort)); err != nil {
		return err
	}
	if err := c.startFerries(); err != nil {
		return err
	}
	return c.startCommand()
}

func (c *container) startFerries() (err error) {
	if c.HoldEffect {
		c.Uplink, c.Downlink = c.hold(c.Uplink), c.hold(c.Downlink)
	}
	if c.uplink, err = newFerry(c.inside, c.outside, c.Uplink, c.clock, &c.resumed); err != nil {
		return err
	}
	if c.downlink, err = newFerry(c.outside, c.inside, c.Downlink, c.clock, &c.resumed); err != nil {
		return err
	}
	c.uplink.precise, c.downlink.precise = c.Precise, c.Precise
	if c.Precise {
		keepAwake()
	}
	go freshThread(c.uplink.run)
	go freshThread(c.downlink.run)
	return nil
}

// startCommand starts the command, or the init that starts it, from the calling thread.
func (c *container) startCommand() error {
	env := environment(c.addresses, c.six, c.nested, c.Prefix)
	argv, env, err := prompting(c.Path, c.Argv, env)
	if err != nil {
		return err
	}
	if err := c.interruption(); err != nil {
		return err
	}
	c.told = make(chan event, 16)
	tell := func(s unix.WaitStatus) { c.told <- event{status: s, at: monotonic()} }
	if !c.Contain {
		if c.pid, err = start(c.Path, argv, env, 0); err != nil {
			return err
		}
		pid := c.pid
		if os.Getpid() == 1 {
			pid = -1 // the first process of a container has orphans to reap
		}
		go func() {
			if err := await(pid, c.pid, tell); err != nil {
				c.told <- event{err: err}
			}
		}()
		return nil
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], 0); err != nil {
		return err
	}
	unix.CloseOnExec(pipe[0])
	argv = append([]string{initName, fmt.Sprint(pipe[1]), c.Path}, argv...)
	c.pid, err = start("/proc/self/exe", argv, env, unix.CLONE_NEWPID|unix.CLONE_NEWNS)
	unix.Close(pipe[1])
	if errors.Is(err, unix.ENOSPC) {
		return errors.New("cannot contain the command: too many PID namespaces, one within the other\nhint: the kernel " +
			"has at most 32; use --contain on the outermost level alone")
	}
	if err != nil {
		return fmt.Errorf("containing the command: %w", errors.Unwrap(err))
	}
	go func() {
		r := os.NewFile(uintptr(pipe[0]), "statuses")
		var b [statusLen]byte
		ended := false
		for {
			if _, err := io.ReadFull(r, b[:]); err != nil {
				break
			}
			e := event{status: unix.WaitStatus(binary.NativeEndian.Uint32(b[:])), at: int64(binary.NativeEndian.Uint64(b[4:]))}
			ended = !e.status.Stopped()
			c.told <- e
		}
		err := await(c.pid, c.pid, func(s unix.WaitStatus) {
			if !s.Stopped() && !ended {
				tell(s) // the init did not get so far, or was killed
			}
		})
		if err != nil && !ended {
			c.told <- event{err: err}
		}
	}()
	return nil
}

// serve waits for the end of the command and of its traffic.
func (c *container) serve() (status unix.WaitStatus, err error) {
	foreground := ownsTerminal()
	over := false
	var kill <-chan time.Time
	uplink, downlink := c.uplink.over, c.downlink.over
	for ended := false; !ended; {
		select {
		case <-uplink:
			over, uplink = true, nil
		case <-downlink:
			over, downlink = true, nil
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
	if over {
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
	linger(c.uplink, c.sockets, c.Linger, enough)
	c.uplink.end()
	c.downlink.end()
	if c.Contain && foreground {
		reclaimTerminal()
	}
	return status, err
}

// stop makes the shell that started us see that its job has stopped, as without us. But a contained command's stop that
// came with our own, a SIGSTOP to all, is known to us only after the job goes on; the signal that says so may be late.
func (c *container) stop(at int64) {
	for wait := c.Contain; wait; {
		select {
		case s := <-c.signals:
			c.signal(s)
		case <-time.After(20 * time.Millisecond):
			wait = false
		}
	}
	if at > c.goesOn {
		c.stopped = true
		unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}

func monotonic() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// interrupted is a signal that came before the command was there to get it.
type interrupted unix.Signal

func (i interrupted) Error() string { return unix.SignalName(unix.Signal(i)) }

func (c *container) interruption() error {
	for {
		select {
		case s := <-c.signals:
			if deadly(s.signal) {
				return interrupted(s.signal)
			}
			c.signal(s) // the one that ends MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL, say
		default:
			return nil
		}
	}
}

func deadly(s unix.Signal) bool {
	return s == unix.SIGHUP || s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGTERM
}

// signal passes a signal on to the command, unless the terminal has sent it there too.
func (c *container) signal(s arrival) {
	switch {
	case s.signal == unix.SIGCONT:
		c.resumed.Store(int64(c.clock()))
		c.goesOn = monotonic()
		if c.stopped {
			c.stopped = false
			unix.Kill(c.pid, unix.SIGCONT)
		}
	case s.signal == unix.SIGUSR1 && c.release != nil:
		for _, r := range c.release {
			r.Store(true)
		}
		c.release = nil
	case !s.kernel && c.pid != 0:
		unix.Kill(c.pid, s.signal)
	}
}
