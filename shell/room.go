package shell

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/host"
)

// A room is a network namespace between the host's and a container's, whose way out is a gateway. For a process without
// privilege it comes with a user namespace, which a threaded program cannot enter: so that process starts itself again
// there, stands in for it here, and starts the gateway.
type room struct {
	number       int // of its pair of addresses
	addresses        // outside is the gateway, inside the room
	resolver     netip.Addr
	six, beyond6 bool
	nested       bool

	starter int // in the room, without privilege outside: the socket to who started this process
}

// plan chooses a room's addresses in the calling thread's namespace: like a container's, above those of all ancestors.
func plan() (*room, error) {
	used, own, err := inUse()
	if err != nil {
		return nil, err
	}
	for k := own + 1; k < pairs; k++ {
		if r := newRoom(k); !used(r.addresses) {
			r.nested = own >= 0
			r.six = hasIPv6()
			if r.six {
				_, err := netlink.RouteGet(net.IP(ends(r.addresses, true)[1].probe.AsSlice()))
				r.beyond6 = err == nil
			}
			return r, nil
		}
	}
	return nil, fmt.Errorf("no address of %s is free", block4)
}

func newRoom(k int) *room {
	r := &room{number: k, addresses: pair(k)}
	r.resolver = r.inside4.Next() // the last of the four that each pair is given
	return r
}

// setBase makes GM_BASE the gateway, unless the room is in another container.
func (r *room) setBase() {
	if r.nested && os.Getenv("GM_BASE") != "" {
		return
	}
	os.Setenv("GM_BASE", r.outside4.String())
	os.Unsetenv("GM_BASE6")
	os.Unsetenv("GM_LEVEL")
	if r.six {
		os.Setenv("GM_BASE6", r.outside6.String())
	}
}

// open makes the room's device in the calling thread's namespace.
func (r *room) open() (fd int, close func() error, err error) {
	d, err := openInside(r.addresses, r.six, true, r.beyond6, false)
	if err != nil {
		return 0, nil, err
	}
	return d.FD(), d.Close, nil
}

// gateway starts the room's gateway from the calling process's namespace. Name service goes to names, on its loopback.
func (r *room) gateway(path string, device int, names int, o Options) (*gateway, error) {
	args := []string{"--address=" + r.outside4.String(), "--linger=" + o.Linger.String(),
		fmt.Sprintf("--resolver=%s=127.0.0.1:%d", r.resolver, names)}
	if r.six {
		args = append(args, "--address6="+r.outside6.String())
	}
	if !o.Loopback {
		args = append(args, "--no-host-loopback")
	}
	return startGateway(path, device, args)
}

// roomVar tells a process that it was started in a room, and which.
const roomVar = "GM_ROOM"

// here is the room that this process was started in, if any.
var here *room

// EnterRoom finds out whether this process was started in a room. A program that calls Run calls it first.
func EnterRoom() {
	v, found := os.LookupEnv(roomVar)
	if !found {
		return
	}
	os.Unsetenv(roomVar)
	var fd, k int
	var beyond6 bool
	if _, err := fmt.Sscan(v, &fd, &k, &beyond6); err != nil {
		return
	}
	unix.CloseOnExec(fd)
	rename(filepath.Base(os.Args[0]))
	here = newRoom(k)
	here.starter, here.six, here.beyond6 = fd, hasIPv6(), beyond6
}

// handOver builds the room that this process is in, and hands its device to who started it.
func (r *room) handOver() error {
	fd, done, err := r.open()
	if errors.Is(err, unix.EPERM) { // AppArmor gives the namespace, but no rights in it
		return host.Here().UserNamespaces(err).Err()
	}
	if err != nil {
		return err
	}
	defer done()
	if err := unix.Sendmsg(r.starter, []byte{'d'}, unix.UnixRights(fd), nil, 0); err != nil {
		return fmt.Errorf("asking for a gateway: %w", err)
	}
	upstream = []netip.Addr{r.resolver}
	return nil
}

// served waits until the gateway serves the container's room, if it is in one.
func (c *container) served() error {
	switch {
	case c.starting != nil:
		return <-c.starting
	case c.room != nil && !c.Closed:
		if n, err := unix.Read(c.room.starter, make([]byte, 1)); n != 1 {
			return errors.Join(errors.New("there is no gateway"), err) // our starter says why
		}
	}
	return nil
}

// left says that the command has ended.
func (r *room) left() { unix.Write(r.starter, []byte{'e'}) }

// NeedsRoom says whether this process can make containers only in a room with a user namespace.
func NeedsRoom(outside string) bool {
	f := host.Here().Privilege()
	return here == nil && outside != ByNAT && !f.OK
}

// RunInRoom starts this program again in a room, with the same command line, and stands in for it. The status is the
// other's; it has said what went wrong there.
func RunInRoom(o Options) (status unix.WaitStatus, err error) {
	if f := host.WhyNot(true); f != nil {
		return 0, f.Err()
	}
	r, err := plan()
	if err != nil {
		return 0, err
	}
	var path string
	var names int
	if !o.Closed {
		if path, err = findGateway(); err != nil {
			return 0, err
		}
		if names, err = serveOutside(netip.AddrFrom4([4]byte{127, 0, 0, 1})); err != nil {
			return 0, err
		}
	}
	j := &job{told: make(chan event, 16)}
	if j.signals, err = catchSignals(); err != nil {
		return 0, fmt.Errorf("catching signals: %w", err)
	}
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := j.interruption(); err != nil {
		return unix.WaitStatus(err.(interrupted)), nil
	}
	if err := r.startAgain(j, sockets[1]); err != nil {
		return 0, err
	}
	unix.Close(sockets[1])

	gateways, left, failed := make(chan *gateway, 1), make(chan time.Time, 1), make(chan error, 1)
	go func() {
		g, err := r.serveAgain(sockets[0], path, names, o)
		if err != nil {
			failed <- err
		} else if g != nil {
			gateways <- g
			var b [1]byte
			if n, _ := unix.Read(sockets[0], b[:]); n == 1 {
				left <- time.Now()
			}
		}
	}()
	var g *gateway
	var dead <-chan error
	for {
		select {
		case g = <-gateways:
			dead = g.ended
		case err := <-failed:
			return 0, err
		case err := <-dead:
			return 0, err // and what is in the room dies with us
		case s := <-j.signals:
			j.signal(s)
		case e := <-j.told:
			if e.err == nil && e.status.Stopped() {
				j.stop(e.at)
				continue
			}
			if g != nil {
				rest := time.Duration(0)
				select {
				case at := <-left:
					rest = max(0, o.Linger-time.Since(at))
				default:
				}
				g.finish(rest)
			}
			return e.status, e.err
		}
	}
}

// startAgain starts this program in new namespaces, from a thread that lives as long as we do. The user and group stay
// who they are; what is root's outside is nobody's inside.
func (r *room) startAgain(j *job, socket int) error {
	unix.FcntlInt(uintptr(socket), unix.F_SETFD, 0) // a number of its own, so that those the user passes keep theirs
	r.setBase()
	os.Setenv(roomVar, fmt.Sprint(socket, " ", r.number, " ", r.beyond6))
	defer os.Unsetenv(roomVar)
	uid, gid := os.Geteuid(), os.Getegid()
	sys := syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_ADMIN},
	}
	var err error
	onThread(func() {
		var pid int
		pid, err = start("/proc/self/exe", os.Args, os.Environ(), sys)
		if err == nil {
			j.watch(pid)
		}
	})
	if err != nil {
		return host.Here().UserNamespaces(err).Err()
	}
	return nil
}

// serveAgain starts the gateway for a device that comes over the socket; nil if none comes.
func (r *room) serveAgain(socket int, path string, names int, o Options) (*gateway, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return nil, err // it ended, or needs none
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	g, err := r.gateway(path, fds[0], names, o)
	unix.Close(fds[0])
	if err == nil {
		_, err = unix.Write(socket, []byte{'r'})
	}
	return g, err
}

// prepareBehindGateway makes a room for a process with privilege, on a thread of its own, and prepares the container's
// outside there.
func (c *container) prepareBehindGateway() error {
	path, err := findGateway()
	if err != nil {
		return err
	}
	r, err := plan()
	if err != nil {
		return err
	}
	names, err := serveOutside(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return err
	}
	r.setBase()
	devices := make(chan int, 1)
	c.starting = make(chan error, 1)
	go func() {
		if fd, ok := <-devices; ok {
			var err error
			c.gateway, err = r.gateway(path, fd, names, c.Options)
			unix.Close(fd)
			c.starting <- err
		}
	}()
	onThread(func() {
		defer close(devices)
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("making a network namespace: %w", err)
			return
		}
		var fd int
		var done func() error
		if fd, done, err = r.open(); err != nil {
			return
		}
		defer done()
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return
		}
		devices <- fd
		_, err = c.prepareOutside()
		c.guarded = nil // they are gone with the room
	})
	return err
}

// detour takes back what was prepared and goes through a gateway.
func (c *container) detour(blocked string) error {
	if _, err := findGateway(); err != nil {
		c.Warn(blocked)
		return nil
	}
	c.close()
	unix.Close(c.reservation)
	c.outside, c.nat, c.guarded = nil, nil, nil
	c.Warn("a firewall of this host drops what is forwarded: going out through " + gatewayName + " instead (--outside=nat: not to)")
	return c.prepareBehindGateway()
}
