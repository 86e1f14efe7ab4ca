package shell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nat is a container's nftables table in its parent's namespace. The kernel removes it when the socket that made it is
// closed, however that comes about: NFT_TABLE_F_OWNER, Linux 5.12.
type nat struct {
	socket *netlink.Conn
	conn   *nftables.Conn
	table  *nftables.Table
	probes []*nftables.Chain // which every packet that the host forwards passes while they are there
}

const (
	tableFlagOwner  = 2      // NFT_TABLE_F_OWNER; unix has it for newer kernels' headers only
	ctStatusSrcNAT  = 1 << 4 // IPS_SRC_NAT, include/uapi/linux/netfilter/nf_conntrack_common.h
	ctStatusDstNAT  = 1 << 5
	firstOfAll      = -1 << 31
	lastOfAll       = 1<<31 - 1
	probePort       = 9 // discard
	chainProbeFirst = "probe_first"
	chainProbeLast  = "probe_last"
	chainGuard      = "guard"
)

// newNAT makes the table: what comes from the container gets the address of the device that it leaves by, and what would
// not, since conntrack calls it invalid or another table exempted it, is dropped and counted. The devices that forward only
// because of us are guarded. Each packet that the host forwards passes the chains of all containers: the fewer the better.
func newNAT(device string, index int, a addresses, six bool, guarded []int) (*nat, error) {
	n := &nat{table: &nftables.Table{Family: nftables.TableFamilyINet, Name: "gm-" + device}}
	var err error
	n.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		n.socket = c
		return n.own()
	}))
	if err != nil {
		return nil, fmt.Errorf("making the nftables table %s: %w", n.table.Name, err)
	}
	masquerade := n.chain("masquerade", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, int32(*nftables.ChainPriorityNATSource))
	first := n.chain(chainProbeFirst, nftables.ChainTypeFilter, nftables.ChainHookForward, firstOfAll)
	last := n.chain(chainProbeLast, nftables.ChainTypeFilter, nftables.ChainHookForward, lastOfAll)
	n.probes = []*nftables.Chain{first, last}
	if six {
		// A host that forwards IPv6 has every device join the group of all routers, and reports that over the link.
		stray := n.chain("stray", nftables.ChainTypeFilter, nftables.ChainHookOutput, 0)
		for _, kind := range []byte{131, 132, 133, 143} { // reports of RFC 2710 and RFC 3810, router solicitation
			n.rule(stray, []expr.Any{
				&expr.Meta{Key: expr.MetaKeyOIF, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(index))},
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}},
			}, []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
		}
	}
	for _, end := range ends(a, six) {
		n.rule(masquerade, from(end.inside), []expr.Any{&expr.Masq{}})
		n.rule(first, cameBy(index), to(end.probe), []expr.Any{&expr.Counter{}})
		n.rule(last, cameBy(index), to(end.probe), countAndDrop)
	}
	n.guard(index, guarded)
	if err := n.conn.Flush(); err != nil {
		return nil, fmt.Errorf("making the nftables table %s: %w", n.table.Name, err)
	}
	return n, nil
}

// guard is what to drop of what is forwarded. From the container, what NAT can not translate. Of what comes in by the devices
// on which we enabled forwarding, all but replies and what the host itself redirects (Docker's published ports), to keep
// them from making the machine a router for its neighbours. Most packets belong to a connection that is translated, which
// had its first packet pass, and leave the chain by its first rule. Not in the chain after routing, where the host's own neighbour
// discovery looks as if it had come in.
func (n *nat) guard(own int, devices []int) {
	chain := n.chain(chainGuard, nftables.ChainTypeFilter, nftables.ChainHookForward, 0)
	n.rule(chain, []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATUS},
		masked(ctStatusSrcNAT | ctStatusDstNAT),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	})
	for _, d := range append([]int{own}, devices...) {
		n.rule(chain, cameBy(d), []expr.Any{
			&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
			masked(expr.CtStateBitINVALID | expr.CtStateBitUNTRACKED),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		}, countAndDrop)
	}
	for _, d := range devices {
		n.rule(chain, cameBy(d), []expr.Any{
			&expr.Ct{Register: 1, Key: expr.CtKeyDIRECTION},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
		}, countAndDrop)
	}
}

// endProbe takes away what tryForwarding needed.
func (n *nat) endProbe() {
	for _, c := range n.probes {
		n.conn.FlushChain(c)
		n.conn.DelChain(c)
	}
	n.conn.Flush()
}

// untranslated is how many packets NAT could not translate, and dropped.
func (n *nat) untranslated() uint64 {
	if counts, _ := n.counters(chainGuard); len(counts) > 0 {
		return counts[0] // of the container's own rule
	}
	return 0
}

// counters returns the packets counted by each rule of a chain.
func (n *nat) counters(chain string) ([]uint64, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	rules, err := conn.GetRules(n.table, &nftables.Chain{Name: chain, Table: n.table})
	if err != nil {
		return nil, fmt.Errorf("reading counters of nftables: %w", err)
	}
	var out []uint64
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				out = append(out, c.Packets)
			}
		}
	}
	return out, nil
}

func (n *nat) close() { n.conn.CloseLasting() }

// end is one family's share of a link, and an address beyond the host that nobody has: documentation's own, RFC 5737 and
// RFC 3849.
type end struct {
	inside, probe netip.Addr
}

func ends(a addresses, six bool) []end {
	out := []end{{a.inside4, netip.MustParseAddr("198.51.100.1")}}
	if six {
		out = append(out, end{a.inside6, netip.MustParseAddr("2001:db8::1")})
	}
	return out
}

func (n *nat) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority int32) *nftables.Chain {
	return n.conn.AddChain(&nftables.Chain{Name: name, Table: n.table, Type: kind, Hooknum: hook,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority))})
}

func (n *nat) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	n.conn.AddRule(&nftables.Rule{Table: n.table, Chain: chain, Exprs: all})
}

var countAndDrop = []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}

func from(a netip.Addr) []expr.Any { return address(a, 12, 8) }
func to(a netip.Addr) []expr.Any   { return address(a, 16, 24) }

// address matches an address at the given offsets of an IPv4 or IPv6 header.
func address(a netip.Addr, offset4, offset6 uint32) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), offset4
	if a.Is6() {
		family, offset = unix.NFPROTO_IPV6, offset6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(a.BitLen() / 8)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()},
	}
}

func cameBy(device int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(device))},
	}
}

func masked(bits uint32) *expr.Bitwise {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: binaryutil.NativeEndian.PutUint32(0)}
}

// own makes the table belong to the socket, for which the library has no field: a batch of one message.
func (n *nat) own() error {
	message := func(kind uint16, flags netlink.HeaderFlags, family byte, resource uint16, attrs []byte) netlink.Message {
		h := binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource) // struct nfgenmsg
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags},
			Data: append(h, attrs...)}
	}
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(n.table.Name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, tableFlagOwner)},
	})
	if err != nil {
		return err
	}
	_, err = n.socket.SendMessages([]netlink.Message{
		message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
		message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, netlink.Create|netlink.Excl|netlink.Acknowledge,
			byte(n.table.Family), 0, attrs),
		message(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
	})
	if err != nil {
		return err
	}
	_, err = n.socket.Receive()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w\nhint: the kernel must have nftables (CONFIG_NF_TABLES_INET) and be Linux 5.12 or later", err)
	}
	return err
}
