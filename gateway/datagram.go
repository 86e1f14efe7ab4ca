package gateway

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// tosOf is the type of service of an IP header, ECN included.
func tosOf(ip []byte) uint8 {
	if ip[0]>>4 == 4 {
		return ip[1]
	}
	return ip[0]<<4 | ip[1]>>4
}

// datagramBuffer is how much a socket may hold for us, in bytes; the kernel grants less (net.core.rmem_max).
const datagramBuffer = 4 << 20

// tellErrors makes a socket queue ICMP errors for us (IP_RECVERR, ip(7)), and tell how datagrams are marked.
func tellErrors(fd int, six bool) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, datagramBuffer)
	if six {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		return
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
}

// send sends a datagram on as a router would: marked as its IP header ip, with a hop less, and whole where it may not be
// fragmented. With EMSGSIZE goes the path's MTU.
func (f *flow) send(ip []byte, data []unix.Iovec) (next int, err error) {
	hops, tos, whole := int(ip[8])-1, int(tosOf(ip)), int(ip[6]>>6&1)
	if ip[0]>>4 == 6 {
		size := header.IPv6MinimumSize
		if !f.echo() {
			size += header.UDPMinimumSize
		}
		for _, v := range data {
			size += int(v.Len)
		}
		hops, whole = int(ip[7])-1, 1
		if size > mtu || f.told > 0 && size > f.told { // it was in fragments, or the room would not have sent it
			whole = 0
		}
	}
	e := f.sock.raw.Control(func(fd uintptr) {
		f.mark(int(fd), hops, tos, whole)
		for range 2 { // an error of an earlier one comes first
			if err = sendmsg(int(fd), data); err != unix.ECONNREFUSED && err != unix.EHOSTUNREACH {
				break
			}
		}
		if err == unix.EMSGSIZE {
			next = f.mtu(int(fd))
		}
	})
	if err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ECONNREFUSED {
		err = nil // lost on the way
	}
	if err == unix.EMSGSIZE {
		f.told = next
	}
	if e != nil {
		err = nil // forgotten just now; the next one makes it again
	}
	return next, err
}

// sendmsg, unlike writev, also sends what is empty.
func sendmsg(fd int, data []unix.Iovec) error {
	h := unix.Msghdr{Iov: unsafe.SliceData(data)}
	h.SetIovlen(len(data))
	if _, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); errno != 0 {
		return errno
	}
	return nil
}

func (f *flow) mark(fd, hops, tos, whole int) {
	level, ttl, class, discover := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS, unix.IP_MTU_DISCOVER
	values := [2]int{unix.IP_PMTUDISC_DONT, unix.IP_PMTUDISC_DO}
	if f.dst.Addr().Is6() {
		level, ttl, class, discover = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS, unix.IPV6_MTU_DISCOVER
		values = [2]int{unix.IPV6_PMTUDISC_WANT, unix.IPV6_PMTUDISC_DO}
	}
	if hops != f.hops {
		unix.SetsockoptInt(fd, level, ttl, max(hops, 1))
	}
	if tos != f.tos {
		unix.SetsockoptInt(fd, level, class, tos)
	}
	if whole != f.whole {
		unix.SetsockoptInt(fd, level, discover, values[whole])
	}
	f.hops, f.tos, f.whole = hops, tos, whole
}

func (f *flow) mtu(fd int) int {
	level, name := unix.IPPROTO_IP, unix.IP_MTU
	if f.dst.Addr().Is6() {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	n, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		return mtu
	}
	return min(n, mtu)
}

// message is what was received: n bytes, how it was marked, and, from the error queue, what is wrong and who says so.
type message struct {
	n        int
	tos      uint8
	problem  *unix.SockExtendedErr
	offender netip.Addr
}

// receive reads a datagram, or with unix.MSG_ERRQUEUE one of ours that had a problem, as much of it as came back.
func receive(fd int, b []byte, flags int) (m message, err error) {
	var oob [256]byte
	v := iovec(b)
	h := unix.Msghdr{Iov: &v, Control: &oob[0]}
	h.SetIovlen(1)
	h.SetControllen(len(oob))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), uintptr(flags|unix.MSG_DONTWAIT))
	if errno != 0 {
		return m, errno
	}
	m.n = int(n)
	for rest := oob[:h.Controllen]; len(rest) >= unix.CmsgLen(0); {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		if int(c.Len) < unix.CmsgLen(0) || int(c.Len) > len(rest) {
			break
		}
		m.control(c, rest[unix.CmsgLen(0):c.Len])
		rest = rest[min(unix.CmsgSpace(int(c.Len)-unix.CmsgLen(0)), len(rest)):]
	}
	return m, nil
}

func (m *message) control(c *unix.Cmsghdr, data []byte) {
	const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	switch [2]int32{c.Level, c.Type} {
	case [2]int32{unix.IPPROTO_IP, unix.IP_TOS}, [2]int32{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:
		m.tos = data[0] // of an int too, as the machine is little-endian
	case [2]int32{unix.IPPROTO_IP, unix.IP_RECVERR}, [2]int32{unix.IPPROTO_IPV6, unix.IPV6_RECVERR}:
		if len(data) < size {
			return
		}
		e := *(*unix.SockExtendedErr)(unsafe.Pointer(&data[0]))
		m.problem = &e
		// The offender's sockaddr follows, ip(7).
		switch a := data[size:]; {
		case len(a) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(a) == unix.AF_INET:
			m.offender = netip.AddrFrom4([4]byte(a[4:8]))
		case len(a) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(a) == unix.AF_INET6:
			m.offender = netip.AddrFrom16([16]byte(a[8:24]))
		}
	}
}

// reportErrors passes ICMP errors on, about the packets that the room has sent.
func (f *flow) reportErrors() {
	b := make([]byte, mostICMP6)
	for {
		var m message
		err := error(unix.EBADF)
		f.sock.raw.Control(func(fd uintptr) { m, err = receive(int(fd), b, unix.MSG_ERRQUEUE) })
		if err != nil {
			return
		}
		if e := m.problem; e != nil && (e.Origin == unix.SO_EE_ORIGIN_ICMP || e.Origin == unix.SO_EE_ORIGIN_ICMP6) {
			f.report(m, b[:m.n])
		}
	}
}

func (f *flow) report(m message, data []byte) {
	r := reason{m.problem.Type, m.problem.Code, m.problem.Type, m.problem.Code}
	next := 0
	if f.dst.Addr().Is4() && r.type4 == tooBig.type4 && r.code4 == tooBig.code4 || f.dst.Addr().Is6() && r.type6 == tooBig.type6 {
		r, next = tooBig, int(m.problem.Info)
	}
	from := m.offender
	if !from.IsValid() || from.Is4() != f.dst.Addr().Is4() || from.IsLoopback() {
		from = f.g.address(f.dst.Addr())
		if r == noPort {
			from = f.dst.Addr()
		}
	}
	f.g.reject(f.rebuild(data), from, r, next)
}

// rebuild makes a packet that the room has sent, as far as an ICMP error is about it, from what came back.
func (f *flow) rebuild(data []byte) []byte {
	var body []byte
	if f.echo() {
		body = append(body, data...)
		if len(body) >= echoHeader {
			binary.BigEndian.PutUint16(body[echoID:], f.src.Port())
		}
	} else {
		body = make([]byte, header.UDPMinimumSize, header.UDPMinimumSize+len(data))
		header.UDP(body).Encode(&header.UDPFields{SrcPort: f.src.Port(), DstPort: f.dst.Port(),
			Length: uint16(header.UDPMinimumSize + len(data))})
		body = append(body, data...)
	}
	src, dst := stackAddr(f.src.Addr()), stackAddr(f.dst.Addr())
	if f.dst.Addr().Is6() {
		ip := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(body))
		header.IPv6(ip).Encode(&header.IPv6Fields{PayloadLength: uint16(len(body)),
			TransportProtocol: tcpip.TransportProtocolNumber(f.proto), HopLimit: 1, SrcAddr: src, DstAddr: dst})
		return append(ip, body...)
	}
	ip := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(body))
	header.IPv4(ip).Encode(&header.IPv4Fields{TotalLength: uint16(len(ip) + len(body)), TTL: 1, Protocol: f.proto,
		Flags: header.IPv4FlagDontFragment, SrcAddr: src, DstAddr: dst})
	header.IPv4(ip).SetChecksum(^header.IPv4(ip).CalculateChecksum())
	return append(ip, body...)
}
