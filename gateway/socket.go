package gateway

import (
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a non-blocking socket of the host, which Go's poller watches.
type socket struct {
	file *os.File
	raw  syscall.RawConn
}

// socketOption sets up a socket of IPv4 or six.
type socketOption func(fd int, six bool)

// newSocket opens a socket of a type and protocol, and begins to connect it. That of TCP goes on to be connected; see
// connected.
func newSocket(kind, proto int, to netip.AddrPort, options ...socketOption) (*socket, error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, err
	}
	for _, o := range options {
		o(fd, family == unix.AF_INET6)
	}
	if err := unix.Connect(fd, sockaddr(fd, to)); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, err
	}
	s := &socket{file: os.NewFile(uintptr(fd), "")}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

func sockaddr(fd int, to netip.AddrPort) unix.Sockaddr {
	a := to.Addr()
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	}
	s := &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
	if zone := a.Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			s.ZoneId = uint32(n)
		} else if r, err := unix.NewIfreq(zone); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r) == nil {
			s.ZoneId = r.Uint32()
		}
	}
	return s
}

// connected waits until a socket of TCP is connected, or until wait says that it has waited for long enough, which is
// asked whenever it said to.
func (s *socket) connected(again func() (time.Time, bool)) error {
	for {
		at, wait := again()
		if !wait {
			return os.ErrDeadlineExceeded
		}
		s.file.SetWriteDeadline(at)
		var result error
		err := s.raw.Write(func(fd uintptr) bool { return connectedNow(int(fd), &result) })
		switch {
		case err == nil:
			s.file.SetWriteDeadline(time.Time{})
			return result
		case !os.IsTimeout(err):
			return err
		}
	}
}

// connectedNow says whether connecting has come to an end, and to which.
func connectedNow(fd int, result *error) bool {
	if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || n != 0 {
		*result = err
		if err == nil {
			*result = unix.Errno(n)
		}
		return true
	}
	_, err := unix.Getpeername(fd)
	return err == nil
}

// shut ends what is sent.
func (s *socket) shut() { s.control(func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) }) }

// reset closes a socket of TCP so that the peer gets a RST.
func (s *socket) reset() {
	s.control(func(fd int) { unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) })
	s.file.Close()
}

func (s *socket) control(f func(fd int)) { s.raw.Control(func(fd uintptr) { f(int(fd)) }) }

func noDelay(fd int, _ bool) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
}
