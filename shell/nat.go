package shell

import (
	"bytes"
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
}

const (
	tableFlagOwner  = 2      // NFT_TABLE_F_OWNER; unix has it for newer kernels' headers only
	ctStatusDstNAT  = 1 << 5 // IPS_DST_NAT, include/uapi/linux/netfilter/nf_conntrack_common.h
	afterSourceNAT  = 101    // just after NF_IP_PRI_NAT_SRC
	firstOfAll      = -1 << 31
	lastOfAll       = 1<<31 - 1
	probePort       = 9 // discard
	chainProbeFirst = "probe_first"
	chainProbeLast  = "probe_last"
	chainPrivate    = "untranslated"
)

// newNAT makes the table: what comes from the container gets the address of the device that it leaves by, and whatever
// then still has the container's address, since conntrack calls it invalid or another table exempted it, is dropped and
// counted.
func newNAT(device string, index int, a addresses, six bool) (*nat, error) {
	n := &nat{}
	var err error
	if n.socket, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return nil, fmt.Errorf("reaching nftables: %w", err)
	}
	if n.conn, err = nftables.New(nftables.WithTestDial(n.send)); err != nil {
		return nil, err
	}
	n.table = n.conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "gm-" + device})
	masquerade := n.chain("masquerade", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, int32(*nftables.ChainPriorityNATSource))
	private := n.chain(chainPrivate, nftables.ChainTypeFilter, nftables.ChainHookPostrouting, afterSourceNAT)
	first := n.chain(chainProbeFirst, nftables.ChainTypeFilter, nftables.ChainHookForward, firstOfAll)
	last := n.chain(chainProbeLast, nftables.ChainTypeFilter, nftables.ChainHookForward, lastOfAll)
	for _, end := range ends(a, six) {
		n.rule(masquerade, from(end.inside), []expr.Any{&expr.Masq{}})
		n.rule(private, from(end.inside), countAndDrop)
		n.rule(first, cameBy(index), to(end.probe), []expr.Any{&expr.Counter{}})
		n.rule(last, cameBy(index), to(end.probe), countAndDrop)
	}
	if err := n.conn.Flush(); err != nil {
		return nil, fmt.Errorf("making the nftables table %s: %w", n.table.Name, err)
	}
	return n, nil
}

// guard keeps the devices on which we enabled forwarding from making the machine a router for its neighbours: of what
// comes in by them, only replies are forwarded, and what the host itself redirects (Docker's published ports).
func (n *nat) guard(devices []int) error {
	if len(devices) == 0 {
		return nil
	}
	chain := n.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookForward, 0)
	for _, d := range devices {
		n.rule(chain, cameBy(d), []expr.Any{
			&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
			masked(expr.CtStateBitINVALID | expr.CtStateBitUNTRACKED),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		}, countAndDrop)
		n.rule(chain, cameBy(d), []expr.Any{
			&expr.Ct{Register: 1, Key: expr.CtKeyDIRECTION},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
			&expr.Ct{Register: 1, Key: expr.CtKeySTATUS},
			masked(ctStatusDstNAT),
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		}, countAndDrop)
	}
	if err := n.conn.Flush(); err != nil {
		return fmt.Errorf("guarding forwarding in nftables: %w", err)
	}
	return nil
}

// untranslated is how many packets NAT could not translate, and dropped.
func (n *nat) untranslated() uint64 {
	counts, _ := n.counters(chainPrivate)
	var sum uint64
	for _, c := range counts {
		sum += c
	}
	return sum
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

func (n *nat) close() { n.socket.Close() }

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

// send takes the library's messages to our own socket, and sets the flag for which the library has no field.
func (n *nat) send(req []netlink.Message) ([]netlink.Message, error) {
	if len(req) == 0 {
		return nil, nil
	}
	want := 0
	for i := range req {
		if req[i].Header.Type == netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE) {
			flags := []byte{8, 0, unix.NFTA_TABLE_FLAGS, 0}
			if k := bytes.Index(req[i].Data, flags); k >= 0 {
				req[i].Data[k+7] = tableFlagOwner // the attribute is in network byte order
			}
		}
		if req[i].Header.Flags&netlink.Acknowledge != 0 {
			want++
		}
	}
	if _, err := n.socket.SendMessages(req); err != nil {
		return nil, err
	}
	var out []netlink.Message
	for len(out) < want {
		m, err := n.socket.Receive()
		if err != nil {
			return nil, err
		}
		out = append(out, m...)
	}
	return out, nil
}
