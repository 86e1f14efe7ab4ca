package host

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Machine is what the checks look at. Here is this one; tests make up others.
type Machine struct {
	Files   fs.FS  // what is at /
	Release string // the kernel's, as "uname -r" says
	UID     int
	GIDs    []int
	Caps    uint64 // effective capabilities, a bit each
	CPUs    int    // that this process may use

	OpenTun   func() error                                           // for reading and writing, and closes it
	Writable  func(path string) bool                                 // a file that is there
	Try       func(unprivileged bool) Trial                          // does for a moment what the tools do
	Ask       func(server netip.Addr) error                          // a name server, for a name
	Oversleep func(n int, each time.Duration) (late []time.Duration) // how late each of n sleeps ended
}

// Here is this machine, as this process sees it.
func Here() *Machine {
	var u unix.Utsname
	unix.Uname(&u)
	gids, _ := os.Getgroups()
	return &Machine{
		Files: os.DirFS("/"), Release: unix.ByteSliceToString(u.Release[:]),
		UID: os.Geteuid(), GIDs: append(gids, os.Getegid()), Caps: capabilities(), CPUs: runtime.NumCPU(),
		OpenTun: openTun, Try: try, Ask: ask, Oversleep: oversleep,
		Writable: func(path string) bool { return unix.Access(path, unix.W_OK) == nil },
	}
}

// Privileged says whether root's way is open: NAT in the kernel.
func (m *Machine) Privileged() bool { return m.Caps&needed == needed }

// Findings are those of all checks. It takes about a second; offline keeps it from asking name servers.
func (m *Machine) Findings(offline bool) []Finding {
	t := m.Try(!m.Privileged())
	out := []Finding{m.Kernel(), m.way(), m.namespaces(t)}
	if m.Privileged() {
		out = append(out, m.others())
	}
	out = append(out, m.tried(t))
	if t.inside() {
		out = append(out, Mounts(t.Mounts), NFTables(t.NFTables))
	}
	return append(out, m.ipv6(), m.resolver(offline), m.certificates(), m.pings(), m.buffers(t), m.clock(), m.timers(), m.cpus())
}

// WhyNot is the first finding that stops the tools from starting, nil if none is known. It only looks: what a trial
// would show it does not know.
func WhyNot(unprivileged bool) *Finding { return Here().whyNot(unprivileged) }

func (m *Machine) whyNot(unprivileged bool) *Finding {
	way := m.Privilege
	if unprivileged {
		way = func() Finding { return m.UserNamespaces(nil) }
	}
	for _, check := range []func() Finding{m.Kernel, way, m.Tun} {
		if f := check(); f.stops() {
			return &f
		}
	}
	return nil
}

// read returns a file's content without the white space around it, "" where there is none.
func (m *Machine) read(path string) string {
	b, _ := fs.ReadFile(m.Files, path[1:])
	return strings.TrimSpace(string(b))
}

func (m *Machine) exists(path string) bool {
	_, err := fs.Stat(m.Files, path[1:])
	return !errors.Is(err, fs.ErrNotExist)
}

// number is a file's first number; ok is false where there is none.
func (m *Machine) number(path string) (n int, ok bool) {
	f := strings.Fields(m.read(path))
	if len(f) == 0 {
		return 0, false
	}
	n, err := strconv.Atoi(f[0])
	return n, err == nil
}

// status is a field of /proc/self/status.
func (m *Machine) status(field string) string {
	for line := range strings.Lines(m.read("/proc/self/status")) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// container is what kind of container this is, such as docker; "" if it seems to be none. A whole machine may have been
// made from a container's image, so what the image says counts in a PID namespace of its own alone.
func (m *Machine) container() string {
	const first = "pid:[4026531836]" // PROC_PID_INIT_INO, include/linux/proc_ns.h
	pid, _ := fs.ReadLink(m.Files, "proc/self/ns/pid")
	switch {
	case pid == first:
		return ""
	case m.exists("/.dockerenv"):
		return "docker"
	case m.exists("/run/.containerenv"):
		return "podman"
	}
	return m.read("/run/systemd/container") // systemd's name for it, from whoever started it
}

// setting makes a finding's mends set a sysctl, now and at every start.
func (f *Finding) setting(sysctls ...string) {
	f.Mend = "sudo sysctl -w " + strings.Join(quoted(sysctls), " ")
	f.Keep = `printf '%s\n' ` + strings.Join(quoted(sysctls), " ") + " | sudo tee -a /etc/sysctl.d/60-gomahi.conf"
}

func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w; strings.ContainsAny(w, " \t") {
			out[i] = "'" + w + "'"
		}
	}
	return out
}
