package host

import (
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// files are paths and contents; those of others come over them.
type files map[string]string

// usual is a machine on which everything is as it should be.
var usual = files{
	"/proc/self/ns/user":                                               "",
	"/proc/self/status":                                                "Name:\tgm\nSeccomp:\t0\n",
	"/proc/self/mountinfo":                                             "22 1 0:20 / / rw - ext4 /dev/vda rw\n",
	"/proc/sys/user/max_user_namespaces":                               "9000\n",
	"/proc/sys/user/max_net_namespaces":                                "9000\n",
	"/proc/sys/user/max_mnt_namespaces":                                "9000\n",
	"/proc/sys/net/ipv6/conf/all/forwarding":                           "0\n",
	"/proc/sys/net/ipv4/tcp_rmem":                                      "4096\t131072\t33554432\n",
	"/proc/sys/net/ipv4/tcp_wmem":                                      "4096\t16384\t33554432\n",
	"/proc/sys/net/ipv4/ping_group_range":                              "0\t2147483647\n",
	"/etc/resolv.conf":                                                 "nameserver 192.0.2.53\n",
	"/etc/ssl/certs/ca-certificates.crt":                               "trusted\n",
	"/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
}

const root = needed

// made makes a machine of files over the usual ones; content "gone" takes one away.
func made(caps uint64, more files) *Machine {
	all := maps.Clone(usual)
	maps.Copy(all, more)
	tree := fstest.MapFS{}
	for path, content := range all {
		if content == "gone" {
			continue
		}
		file := &fstest.MapFile{Data: []byte(content), Mode: 0o644}
		if target, is := strings.CutPrefix(content, "-> "); is {
			file = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		}
		tree[path[1:]] = file
	}
	return &Machine{
		Files: tree, Release: "6.1.0-28-amd64", UID: 1000, GIDs: []int{1000}, Caps: caps, CPUs: 4,
		OpenTun:   func() error { return nil },
		Writable:  func(string) bool { return true },
		Try:       func(bool) Trial { return Trial{} },
		Ask:       func(netip.Addr) error { return nil },
		Oversleep: func(n int, _ time.Duration) []time.Duration { return make([]time.Duration, n) },
	}
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestErr(t *testing.T) {
	for _, row := range []struct {
		name string
		f    Finding
		want string
	}{
		{"everything", Finding{Means: "cannot fly", Says: "there are no wings", Mend: "grow some"},
			"cannot fly: there are no wings\nhint: grow some; gm-doctor tells more"},
		{"no mend", Finding{Says: "there are no wings"}, "there are no wings\nhint: gm-doctor tells more"},
	} {
		t.Run(row.name, func(t *testing.T) { same(t, row.want, row.f.Err().Error()) })
	}
	if err := (Finding{OK: true, Says: "wings"}).Err(); err != nil {
		t.Error(err)
	}
}

func TestWorks(t *testing.T) {
	for _, row := range []struct {
		name string
		f    Finding
		want bool
	}{
		{"fine", Finding{OK: true, Vital: true}, true},
		{"limited", Finding{}, true},
		{"stopped", Finding{Vital: true}, false},
	} {
		t.Run(row.name, func(t *testing.T) { same(t, row.want, Works([]Finding{{OK: true}, row.f, {OK: true}})) })
	}
}

// On the usual machine nothing is amiss, whichever the way.
func TestFindings(t *testing.T) {
	for _, row := range []struct {
		name string
		caps uint64
		more files
		want []string
	}{
		{"root", root, files{"/proc/sys/net/ipv6/conf/all/force_forwarding": "0\n"}, []string{"kernel", "way out", "namespaces",
			"user namespaces", "packet devices", "mounts", "nftables", "IPv6", "resolver", "certificates", "pings", "TCP buffers", "clock",
			"timers", "CPUs"}},
		{"ordinary user", 0, nil, []string{"kernel", "way out", "user namespaces", "packet devices", "mounts", "nftables",
			"IPv6", "resolver", "certificates", "pings", "TCP buffers", "clock", "timers", "CPUs"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var names []string
			for _, f := range made(row.caps, row.more).Findings(false) {
				names = append(names, f.Name)
				if !f.OK || f.Says == "" || f.Means != "" || f.Mend != "" || f.Keep != "" {
					t.Errorf("%+v", f)
				}
			}
			same(t, row.want, names)
		})
	}
}

// What is tried in namespaces is not judged where there were none.
func TestFindingsWithoutNamespaces(t *testing.T) {
	m := made(0, nil)
	m.Try = func(unprivileged bool) Trial {
		if !unprivileged {
			t.Error("root's way was tried")
		}
		return Trial{Start: unix.EPERM}
	}
	for _, f := range m.Findings(true) {
		switch {
		case f.Name == "mounts", f.Name == "nftables":
			t.Errorf("there is a finding of %s", f.Name)
		case f.stops() != (f.Name == "user namespaces"):
			t.Errorf("%+v", f)
		}
	}
}

func TestCertificates(t *testing.T) {
	f := made(0, files{"/etc/ssl/certs/ca-certificates.crt": "gone", "/etc/ssl/cert.pem": "trusted\n"}).certificates()
	same(t, Finding{Name: "certificates", OK: true, Says: "trusted ones are in /etc/ssl/cert.pem"}, f)
	f = made(0, files{"/etc/ssl/certs/ca-certificates.crt": "gone"}).certificates()
	if f.OK || f.Vital || f.Mend == "" {
		t.Errorf("%+v", f)
	}
}

func TestKernel(t *testing.T) {
	for _, row := range []struct {
		release string
		ok      bool
	}{
		{"5.12.0", true}, {"5.11.22-generic", false}, {"4.19.0-27-amd64", false}, {"6.18.44-fc-v445", true},
		{"10.0-rc1", true}, {"5.4", false}, {"unknown", false},
	} {
		t.Run(row.release, func(t *testing.T) {
			m := made(0, nil)
			m.Release = row.release
			f := m.Kernel()
			same(t, row.ok, f.OK)
			same(t, row.ok, f.Mend == "")
		})
	}
}

func TestPrivilege(t *testing.T) {
	for _, row := range []struct {
		name string
		caps uint64
		want string
	}{
		{"none", 1 << unix.CAP_NET_RAW, "cannot make network namespaces and devices: this process has neither CAP_NET_ADMIN nor CAP_SYS_ADMIN\n" +
			"hint: run it as root (sudo), or in a container started with --cap-add NET_ADMIN --cap-add SYS_ADMIN --device /dev/net/tun; gm-doctor tells more"},
		{"of the network alone", 1 << unix.CAP_NET_ADMIN, "cannot make network namespaces and devices: this process lacks CAP_SYS_ADMIN\n" +
			"hint: start the container with --cap-add SYS_ADMIN; gm-doctor tells more"},
		{"of the system alone", 1 << unix.CAP_SYS_ADMIN, "cannot make network namespaces and devices: this process lacks CAP_NET_ADMIN\n" +
			"hint: start the container with --cap-add NET_ADMIN; gm-doctor tells more"},
	} {
		t.Run(row.name, func(t *testing.T) { same(t, row.want, made(row.caps, nil).Privilege().Err().Error()) })
	}
	same(t, nil, made(root, nil).Privilege().Err())
}

func TestCPUs(t *testing.T) {
	for _, row := range []struct {
		name string
		cpus int
		max  string
		want float64
	}{
		{"four", 4, "gone", 4}, {"one", 1, "gone", 1}, {"no quota", 4, "max 100000\n", 4},
		{"a quota", 4, "150000 100000\n", 1.5}, {"a wide quota", 2, "800000 100000\n", 2}, {"nonsense", 2, "1 0\n", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(0, files{"/sys/fs/cgroup/cpu.max": row.max})
			m.CPUs = row.cpus
			f := m.cpus()
			same(t, map[string]float64{"cpus": row.want}, f.Figures)
			same(t, row.want >= 2, f.OK)
		})
	}
}

func TestContainer(t *testing.T) {
	for _, row := range []struct {
		name string
		more files
		want string
	}{
		{"none", nil, ""},
		{"docker", files{"/.dockerenv": ""}, "docker"},
		{"podman", files{"/run/.containerenv": ""}, "podman"},
		{"nspawn", files{"/run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"},
		{"a machine made of an image", files{"/.dockerenv": "", "/proc/self/ns/pid": "-> pid:[4026531836]"}, ""},
		{"docker's PID namespace", files{"/.dockerenv": "", "/proc/self/ns/pid": "-> pid:[4026532212]"}, "docker"},
	} {
		t.Run(row.name, func(t *testing.T) { same(t, row.want, made(0, row.more).container()) })
	}
}

func TestTun(t *testing.T) {
	docker := files{"/.dockerenv": ""}
	for _, row := range []struct {
		name string
		err  error
		more files
		want Finding
	}{
		{"open", nil, nil, Finding{OK: true, Says: "/dev/net/tun is open"}},
		{"not there", unix.ENOENT, nil, Finding{Says: "there is no /dev/net/tun", Mend: "sudo modprobe tun",
			Keep: "echo tun | sudo tee /etc/modules-load.d/tun.conf"}},
		{"not in a container", unix.ENOENT, docker, Finding{Says: "there is no /dev/net/tun",
			Mend: "start the container with --device /dev/net/tun"}},
		{"without a driver", unix.ENODEV, docker, Finding{Says: "/dev/net/tun has no driver", Mend: "sudo modprobe tun",
			Keep: "echo tun | sudo tee /etc/modules-load.d/tun.conf"}},
		{"root's own", unix.EACCES, nil, Finding{Says: "/dev/net/tun is not open to you (mode 0600, owner root)",
			Mend: "sudo chmod 0666 /dev/net/tun",
			Keep: `echo 'KERNEL=="tun", MODE="0666", OPTIONS+="static_node=net/tun"' | sudo tee /etc/udev/rules.d/60-tun.rules`}},
		{"root's own in a container", unix.EACCES, docker, Finding{Says: "/dev/net/tun is not open to you (mode 0600, owner root)",
			Mend: "sudo chmod 0666 /dev/net/tun", Keep: "do that on the host too: --device copies the mode"}},
		{"not among the container's devices", unix.EPERM, nil, Finding{
			Says: "/dev/net/tun is there, but the container may not use it", Mend: "start the container with --device /dev/net/tun"}},
		{"another error", unix.EMFILE, nil, Finding{Says: "opening /dev/net/tun: too many open files",
			Mend: "sudo dmesg (it may say why)"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(0, row.more)
			m.OpenTun = func() error { return row.err }
			m.Files.(fstest.MapFS)["dev/net/tun"] = &fstest.MapFile{Mode: fs.ModeCharDevice | 0o600, Sys: &syscall.Stat_t{Uid: 0}}
			row.want.Name, row.want.Vital = "packet devices", true
			if !row.want.OK {
				row.want.Means = "cannot make packet devices"
			}
			same(t, row.want, m.Tun())
		})
	}
}

func TestTunMode(t *testing.T) {
	for _, row := range []struct {
		name string
		uid  uint32
		want string
	}{
		{"root's", 0, ", owner root"}, {"another's", 7, ", owner 7"}, {"one that is not mapped here", 65534, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(0, nil)
			m.Files.(fstest.MapFS)["dev/net/tun"] = &fstest.MapFile{Mode: 0o640, Sys: &syscall.Stat_t{Uid: row.uid}}
			mode, owner, ok := m.tunMode()
			same(t, fs.FileMode(0o640), mode)
			same(t, row.want, owner)
			same(t, true, ok)
		})
	}
	if _, _, ok := made(0, nil).tunMode(); ok {
		t.Error("a mode of nothing")
	}
}

// Root is told that others may not, and what opens is not fine yet if it makes no device.
func TestTunForOthers(t *testing.T) {
	m := made(root, nil)
	m.UID = 0
	m.Files.(fstest.MapFS)["dev/net/tun"] = &fstest.MapFile{Mode: 0o600, Sys: &syscall.Stat_t{}}
	f := m.Tun()
	same(t, Finding{Name: "packet devices", OK: true, Vital: true,
		Says: "/dev/net/tun is open, but not to ordinary users (mode 0600)"}, f)
	f = m.tried(Trial{Device: errors.New("no more")})
	same(t, "/dev/net/tun opens, but makes none: no more", f.Says)
	same(t, true, f.stops())
}
