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
	if err := openTun(); err != nil {
		return err
	}
	// A new namespace copies forwarding from the machine's first one.
	for _, f := range []string{"ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+f, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	// Distributions let users send echo requests (systemd's 50-default.conf). A user namespace may have but one group.
	const pings = "/proc/sys/net/ipv4/ping_group_range"
	if err := os.WriteFile(pings, []byte("0 2147483647"), 0); err != nil {
		if err := os.WriteFile(pings, []byte("0 0"), 0); err != nil {
			return err
		}
	}
	server := make(chan int)
	errs := make(chan error)
	plug := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = settled()
		}
		if err != nil {
			errs <- err
			return
		}
		server <- unix.Gettid()
		<-plug
		err = up("lo")
		for _, a := range []string{"192.0.2.1/24", "2001:db8:1::1/64"} {
			err = errors.Join(err, address("eth0", a))
		}
		err = errors.Join(err, up("eth0"), address("lo", "198.51.100.7/32"), serve())
		errs <- err
		select {}
	}()
	if err := settled(); err != nil {
		return err
	}
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

// settled has the addresses of devices to come be theirs at once. Else the kernel would make sure for a second or two that
// nobody else has the link-local one, and when it is sure a browser on the host gives up its requests: ERR_NETWORK_CHANGED.
func settled() error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
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

// openTun opens the packet device to everybody, where it is root's own as on machines without udev. In a user namespace,
// where no device can be made, it must be open already.
func openTun() error {
	if info, err := os.Stat("/dev/net/tun"); err == nil && info.Mode().Perm()&0o006 == 0o006 {
		return nil
	}
	if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return fmt.Errorf("/dev/net/tun is not open to all, and making another: %w", err)
	}
	return os.Chmod("/dev/net/tun", 0o666) // whatever the umask
}

// as becomes a command of an ordinary user. In a user namespace with nobody but root, that is root without capabilities.
func as(args []string) error {
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	command, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	err = syscall.Setresgid(id, id, id)
	if err == syscall.EINVAL {
		err = powerless()
	} else {
		err = errors.Join(err, syscall.Setgroups(nil), syscall.Setresuid(id, id, id))
	}
	if err != nil {
		return err
	}
	return syscall.Exec(command, args[1:], os.Environ())
}

// powerless gives up all capabilities for good: capabilities(7), "Securebits". One stays, without which root may not be
// mapped into a user namespace within (user_namespaces(7)).
func powerless() error {
	const noRoot, noRootLocked = 1 << 0, 1 << 1
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot|noRootLocked, 0, 0, 0); err != nil {
		return err
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const bit = 1 << unix.CAP_SETFCAP
	d := [2]unix.CapUserData{{Effective: bit, Permitted: bit, Inheritable: bit}}
	if err := unix.Capset(&h, &d[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SETFCAP, 0, 0)
}

// rootly runs a command as root in a user namespace, where an ordinary user may make one; else as it is.
func rootly(args []string) error {
	run := func(sys *syscall.SysProcAttr) error {
		c := exec.Command(args[0], args[1:]...)
		c.Stdin, c.Stdout, c.Stderr, c.SysProcAttr = os.Stdin, os.Stdout, os.Stderr, sys
		if err := c.Start(); err != nil {
			return err
		}
		c.Wait()
		os.Exit(c.ProcessState.ExitCode())
		return nil
	}
	id := func(host int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: host, Size: 1}} }
	err := run(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: id(os.Getuid()), GidMappings: id(os.Getgid()),
		Pdeathsig: syscall.SIGKILL})
	fmt.Fprintln(os.Stderr, "no user namespace:", err)
	return run(nil)
}
