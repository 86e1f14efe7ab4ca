package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A fault is trouble for a while. It returns when that is over and all is as before; what it draws of r, it draws at once.
type fault struct {
	name string
	make func(s *soak, r *rand.Rand, lasts time.Duration) error
}

// faults are what a machine does to programs. There is one more: see unsteadyClock.
var faults = []fault{
	{"process stopped", func(s *soak, r *rand.Rand, lasts time.Duration) error {
		unix.Kill(s.family[r.IntN(len(s.family))], unix.SIGSTOP)
		time.Sleep(lasts)
		return s.goOn()
	}},
	{"job suspended", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		unix.Kill(-s.chain.Process.Pid, unix.SIGTSTP)
		time.Sleep(lasts)
		return s.goOn()
	}},
	{"traffic suspended", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		for _, p := range descendants(s.traffic) {
			unix.Kill(p, unix.SIGSTOP)
		}
		time.Sleep(lasts)
		return s.goOn()
	}},
	{"disk full", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		f, err := os.Create(s.onDisk() + "/ballast")
		if err != nil {
			return err
		}
		if _, err = io.CopyN(f, zeros{}, 2*diskSize); !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("the disk does not fill: %v", err)
		}
		time.Sleep(lasts)
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}},
	{"sysctl changed", func(s *soak, r *rand.Rand, lasts time.Duration) error {
		c, pid := sysctls[r.IntN(len(sysctls))], s.anywhere(r)
		return s.command(pid, "probe", "sysctl", c.path, c.value, lasts.String())
	}},
	{"host became a router, and no more", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		return s.command(s.chain.Process.Pid, "probe", "sysctl", "ipv4/ip_forward", "1", lasts.String())
	}},
	{"parent interface down", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		return s.command(s.chain.Process.Pid, "probe", "device", "eth0", "down", lasts.String())
	}},
	{"parent interface mtu", func(s *soak, r *rand.Rand, lasts time.Duration) error {
		return s.command(s.chain.Process.Pid, "probe", "device", "eth0", "mtu", fmt.Sprint(1280+r.IntN(220)), lasts.String())
	}},
	{"tool's interface down", func(s *soak, r *rand.Rand, lasts time.Duration) error {
		pid := s.tools[r.IntN(len(s.tools))]
		return s.command(pid, "probe", "device", s.deviceOf(pid), "down", lasts.String())
	}},
	{"tool's interface mtu", func(s *soak, r *rand.Rand, lasts time.Duration) error {
		pid, mtu := s.tools[r.IntN(len(s.tools))], 1280+r.IntN(220)
		return s.command(pid, "probe", "device", s.deviceOf(pid), "mtu", fmt.Sprint(mtu), lasts.String())
	}},
	{"memory taken", func(s *soak, _ *rand.Rand, lasts time.Duration) error {
		var err error
		for _, p := range append(append([]int(nil), s.tools...), s.gateway...) {
			err = errors.Join(err, pageOut(p))
		}
		time.Sleep(lasts)
		return err
	}},
}

// sysctls are settings that others may change, and programs get along with, though not as fast.
var sysctls = []struct{ path, value string }{
	{"ipv4/ip_default_ttl", "40"},
	{"ipv4/tcp_rmem", "4096 8192 16384"},
	{"ipv4/tcp_wmem", "4096 8192 16384"},
	{"ipv4/tcp_sack", "0"},
	{"ipv4/tcp_timestamps", "0"},
	{"ipv4/tcp_ecn", "1"},
	{"ipv4/tcp_mtu_probing", "2"},
	{"ipv4/icmp_ratelimit", "0"},
	{"ipv4/conf/all/rp_filter", "1"},
	{"ipv4/ip_local_port_range", "40000 40100"},
	{"ipv6/conf/all/hop_limit", "40"},
	{"ipv6/conf/all/accept_ra", "2"},
	{"netfilter/nf_conntrack_udp_timeout", "1"},
	{"netfilter/nf_conntrack_checksum", "0"},
	{"netfilter/nf_conntrack_tcp_loose", "0"},
	{"netfilter/nf_conntrack_tcp_be_liberal", "1"},
}

// notHere is how often happens what nobody lets us do.
const notHere = -1

// clockSteps is the fault that comes by itself.
const clockSteps = "clock stepped"

// trouble makes one fault, or lets the network be in peace if there is no time for one. All have their turn before one
// comes again.
func (s *soak) trouble(t testing.TB, r *rand.Rand, left time.Duration) {
	t.Helper()
	pause, lasts := time.Duration(100+r.IntN(500))*time.Millisecond, time.Duration(20+r.IntN(1200))*time.Millisecond
	if len(s.next) == 0 {
		s.next = r.Perm(len(faults))
	}
	f := faults[s.next[0]]
	if left < pause {
		time.Sleep(left)
		return
	}
	time.Sleep(pause)
	s.next = s.next[1:]
	switch err := f.make(s, r, min(lasts, left)); {
	case errors.Is(err, unix.EPERM): // root in a user namespace may not do all
		t.Logf("%s: %v", f.name, err)
		s.happened[f.name] = notHere
	case err != nil:
		t.Errorf("%s: %v", f.name, err)
	default:
		s.happened[f.name]++
	}
}

func (s *soak) tellFaults() {
	for _, f := range append(faults, fault{name: clockSteps}) {
		s.t.Logf("%-34s %4d times", f.name, s.happened[f.name])
		if s.long && s.happened[f.name] == 0 {
			s.t.Errorf("there never was: %s", f.name)
		}
	}
}

// anywhere is a process in the host's namespace or a container's.
func (s *soak) anywhere(r *rand.Rand) int {
	all := append([]int{s.chain.Process.Pid, s.traffic}, s.tools...)
	return all[r.IntN(len(all))]
}

// command runs a command where a process is.
func (s *soak) command(pid int, args ...string) error {
	if out, err := s.at(pid, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// deviceOf is the name of a tool's device in its parent's namespace.
func (s *soak) deviceOf(pid int) string {
	for _, line := range strings.Split(readProc(s.t, pid, "net/dev"), "\n") {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if isDeviceOf(name, pid) {
			return name
		}
	}
	return ""
}

// isDeviceOf says whether a device is called after a process: its name ends with that number, perhaps with a letter.
func isDeviceOf(name string, pid int) bool {
	return strings.HasSuffix(strings.TrimRight(name, "abcdef"), fmt.Sprint("-", pid))
}

// goOn continues all processes, as a shell's fg does, and wants them to have gone on soon.
func (s *soak) goOn() error {
	all := append(append([]int(nil), s.family...), descendants(s.traffic)...)
	for _, p := range all {
		unix.Kill(p, unix.SIGCONT)
	}
	var stopped []string
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stopped = nil
		for _, p := range all {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
			if _, rest, _ := strings.Cut(string(b), ") "); strings.HasPrefix(rest, "T") {
				stopped = append(stopped, fmt.Sprint(p, " ", comm(p)))
			}
		}
		if stopped == nil {
			return nil
		}
	}
	for _, p := range all {
		unix.Kill(p, unix.SIGCONT)
	}
	return fmt.Errorf("continued, and yet stopped: %v", stopped)
}

// pageOut takes a process's pages from it, as the kernel does when memory is short: process_madvise(2). Those of files it
// reads again, the others come back from swap where there is some. Memory really made short would be so for others too.
func pageOut(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "maps"))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(b), "\n") {
		var from, to uint64
		if n, _ := fmt.Sscanf(line, "%x-%x", &from, &to); n < 2 || strings.Contains(line, "[v") { // vdso, vsyscall
			continue
		}
		area := [2]uint64{from, to - from} // an iovec
		_, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&area)), 1, unix.MADV_PAGEOUT, 0, 0)
		if errno != 0 && errno != unix.EINVAL && errno != unix.ENOMEM { // locked, or gone meanwhile
			return fmt.Errorf("process_madvise: %w", errno)
		}
	}
	return nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
