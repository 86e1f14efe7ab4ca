package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

const (
	nattedOutside = "203.0.113.1/30"
	nattedInside  = "203.0.113.2/30"
	forward4      = "/proc/sys/net/ipv4/ip_forward"
)

// natted runs a command in a network namespace that a bare veth pair joins to this one, which forwards and masquerades for
// it: what the kernel alone does of a container's work, and so the limit of what a tool can carry.
func natted(args []string) error {
	if os.Getenv("NATTED") != "" {
		return withinNAT(args)
	}
	runtime.LockOSThread()
	ready, start, err := os.Pipe()
	if err != nil {
		return err
	}
	c := exec.Command("/proc/self/exe", append([]string{"natted"}, args...)...)
	c.Env = append(os.Environ(), "NATTED=1")
	c.Stdin, c.Stdout, c.Stderr = ready, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return err
	}
	ready.Close()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "natted"}, PeerName: "eth0", PeerNamespace: netlink.NsPid(c.Process.Pid)}
	n, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return err
	}
	table := n.AddTable(&nftables.Table{Name: "natted", Family: nftables.TableFamilyIPv4})
	chain := n.AddChain(&nftables.Chain{Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	n.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte("eth0"), make([]byte, 12)...)},
		&expr.Masq{},
	}})
	err = errors.Join(netlink.LinkAdd(veth), address("natted", nattedOutside), up("natted"),
		os.WriteFile(forward4, []byte("1"), 0), n.Flush())
	if err == nil {
		start.Close() // the signal to go on
		err = c.Wait()
	}
	n.DelTable(table)
	gone := netlink.LinkDel(veth)
	if errors.Is(gone, syscall.ENODEV) { // with the command's namespace
		gone = nil
	}
	return errors.Join(err, gone, n.Flush(), os.WriteFile(forward4, []byte("0"), 0))
}

func withinNAT(args []string) error {
	os.Unsetenv("NATTED")
	os.Stdin.Read(make([]byte, 1))
	gateway, _, _ := net.ParseCIDR(nattedOutside)
	err := errors.Join(up("lo"), address("eth0", nattedInside), up("eth0"), netlink.RouteAdd(&netlink.Route{Gw: gateway}))
	if err != nil {
		return err
	}
	command, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(command, args, os.Environ())
}
