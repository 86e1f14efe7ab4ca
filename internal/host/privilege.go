package host

import "golang.org/x/sys/unix"

const needed = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN

// capabilities are this process's effective ones, none if they cannot be asked for.
func capabilities() uint64 {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if unix.Capget(&h, &d[0]) != nil {
		return 0
	}
	return uint64(d[0].Effective) | uint64(d[1].Effective)<<32
}

// Privilege says what this process lacks to go root's way.
func (m *Machine) Privilege() Finding {
	f := Finding{Name: "privilege", Vital: true, OK: m.Privileged(), Says: "CAP_NET_ADMIN and CAP_SYS_ADMIN: root's way out is open"}
	if f.OK {
		return f
	}
	f.Means = "cannot make network namespaces and devices"
	var lacks string
	switch {
	case m.Caps&needed == 0:
		f.Says = "this process has neither CAP_NET_ADMIN nor CAP_SYS_ADMIN"
		f.Mend = "run it as root (sudo), or in a container started with --cap-add NET_ADMIN --cap-add SYS_ADMIN --device /dev/net/tun"
		return f
	case m.Caps&(1<<unix.CAP_NET_ADMIN) == 0:
		lacks = "NET_ADMIN"
	default:
		lacks = "SYS_ADMIN"
	}
	f.Says = "this process lacks CAP_" + lacks
	f.Mend = "start the container with --cap-add " + lacks
	return f
}

// way says which way the tools take. Either is fine.
func (m *Machine) way() Finding {
	f := Finding{Name: "way out", OK: true, Says: "NAT, since this process may change the network"}
	if !m.Privileged() {
		f.Says = "gm-gateway, since this process may not change the network"
	}
	return f
}
