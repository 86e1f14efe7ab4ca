package shell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun"
)

// tryForwarding finds out whether the host forwards what the container sends: it sends one packet and sees whether that
// passes all chains of the forward hook, between two of ours; the last drops it, so nothing leaves the machine. What
// another table or iptables drops, no accept of ours can save. It returns a warning with the rule to add, or nothing.
func tryForwarding(d tun.Device, tool string, n *nat, a addresses, six, plain bool) string {
	defer n.endProbe()
	var dropped []string
	for i, e := range ends(a, six) {
		if _, err := netlink.RouteGetWithOptions(net.IP(e.probe.AsSlice()), nil); err != nil {
			continue // the host itself knows no way there
		}
		p := probe(e)
		if !plain {
			p = append(make([]byte, packet.VnetLen), p...)
		}
		outcome := unseen
		for range 3 { // it takes but one that passes
			if _, err := unix.Write(d.FD(), p); err != nil || outcome == through {
				break
			}
			outcome = fate(n, i)
		}
		if outcome == stopped {
			dropped = append(dropped, []string{"IPv4", "IPv6"}[i])
		}
	}
	if dropped == nil {
		return ""
	}
	return fmt.Sprintf("a firewall of this host drops what is forwarded (%s): the container reaches GM_BASE, "+
		"but nothing beyond\nhint: allow it with  %s", strings.Join(dropped, " and "), allow(tool, dropped))
}

// What becomes of a packet between the first chain of the forward hook and the last.
const (
	unseen = iota // it never came to be forwarded, which is no policy's doing; or nobody can tell
	stopped
	through
)

// fate looks for the packet for the rule i. The kernel may take a while, on another CPU.
func fate(n *nat, i int) int {
	seen := unseen
	for range 20 {
		first, err1 := n.counters(chainProbeFirst)
		last, err2 := n.counters(chainProbeLast)
		if errors.Join(err1, err2) != nil || len(first) <= i || len(last) <= i {
			return unseen
		}
		if last[i] > 0 {
			return through
		}
		if first[i] > 0 {
			seen = stopped
		}
		time.Sleep(time.Millisecond)
	}
	return seen
}

// allow is the command that lets the tool's traffic through the chain in the way, if that can be found.
func allow(tool string, families []string) string {
	device := tool + "-"
	if len(device) > 8 {
		device = tool[:7] // how much of it the name holds depends on the process's number
	}
	if conn, err := nftables.New(); err == nil {
		chains, _ := conn.ListChains()
		for _, c := range chains {
			if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Policy == nil ||
				*c.Policy != nftables.ChainPolicyDrop || c.Name == "FORWARD" {
				continue
			}
			family := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
				nftables.TableFamilyINet: "inet"}[c.Table.Family]
			rule := "nft insert rule " + family + " " + c.Table.Name + " " + c.Name
			return fmt.Sprintf(`%s iifname "%s*" accept; %s oifname "%s*" accept`, rule, device, rule, device)
		}
	}
	var out []string
	for _, f := range families {
		command := map[string]string{"IPv4": "iptables", "IPv6": "ip6tables"}[f] + " -I FORWARD"
		out = append(out, fmt.Sprintf("%s -i %s+ -j ACCEPT; %s -o %s+ -j ACCEPT", command, device, command, device))
	}
	return strings.Join(out, "; ")
}

// probe is an empty UDP packet from the container to an address beyond the host.
func probe(e end) []byte {
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, probePort)
	binary.BigEndian.PutUint16(udp[2:], probePort)
	binary.BigEndian.PutUint16(udp[4:], 8)
	src, dst := e.inside.AsSlice(), e.probe.AsSlice()
	pseudo := append(append(append([]byte{}, src...), dst...), 0, 17, 0, 8)
	binary.BigEndian.PutUint16(udp[6:], checksum(append(pseudo, udp...)))
	if e.inside.Is6() {
		h := []byte{0x60, 0, 0, 0, 0, 8, 17, 64}
		return append(append(append(h, src...), dst...), udp...)
	}
	h := append(append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, src...), dst...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, udp...)
}

// checksum is RFC 1071's, of an even number of bytes.
func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	s = s&0xffff + s>>16
	return ^uint16(s&0xffff + s>>16)
}
