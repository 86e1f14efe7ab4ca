package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/host"
)

// An Outer is the network of a container's outer end, for a tool that puts servers there. Options.Outer gets one on a
// thread of that network before the command starts: sockets that it makes itself are there.
type Outer struct {
	Addr4, Addr6 netip.Addr // of the link's outer end; Addr6 is not valid without IPv6
	c            *container
}

// prepareOuter lets the tool put its servers at the outer end.
func (c *container) prepareOuter() (err error) {
	if c.Outer == nil {
		return nil
	}
	o := &Outer{Addr4: c.outside4, c: c}
	if c.six {
		o.Addr6 = c.outside6
	}
	return errors.Join(within(c.parent, func() { err = c.Outer(o) }), err)
}

// prepareAlone makes the outer end of a closed container in a network namespace of its own, on a thread that stays there.
func (c *container) prepareAlone() (err error) {
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("making a network namespace: %w", err)
			return
		}
		if c.parent, err = ownNamespace(); err != nil {
			return
		}
		if err = host.LoopbackUp(); err != nil {
			err = fmt.Errorf("bringing up loopback: %w", err)
			return
		}
		if c.outside, err = openOutside(c.Tool, c.NoOffload); err != nil {
			return
		}
		var index int
		if index, err = indexOf(c.outside.Name()); err != nil {
			return
		}
		a := c.addresses
		if err = configure(c.outside.Name(), index, a.outside4, a.inside4, a.outside6, a.inside6, c.six); err == nil {
			err = lengthen(c.outside.Name(), c.TxQueueLen)
		}
	})
	c.beyond6 = c.six
	return err
}

// Host gives the network these addresses, so that they can be listened at.
func (o *Outer) Host(addresses []netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding loopback: %w", err)
	}
	for _, a := range addresses {
		if a == o.Addr4 || a == o.Addr6 {
			continue
		}
		flags := 0
		if a.Is6() {
			flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: single(a), Flags: flags}); err != nil {
			return fmt.Errorf("adding the address %s: %w", a, err)
		}
	}
	return nil
}

// Names makes the container's name service ask at this port of Addr4, over UDP and TCP.
func (o *Outer) Names(port int) { o.c.names = port }

// Dial connects from there, at any time.
func (o *Outer) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if e := within(o.c.parent, func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) }); e != nil {
		return nil, e
	}
	return conn, err
}

// Redirect makes connections that leave the container for these TCP ports arrive at another port of Addr4 and Addr6
// instead: OriginalDestination says where they were going. HTTP/3, UDP 443, is refused, so that clients do without.
func (o *Outer) Redirect(ports []uint16, to uint16) error {
	index, err := indexOf(o.c.outside.Name())
	if err != nil {
		return err
	}
	n := o.c.nat
	redirect := n.chain("redirect", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, int32(*nftables.ChainPriorityNATDest))
	for _, p := range ports {
		n.rule(redirect, cameBy(index), toPort(unix.IPPROTO_TCP, p), []expr.Any{
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(to)},
			&expr.Redir{RegisterProtoMin: 1},
		})
	}
	for name, hook := range map[string]*nftables.ChainHook{"quic_forward": nftables.ChainHookForward, "quic_input": nftables.ChainHookInput} {
		n.rule(n.chain(name, nftables.ChainTypeFilter, hook, 0), cameBy(index), toPort(unix.IPPROTO_UDP, 443), []expr.Any{
			&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}})
	}
	if err := n.conn.Flush(); err != nil {
		return fmt.Errorf("redirecting ports by nftables: %w", err)
	}
	return nil
}

// toPort matches a destination port of TCP or UDP.
func toPort(protocol byte, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// OriginalDestination is where a redirected connection was going.
func OriginalDestination(conn *net.TCPConn) (to netip.AddrPort, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return to, err
	}
	const originalDst = 80 // SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return to, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var a unix.RawSockaddrInet6 // an IPv4 one is shorter, and begins alike
		size := uint32(unsafe.Sizeof(a))
		level := uintptr(unix.SOL_IP)
		if local.Addr().Unmap().Is6() {
			level = unix.SOL_IPV6
		}
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, level, originalDst, uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			err = fmt.Errorf("finding out where a connection was going: %w", errno)
			return
		}
		p := (*[2]byte)(unsafe.Pointer(&a.Port))
		port := uint16(p[0])<<8 | uint16(p[1])
		if a.Family == unix.AF_INET {
			four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a))
			to = netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
		} else {
			to = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), port)
		}
	})
	return to, errors.Join(cerr, err)
}

// putFiles makes the calling thread, and what is started from it, see these contents in place of files of the host's.
func putFiles(files map[string][]byte) error {
	for path, content := range files {
		if err := cover(path, content); err != nil {
			return fmt.Errorf("putting a copy over %s: %w", path, err)
		}
	}
	return nil
}

// with is an environment with these variables.
func with(env, more []string) []string {
	for _, v := range more {
		name, _, _ := strings.Cut(v, "=")
		for i, e := range env {
			if strings.HasPrefix(e, name+"=") {
				env = append(env[:i:i], env[i+1:]...)
				break
			}
		}
		env = append(env, v)
	}
	return env
}
