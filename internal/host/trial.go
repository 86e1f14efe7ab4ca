package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Trial is what became of doing for a moment what the tools do: new namespaces, and in them the loopback device, a
// packet device, mounts and NAT. Errors are nil or have an errno.
type Trial struct {
	Start, Loopback, Mounts, Device, NFTables error

	Rmem, Wmem int // the greatest TCP buffers in a new network namespace, in bytes; 0 if unknown
}

// inside says whether there were namespaces to try more in.
func (t Trial) inside() bool { return t.Start == nil && t.Loopback == nil }

// trialName is what the process is called that does it: this program again, in namespaces that go with it.
const trialName = "gm-trial"

// IsTrial says whether this process was started to be tried in. A program that calls Findings calls RunTrial then, first
// of all.
func IsTrial() bool { return len(os.Args) == 1 && os.Args[0] == trialName }

// try starts it. Unprivileged is with a user namespace of its own, in which the user and group stay the same.
func try(unprivileged bool) (t Trial) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Args = []string{trialName}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN},
	}
	if unprivileged {
		uid, gid := os.Geteuid(), os.Getegid()
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	out, err := c.Output()
	if err != nil {
		return Trial{Start: err}
	}
	return parseTrial(out)
}

// RunTrial is the process in the new namespaces. It returns the exit status.
func RunTrial(w io.Writer) int {
	fmt.Fprintln(w, "loopback", number(LoopbackUp()))
	fmt.Fprintln(w, "mounts", number(tryMounts()))
	fmt.Fprintln(w, "device", number(tryDevice()))
	fmt.Fprintln(w, "nftables", number(tryNFTables()))
	here := Machine{Files: os.DirFS("/")}
	fmt.Fprintln(w, "rmem", here.greatest("/proc/sys/net/ipv4/tcp_rmem"))
	fmt.Fprintln(w, "wmem", here.greatest("/proc/sys/net/ipv4/tcp_wmem"))
	return 0
}

// number is an error's errno; that of one that has none is EIO.
func number(err error) int {
	var errno unix.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return int(errno)
	}
	return int(unix.EIO)
}

// parseTrial reads what RunTrial wrote: a word and a number to a line.
func parseTrial(out []byte) (t Trial) {
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		word, value, _ := strings.Cut(s.Text(), " ")
		n, err := strconv.Atoi(value)
		if err != nil {
			continue
		}
		var failed error
		if n != 0 {
			failed = unix.Errno(n)
		}
		switch word {
		case "loopback":
			t.Loopback = failed
		case "mounts":
			t.Mounts = failed
		case "device":
			t.Device = failed
		case "nftables":
			t.NFTables = failed
		case "rmem":
			t.Rmem = n
		case "wmem":
			t.Wmem = n
		}
	}
	return t
}

// LoopbackUp brings up the loopback device of the calling thread's network namespace. It needs CAP_NET_ADMIN there: with
// AppArmor's restriction (Ubuntu 23.10) a user's namespaces are made, but this fails.
func LoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// tryMounts mounts as the tools do over /etc/resolv.conf.
func tryMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	return unix.Mount("gomahi", "/etc", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k")
}

func tryDevice() error {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("trial")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
}
