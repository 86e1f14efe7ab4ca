package host

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// NFTables says what an error of making NAT rules in a namespace of one's own means.
func NFTables(err error) Finding {
	f := Finding{Name: "nftables", Vital: true, OK: err == nil, Says: "NAT with connection tracking can be made"}
	if err != nil {
		f.Means = "cannot make NAT rules"
		f.Says = fmt.Sprintf("this kernel's nftables has not all that it takes (%s)", reason(err))
		f.Mend = "sudo modprobe -a nf_tables nft_ct nft_chain_nat nft_masq"
		f.Keep = "printf '%s\\n' nf_tables nft_ct nft_chain_nat nft_masq | sudo tee /etc/modules-load.d/gomahi.conf"
	}
	return f
}

// Of include/uapi/linux/netfilter/nf_tables.h, what x/sys lacks.
const (
	tableOwner  = 2 // NFT_TABLE_F_OWNER
	prioritySrc = 100
)

// tryNFTables makes a table that goes with its socket, with a NAT chain and a rule that tracks and masquerades, in the
// calling thread's network namespace.
func tryNFTables() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	second := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		return err
	}
	if err := unix.Sendto(fd, trialBatch(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	// The first message is the acknowledgement, or the error of the first that failed: struct nlmsghdr, then the errno.
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
		return unix.EPROTO
	}
	if errno := int32(binary.NativeEndian.Uint32(buf[unix.SizeofNlMsghdr:])); errno != 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// trialBatch is the transaction: table, chain, rule. The rule alone is to be acknowledged, errors come anyway.
func trialBatch() []byte {
	const name = "gm-trial\x00"
	of := func(what int) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | uint16(what) }
	b := message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b = append(b, message(of(unix.NFT_MSG_NEWTABLE), unix.NLM_F_CREATE, unix.NFPROTO_INET, 0,
		attr(unix.NFTA_TABLE_NAME, []byte(name)), attr(unix.NFTA_TABLE_FLAGS, be(tableOwner)))...)
	b = append(b, message(of(unix.NFT_MSG_NEWCHAIN), unix.NLM_F_CREATE, unix.NFPROTO_INET, 0,
		attr(unix.NFTA_CHAIN_TABLE, []byte(name)), attr(unix.NFTA_CHAIN_NAME, []byte(name)),
		nested(unix.NFTA_CHAIN_HOOK, attr(unix.NFTA_HOOK_HOOKNUM, be(unix.NF_INET_POST_ROUTING)),
			attr(unix.NFTA_HOOK_PRIORITY, be(prioritySrc))),
		attr(unix.NFTA_CHAIN_TYPE, []byte("nat\x00")))...)
	track := nested(unix.NFTA_EXPR_DATA, attr(unix.NFTA_CT_DREG, be(unix.NFT_REG_1)), attr(unix.NFTA_CT_KEY, be(unix.NFT_CT_STATE)))
	b = append(b, message(of(unix.NFT_MSG_NEWRULE), unix.NLM_F_CREATE|unix.NLM_F_APPEND|unix.NLM_F_ACK, unix.NFPROTO_INET, 0,
		attr(unix.NFTA_RULE_TABLE, []byte(name)), attr(unix.NFTA_RULE_CHAIN, []byte(name)),
		nested(unix.NFTA_RULE_EXPRESSIONS,
			nested(unix.NFTA_LIST_ELEM, attr(unix.NFTA_EXPR_NAME, []byte("ct\x00")), track),
			nested(unix.NFTA_LIST_ELEM, attr(unix.NFTA_EXPR_NAME, []byte("masq\x00")))))...)
	return append(b, message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)...)
}

// message is a struct nlmsghdr, a struct nfgenmsg and attributes.
func message(kind uint16, flags int, family byte, resource uint16, attrs ...[]byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, 256)
	b = append(b, family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	for _, a := range attrs {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], uint16(unix.NLM_F_REQUEST|flags))
	return b
}

// attr is a struct nlattr and its value, padded to four bytes.
func attr(kind int, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.NLA_HDRLEN+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, uint16(kind)), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func nested(kind int, attrs ...[]byte) []byte {
	var all []byte
	for _, a := range attrs {
		all = append(all, a...)
	}
	return attr(kind|unix.NLA_F_NESTED, all)
}

func be(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
