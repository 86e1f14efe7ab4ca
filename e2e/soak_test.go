package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/report"
)

// The environment of "make soak": how long all takes, the seed, and as whom: "1" as an ordinary user alone, "0" as root
// alone. Without the first there is no soak: it takes long, since the network must come to rest now and then.
const (
	soakVar     = "SOAK"
	soakSeedVar = "SOAK_SEED"
	soakUserVar = "SOAK_USER"
)

// A chain carries every kind of traffic while the machine around it is trouble (see faults), nested and in one process. At
// the end every packet is accounted for, within levels and between them, memory is where it was, and nothing stays.
func TestSoak(t *testing.T) {
	long, only := os.Getenv(soakVar), os.Getenv(soakUserVar)
	if long == "" || only != "" && (only == "1") != asUser {
		return
	}
	lasts, err := time.ParseDuration(long)
	if err != nil {
		t.Fatalf("%s: %v", soakVar, err)
	}
	lasts /= 2
	if only == "" {
		lasts /= 2 // the other half as somebody else
	}
	t.Setenv("PATH", unsteadyClock(t)+":"+os.Getenv("PATH"))
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(soakSeedVar); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("%s: %v", soakSeedVar, err)
		}
	}
	for _, way := range []struct {
		name string
		fuse string
	}{{"nested", "0"}, {"fused", "1"}} {
		t.Run(way.name, func(t *testing.T) {
			t.Logf("%s=%d, for %v", soakSeedVar, seed, lasts)
			newSoak(t, seed, way.fuse).run(lasts)
		})
	}
}

// soak is one run.
type soak struct {
	*lab
	long     bool // enough for all that is random to have happened
	seed     uint64
	dir      string // of files that the run writes
	disk     string // a small one, under the link's logs
	chain    *exec.Cmd
	said     bytes.Buffer // on standard error
	in       io.Writer    // of the traffic
	out      *bufio.Scanner
	family   []int // all processes: the caller's child first, then its child, and so on
	tools    []int // those of them that carry packets, the outermost first
	gateway  []int // for an ordinary user
	traffic  int   // the command
	happened map[string]int
	next     []int             // faults whose turn has yet to come
	resident []map[int]float64 // of tools and gateway, in MB, at quiet moments
}

const (
	diskSize = 24 << 20
	levels   = 5
)

// newSoak starts a chain.
func newSoak(t *testing.T, seed uint64, fuse string) *soak {
	l := newLab(t)
	s := &soak{lab: l, seed: seed, dir: temp(t), happened: map[string]int{}}
	s.disk = filepath.Join(s.dir, "disk")
	for _, d := range []string{"disk", "tmp"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
		os.Chmod(filepath.Join(s.dir, d), 0o777)
	}
	l.hostly("mount", "-t", "tmpfs", "-o", fmt.Sprint("mode=777,size=", diskSize), "tmpfs", s.disk)
	traces, err := filepath.Abs("../traces")
	if err != nil {
		t.Fatal(err)
	}
	s.chain = l.run("env", "GM_FUSE="+fuse, "GM_REPORT_DIR="+s.dir+"/reports", "TMPDIR="+s.dir+"/tmp",
		"gm-delay", "5", "gm-loss", "both", "0.5%", fmt.Sprint("--seed=", seed),
		"gm-duplicate", "both", "0.5%", fmt.Sprint("--seed=", seed), "gm-corrupt", "both", "0.1%", fmt.Sprint("--seed=", seed),
		"gm-link", traces+"/lte-driving.up", traces+"/wifi-outages.down",
		"--uplink-queue=droptail", "--uplink-queue-args=packets=200", "--downlink-queue=codel", "--downlink-queue-args=packets=500",
		"--uplink-log="+s.disk+"/up.log", "--downlink-log="+s.disk+"/down.log", "--uplink-pcap="+s.disk+"/up.pcapng",
		"--events="+s.disk+"/events", "--",
		"sh", "-c", fmt.Sprintf("exec probe traffic -seed %d 192.0.2.1 2001:db8:1::1 $GM_BASE $GM_BASE6", seed))
	s.chain.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.chain.Stderr = &s.said
	if s.in, err = s.chain.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.chain.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewScanner(out)
	return s
}

// hostly runs a command on the host as root, which must succeed.
func (l *lab) hostly(args ...string) {
	l.t.Helper()
	output(l.t, l.host(args...))
}

func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

// start waits for the chain, and learns its processes.
func (s *soak) start(t testing.TB) {
	if err := s.chain.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.chain.Process.Kill() })
	s.hear(t, "ready")
	s.family = append([]int{s.chain.Process.Pid}, descendants(s.chain.Process.Pid)...)
	for _, p := range s.family {
		switch name := comm(p); {
		case name == "gm-gateway":
			s.gateway = append(s.gateway, p)
		case strings.HasPrefix(name, "gm-"):
			s.tools = append(s.tools, p)
		case name == "probe":
			s.traffic = p
		}
	}
	if asUser {
		s.tools = s.tools[1:] // that one waits outside
	}
	// What waits for lost fragments is gone when the traffic is.
	for _, pid := range append([]int{s.traffic}, s.tools...) {
		for _, path := range []string{"ipv4/ipfrag_time", "ipv6/ip6frag_time", "netfilter/nf_conntrack_frag6_timeout"} {
			s.at(pid, "sh", "-c", "echo 1 > /proc/sys/net/"+path).Run()
		}
	}
	s.server("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ipfrag_time; echo 1 > /proc/sys/net/ipv6/ip6frag_time").Run()
}

// at is a command in the network and mounts of a process.
func (s *soak) at(pid int, args ...string) *exec.Cmd {
	return exec.Command("probe", append([]string{"enter", "host", fmt.Sprint(pid), "0"}, args...)...)
}

// hear waits for a line of the traffic's.
func (s *soak) hear(t testing.TB, want string) (others []string) {
	t.Helper()
	for s.out.Scan() {
		if s.out.Text() == want {
			return others
		}
		others = append(others, s.out.Text())
	}
	t.Fatalf("the chain ended before it was %q: %v\n%s", want, others, s.said.String())
	return nil
}

func (s *soak) tell(line string) { fmt.Fprintln(s.in, line) }

// run is all of it.
func (s *soak) run(lasts time.Duration) {
	t := s.t
	s.long = lasts >= time.Minute
	before := s.state()
	s.start(t)
	s.quiet(t)
	first := s.counters(t)
	began, clock := time.Now(), monotonic()
	r := rand.New(rand.NewPCG(s.seed, 0))
	rounds := 2
	if s.long {
		rounds = 8
	}
	var said []string
	for n := range rounds {
		s.tell("go")
		said = append(said, s.hear(t, "go")...)
		for end := began.Add(lasts * time.Duration(n+1) / time.Duration(rounds)); time.Now().Before(end); {
			s.trouble(t, r, time.Until(end))
		}
		s.tell("quiet")
		said = append(said, s.hear(t, "quiet")...)
		s.quiet(t)
		s.measure()
	}
	last := s.counters(t)
	s.happened[clockSteps] = int(unsteadySteps(monotonic()) - unsteadySteps(clock))
	took := time.Since(began)
	s.tell("end")
	for s.out.Scan() {
		said = append(said, s.out.Text())
	}
	s.chain.Wait()

	s.judgeTraffic(said)
	s.judgeReports(first, last, took)
	s.judgeMemory()
	s.judgeRemains(before)
	s.tellFaults()
}

func monotonic() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}

// quiet waits until nothing moves in the network.
func (s *soak) quiet(t testing.TB) {
	t.Helper()
	last, since := "", time.Now()
	for end := time.Now().Add(90 * time.Second); time.Since(since) < 1200*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		now := s.moved(t)
		if now != last || s.open(t) > 0 {
			last, since = now, time.Now()
		}
		if time.Now().After(end) {
			t.Fatalf("90 s after the traffic ended there still is some: %d connections open", s.open(t))
		}
	}
}

// moved is different when anything has crossed a device.
func (s *soak) moved(t testing.TB) (all string) {
	for _, p := range append([]int{s.traffic}, s.tools...) {
		all += readProc(t, p, "net/dev")
	}
	return all
}

// open counts TCP connections in the innermost container that are not done.
func (s *soak) open(t testing.TB) (n int) {
	const timeWait, listen = "06", "0A"
	for _, file := range []string{"net/tcp", "net/tcp6"} {
		for _, line := range strings.Split(readProc(t, s.traffic, file), "\n")[1:] {
			if f := strings.Fields(line); len(f) > 3 && f[3] != timeWait && f[3] != listen {
				n++
			}
		}
	}
	return n
}

// measure notes how much memory is resident.
func (s *soak) measure() {
	now := map[int]float64{}
	for _, p := range append(slices.Clone(s.tools), s.gateway...) {
		now[p] = number(s.t, readProc(s.t, p, "status"), `VmRSS:\s+(\d+) kB`) / 1000
	}
	s.resident = append(s.resident, now)
}

// judgeTraffic wants every kind to have come through at times, and nothing to have come that was not sent.
func (s *soak) judgeTraffic(said []string) {
	n := 0
	for _, line := range said {
		var kind string
		var good, bad int
		switch _, err := fmt.Sscanf(line, "traffic %s %d %d", &kind, &good, &bad); {
		case err == nil:
			n++
			s.t.Logf("%-12s %5d came to their end, %d did not", kind, good, bad)
			if s.long && good == 0 {
				s.t.Errorf("no %s ever came through", kind)
			}
		case strings.HasPrefix(line, "failed: "):
			s.t.Log(line)
		default:
			s.t.Error(line)
		}
	}
	if n == 0 {
		s.t.Error("the traffic said nothing at its end")
	}
}

// judgeReports adds up.
func (s *soak) judgeReports(first, last []*counters, took time.Duration) {
	t := s.t
	files, _ := filepath.Glob(s.dir + "/reports/*.json")
	if len(files) != levels {
		t.Fatalf("%d reports, want %d; %s", len(files), levels, s.said.String())
	}
	var reports []*report.Report
	for _, f := range files {
		r := readReport(t, f)
		reports = append(reports, r)
		for name, d := range map[string]*report.Direction{"uplink": &r.Uplink, "downlink": &r.Downlink} {
			t.Logf("%s %s: %d packets in, %d added, %d out, dropped %v, %d refused, %d unread, %d late", r.Tool, name, d.In.Packets,
				d.Added, d.Out.Packets, d.Dropped, d.Refused, d.Unread, d.Late)
			if d.Undelivered != 0 {
				t.Errorf("%s %s: %d packets in a link that has nothing to do", r.Tool, name, d.Undelivered)
			}
			bytes := d.In.Bytes - d.Out.Bytes
			for _, n := range d.Dropped {
				bytes -= n.Bytes
			}
			if bytes != 0 && d.Added == 0 {
				t.Errorf("%s %s: %d bytes are unaccounted for", r.Tool, name, int64(bytes))
			}
		}
		if d := r.Seconds() - took.Seconds(); d < 0 || d > 30 {
			t.Errorf("%s: its report says that it took %.1f s, and the traffic alone was %.1f s", r.Tool, r.Seconds(), took.Seconds())
		}
	}
	if d := reports[0].Uplink.Achieved["delay_ms"]; d < 5 || d > 15 {
		t.Errorf("a delay of 5 ms was %v ms", d)
	}
	if len(s.tools) == 1 {
		s.judgeFused(reports, last[0].minus(first[0]), last[1].minus(first[1]))
		return
	}
	for i := range reports {
		s.judgeLevel(reports[i], last[i].minus(first[i]), last[i+1].minus(first[i+1]), s.tools[i])
		if i+1 < len(reports) {
			s.judgeBetween(reports[i], reports[i+1], last[i+1].minus(first[i+1]))
		}
	}
}

// judgeMemory compares what is resident at the end with what was after the first half, within a margin for the sizes
// that Go's heap happens to have.
func (s *soak) judgeMemory() {
	const factor, slack = 1.25, 8 // MB
	for p, now := range s.resident[len(s.resident)-1] {
		var all []string
		most := 0.0
		for i, m := range s.resident {
			all = append(all, fmt.Sprintf("%.1f", m[p]))
			if i < len(s.resident)/2 {
				most = max(most, m[p])
			}
		}
		s.t.Logf("resident memory of process %d in quiet moments: %s MB", p, strings.Join(all, " "))
		if now > most*factor+slack {
			s.t.Errorf("resident memory of process %d grows: %v MB", p, all)
		}
	}
}

// judgeRemains wants nothing to be left but the files that were asked for, and the reason given for those that are not
// complete.
func (s *soak) judgeRemains(before string) {
	t := s.t
	eventually(t, 5*time.Second, func() error {
		for _, p := range s.family {
			if alive(p) {
				return fmt.Errorf("process %d is still there", p)
			}
		}
		return nil
	})
	s.unchanged(before)
	if names := output(t, s.host("cat", "/proc/net/unix")); strings.Contains(names, "gomahi") {
		t.Errorf("reservations stay:\n%s", names)
	}
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got := list(s.dir); !slices.Equal(got, []string{"disk", "reports", "tmp"}) {
		t.Errorf("files: %v", got)
	}
	if got := list(s.dir + "/tmp"); got != nil {
		t.Errorf("temporary files: %v", got)
	}
	if got := list(s.onDisk()); !slices.Equal(got, []string{"down.log", "events", "up.log", "up.pcapng"}) {
		t.Errorf("files on the small disk: %v", got)
	}
	full := strings.Contains(s.said.String(), "no space left on device")
	if code := s.chain.ProcessState.ExitCode(); code != 0 && !full || code != 125 && full {
		t.Errorf("exit status %d:\n%s", code, s.said.String())
	}
	if s.happened["disk full"] > 0 && !full {
		t.Errorf("nobody said that the disk was full:\n%s", s.said.String())
	}
	t.Logf("standard error:\n%s", s.said.String())
}

// onDisk is the small disk as seen from here, since its mount is the laboratory's.
func (s *soak) onDisk() string { return "/proc/" + s.pid + "/root" + s.disk }
