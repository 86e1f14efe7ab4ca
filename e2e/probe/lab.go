package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The laboratory: a host that forwards nothing by itself, and a server beyond it.
//
//	host  eth0 192.0.2.2/24, 2001:db8:1::2/64 ──── eth0 192.0.2.1, 2001:db8:1::1  server
//	      default route to the server                    198.51.100.7 on its loopback
//
// Each runs the servers of serve.go on all its addresses.
func lab(args []string) error {
	if len(args) == 0 {
		// This process itself becomes the host, from its first thread on.
		c := exec.Command("/proc/self/exe", "lab", "inside")
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread()
		return c.Run()
	}
	runtime.LockOSThread() // to the first thread, whose namespaces stand for the process
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// A new namespace copies forwarding from the machine's first one.
	for _, f := range []string{"ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+f, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	server := make(chan int)
	errs := make(chan error)
	plug := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			errs <- err
			return
		}
		server <- unix.Gettid()
		<-plug
		err := up("lo")
		for _, a := range []string{"192.0.2.1/24", "2001:db8:1::1/64"} {
			err = errors.Join(err, address("eth0", a))
		}
		err = errors.Join(err, up("eth0"), address("lo", "198.51.100.7/32"), serve())
		errs <- err
		select {}
	}()
	var tid int
	select {
	case tid = <-server:
	case err := <-errs:
		return err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsPid(tid)}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	close(plug)
	if err := <-errs; err != nil {
		return err
	}
	err := up("lo")
	for _, a := range []string{"192.0.2.2/24", "2001:db8:1::2/64"} {
		err = errors.Join(err, address("eth0", a))
	}
	err = errors.Join(err, up("eth0"))
	for _, gw := range []string{"192.0.2.1", "2001:db8:1::1"} {
		err = errors.Join(err, netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gw), LinkIndex: index("eth0"),
			Dst: &net.IPNet{IP: net.ParseIP(gw).Mask(net.CIDRMask(0, 8*len(gwBytes(gw)))), Mask: net.CIDRMask(0, 8*len(gwBytes(gw)))}}))
	}
	if err = errors.Join(err, serve()); err != nil {
		return err
	}
	fmt.Println(os.Getpid(), tid)
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func gwBytes(s string) net.IP {
	ip := net.ParseIP(s)
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

func index(name string) int {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0
	}
	return l.Attrs().Index
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func address(name, prefix string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(l, a)
}

// enter becomes a command in one of a laboratory's network namespaces, with its mounts.
func enter(args []string) error {
	if len(args) < 4 {
		return errors.New("enter host|server PID TID CMD")
	}
	pid, tid := args[1], args[2]
	path := "/proc/" + pid + "/ns/net"
	if args[0] == "server" {
		path = "/proc/" + pid + "/task/" + tid + "/ns/net"
	}
	command, err := exec.LookPath(args[3])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, ns := range []struct {
		path string
		kind int
	}{{path, unix.CLONE_NEWNET}, {"/proc/" + pid + "/ns/mnt", unix.CLONE_NEWNS}} {
		fd, err := unix.Open(ns.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, ns.kind)
		}
		if err != nil {
			return fmt.Errorf("entering %s: %w", ns.path, err)
		}
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	return syscall.Exec(command, args[3:], os.Environ())
}

// ignoring becomes a command that starts with a signal ignored.
func ignoring(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		n = int(unix.SignalNum("SIG" + strings.TrimPrefix(args[0], "SIG")))
	}
	command, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	ignore(syscall.Signal(n))
	return syscall.Exec(command, args[1:], os.Environ())
}
