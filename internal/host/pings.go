package host

import (
	"fmt"
	"strconv"
	"strings"
)

// pings says whether gm-gateway may send pings for this user: ICMP sockets are for the groups of ping_group_range
// (icmp(7)).
func (m *Machine) pings() Finding {
	f := Finding{Name: "pings", OK: true, Says: "NAT carries them"}
	if m.Privileged() {
		return f
	}
	const path = "/proc/sys/net/ipv4/ping_group_range"
	r := strings.Fields(m.read(path))
	if len(r) == 2 {
		from, err1 := strconv.Atoi(r[0])
		to, err2 := strconv.Atoi(r[1])
		for _, g := range m.GIDs {
			if err1 == nil && err2 == nil && from <= g && g <= to {
				f.Says = "gm-gateway may send them for you"
				return f
			}
		}
	}
	f.OK, f.Says = false, fmt.Sprintf("net.ipv4.ping_group_range (%s) has none of your groups", strings.Join(r, " "))
	f.Means = "pings reach GM_BASE; those to beyond are answered \"administratively prohibited\""
	f.setting("net.ipv4.ping_group_range=0 2147483647")
	return f
}
