package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/report"
)

// levels are how many nested tools a flow goes through.
var levels = []int{1, 3, 5, 10}

// beyond is the server beyond the host; nearer is one on it.
const beyond = "192.0.2.1"

// reported runs a tool and returns its output and its report. The first argument is the tool.
func (b *bench) reported(args ...string) (out string, r *report.Report, err error) {
	dir, err := os.MkdirTemp("", "gomahi-bench-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "report")
	out, err = b.host(append([]string{args[0], "--report=" + file}, args[1:]...)...)
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	r, err = report.Read(file, f)
	return out, r, err
}

// scale measures what the tools carry and what it costs them, against what the kernel alone carries with a bare veth pair,
// forwarding and NAT, and against one packet per read and write.
func (b *bench) scale(rounds int, f *figures, client func(to, congestion string) []string) error {
	other := "one TCP flow with Cubic"
	otherIs := cubic
	if congestion() == cubic {
		other, otherIs = "one TCP flow with BBR", bbr
	}
	for range rounds {
		for _, flows := range []struct {
			name       string
			congestion string
			levels     []int
			options    []string
		}{{"one TCP flow", own, levels, nil}, {other, otherIs, levels[:1], nil}, {"eight TCP flows", own, levels, []string{"-P", "8"}}} {
			run := append(client(beyond, flows.congestion), flows.options...)
			if flows.options != nil && run[0] != "iperf3" {
				continue
			}
			rate, err := b.measure(append([]string{"probe", "natted"}, run...))
			if err != nil {
				return err
			}
			f.add(flows.name+", veth with forwarding and NAT", "Gbit/s", rate/1000)
			for _, n := range flows.levels {
				if rate, err = b.measure(append(nested(n), run...)); err != nil {
					return err
				}
				f.add(fmt.Sprintf("%s, %d levels", flows.name, n), "Gbit/s", rate/1000)
			}
		}
		for _, o := range []struct{ name, option string }{{"one level", "--precise=false"}, {"--no-offload", "--no-offload"}} {
			_, r, err := b.reported(append([]string{"gm-delay", "0", o.option}, client(beyond, cubic)...)...)
			if err != nil {
				return err
			}
			f.add("CPU per GB, "+o.name, "s", r.CPUSeconds/(float64(r.Uplink.Out.Bytes)/1e9))
			f.add("resident memory beside one TCP flow, "+o.name, "MB", float64(r.Resident)/1e6)
			if o.option == "--no-offload" {
				f.add("one TCP flow, --no-offload", "Gbit/s", 8*float64(r.Uplink.Out.Bytes)/1e9/2)
			}
			for _, size := range []string{"64", "1400"} {
				_, r, err := b.reported("gm-delay", "0", o.option, "probe", "flood", "-rate", "0", "-time", "2s", "-size", size, beyond)
				if err != nil {
					return err
				}
				f.add("UDP of "+size+" bytes, "+o.name, "kpackets/s", float64(r.Uplink.Out.Packets)/2/1000)
			}
		}
	}
	for _, flow := range []string{"one TCP flow", other} {
		share := f.median(flow+", 1 levels") / f.median(flow+", veth with forwarding and NAT")
		f.note(flow+", 1 levels", fmt.Sprintf("%.0f %% of veth", 100*share))
		f.judge(flow+", 1 levels", ">= 65 % of veth", share >= 0.65)
	}
	f.judge("CPU per GB, one level", "<= 1/5 of --no-offload", f.median("CPU per GB, one level") <= f.median("CPU per GB, --no-offload")/5)
	for _, size := range []string{"64", "1400"} {
		name := "UDP of " + size + " bytes, "
		f.judge(name+"one level", ">= 2 --no-offload", f.median(name+"one level") >= 2*f.median(name+"--no-offload"))
	}
	return nil
}

// links measures links of a rate, loss, and how long it takes to start.
func (b *bench) links(rounds int, f *figures, client func(to, congestion string) []string) error {
	type link struct {
		rate string
		mbit float64
	}
	all := []link{{"12Mbps", 12}, {"96Mbps", 96}, {"480Mbps", 480}, {"960Mbps", 960}, {"1920Mbps", 1920}, {"4.8Gbit", 4800}, {"10Gbit", 10000}}
	for range rounds {
		for _, l := range all {
			rate, err := b.measure(append([]string{"gm-link", l.rate, l.rate}, client(beyond, cubic)...))
			if err != nil {
				return err
			}
			f.add("gm-link "+l.rate+", goodput of one TCP flow with Cubic", "%", 100*rate/l.mbit)
		}
		for _, o := range []struct {
			name string
			args []string
		}{{"gm-loss uplink 0.01", []string{"gm-loss", "uplink", "0.01"}}, {"gm-loss uplink 0.01 --no-offload", []string{"gm-loss", "--no-offload", "uplink", "0.01"}}} {
			rate, err := b.measure(append(o.args, client(beyond, bbr)...))
			if err != nil {
				return err
			}
			f.add("one TCP flow with BBR, "+o.name, "Gbit/s", rate/1000)
		}
		took, err := b.start()
		if err != nil {
			return err
		}
		f.add("from typing gm-delay 0 to the command running", "ms", took)
	}
	return nil
}

// start is how long a tool takes until its command runs, in ms.
func (b *bench) start() (float64, error) {
	out, err := b.host("sh", "-c", "date +%s%N; exec gm-delay 0 date +%s%N")
	if err != nil {
		return 0, err
	}
	var typed, runs int64
	if _, err := fmt.Sscan(out, &typed, &runs); err != nil {
		return 0, fmt.Errorf("no times in %q: %w", out, err)
	}
	return float64(runs-typed) / 1e6, nil
}

// precision measures what the tools add to a delay.
func (b *bench) precision(rounds int, f *figures) error {
	excess := func(name string, nominal float64, args ...string) error {
		out, err := b.host(append(args, "probe", "ping", "-c", "100", "-i", "0.02", outside)...)
		if err != nil {
			return err
		}
		m := regexp.MustCompile(`rtt min/avg/max/median = [\d.]+/[\d.]+/[\d.]+/([\d.]+)`).FindStringSubmatch(out)
		if m == nil {
			return fmt.Errorf("no round-trip times in %q", out)
		}
		rtt, _ := strconv.ParseFloat(m[1], 64)
		f.add(name, "ms", rtt-nominal)
		return nil
	}
	five := []string{"gm-delay", "--fuse", "1", "gm-delay", "1", "gm-delay", "1", "gm-delay", "1", "gm-delay", "1"}
	for range rounds {
		if err := excess("RTT excess at 5 ms", 10, "gm-delay", "5"); err != nil {
			return err
		}
		if err := excess("RTT excess at 5 ms, --precise", 10, "gm-delay", "--precise", "5"); err != nil {
			return err
		}
		if err := excess("RTT excess of five delays, fused", 10, five...); err != nil {
			return err
		}
		if err := excess("RTT excess of five delays, nested", 10, nestedOf(5, "1")...); err != nil {
			return err
		}
		busy := []string{"gm-delay", "5", "sh", "-c", `probe flood -rate 500 -time 3s ` + beyond + ` >/dev/null & exec "$@"`, "sh"}
		if err := excess("RTT excess at 5 ms, 500 Mbit/s beside", 10, busy...); err != nil {
			return err
		}
		for _, o := range []struct{ name, option string }{{"lateness", "--precise=false"}, {"lateness --precise", "--precise"}} {
			var r *report.Report
			err := undisturbed(func() (err error) {
				_, r, err = b.reported("gm-delay", "5", o.option, "probe", "flood", "-rate", "500", "-time", "3s", beyond)
				return err
			})
			if err != nil {
				return err
			}
			f.add(o.name+", 50 percentile", "us", 1000*r.Uplink.Lateness.P50)
			f.add(o.name+", 99 percentile", "us", 1000*r.Uplink.Lateness.P99)
		}
	}
	f.judge("RTT excess at 5 ms", "<= 0.35", f.median("RTT excess at 5 ms") <= 0.35)
	f.judge("RTT excess at 5 ms, --precise", "<= 0.18", f.median("RTT excess at 5 ms, --precise") <= 0.18)
	f.judge("RTT excess of five delays, fused", "<= 1.3 of one's", f.median("RTT excess of five delays, fused") <= 1.3*f.median("RTT excess at 5 ms"))
	f.judge("lateness --precise, 50 percentile", "<= 20", f.median("lateness --precise, 50 percentile") <= 20)
	f.judge("lateness --precise, 99 percentile", "<= 200", f.median("lateness --precise, 99 percentile") <= 200)
	return nil
}

// undisturbed measures until the hypervisor took less than 0.2 % of the CPUs meanwhile ("steal" of proc_stat(5)),
// a fifth of the part that a 99th percentile leaves out; at most ten times.
func undisturbed(measure func() error) error {
	for range 10 {
		stolen, all := jiffies()
		if err := measure(); err != nil {
			return err
		}
		s, a := jiffies()
		if share := float64(s-stolen) / float64(max(a-all, 1)); share >= 0.002 {
			fmt.Printf("the hypervisor took %.1f %% of the CPUs: once more\n", 100*share)
			continue
		}
		return nil
	}
	fmt.Println("the hypervisor does not leave this machine alone: figures of lateness are its own, too")
	return nil
}

// jiffies is how much time the hypervisor has had of all that the CPUs had.
func jiffies() (stolen, all int) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		n, _ := strconv.Atoi(f) // the name is 0
		if i == 8 {
			stolen = n
		}
		if i <= 8 { // guests' time, which follows, is users', too
			all += n
		}
	}
	return stolen, all
}

func nestedOf(n int, delay string) (args []string) {
	for range n {
		args = append(args, "gm-delay", delay)
	}
	return args
}

// many starts 500 containers, each with a link and a little traffic, and looks at what they cost.
func (b *bench) many(f *figures) error {
	const n = 500
	dir, err := os.MkdirTemp("", "gomahi-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	begun := filepath.Join(dir, "begun")
	client := "probe ping"
	if _, err := exec.LookPath("ping"); err == nil { // a smaller program: it is not what is measured
		client = "ping -q"
	}
	start := time.Now()
	// One shell starts them all; the start of a program that enters the namespace for each would be measured too.
	shell := b.command("sh", "-c", fmt.Sprintf(`i=0
		while [ $i -lt %d ]; do
			gm-link 12Mbps 12Mbps --linger=0 sh -c "echo >>%s; exec %s -c 1000 -i 5 %s" >/dev/null &
			echo $!; i=$((i + 1))
		done
		exec >&-; wait`, n, begun, client, beyond))
	shell.Stderr = os.Stderr
	out, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return err
	}
	var all []int
	defer func() {
		for _, pid := range all {
			unix.Kill(pid, unix.SIGKILL)
		}
		shell.Wait()
	}()
	for lines := bufio.NewScanner(out); len(all) < n && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		all = append(all, pid)
	}
	for {
		b, _ := os.ReadFile(begun)
		if len(b) >= n {
			break
		}
		if time.Since(start) > 5*time.Minute {
			return fmt.Errorf("of %d containers %d have started in 5 minutes", n, len(b))
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.add("500 containers: all have started", "s", time.Since(start).Seconds())
	time.Sleep(5 * time.Second)
	before, since := cpuOf(all), time.Now()
	time.Sleep(10 * time.Second)
	f.add("500 containers: CPU, with a ping every 5 s each", "%", 100*(cpuOf(all)-before).Seconds()/time.Since(since).Seconds())
	most := 0.0
	for _, pid := range all {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b); m != nil {
			kb, _ := strconv.ParseFloat(string(m[1]), 64)
			most = max(most, kb/1024)
		}
	}
	f.add("500 containers: resident memory of the largest", "MiB", most)
	f.judge("500 containers: all have started", "<= 30", f.median("500 containers: all have started") <= 30)
	f.judge("500 containers: CPU, with a ping every 5 s each", "< 5", f.median("500 containers: CPU, with a ping every 5 s each") < 5)
	f.judge("500 containers: resident memory of the largest", "<= 12", most <= 12)
	return nil
}

// cpuOf is the time that processes have had, to the nanosecond.
func cpuOf(all []int) (sum time.Duration) {
	for _, pid := range all {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, t := range tasks {
			b, _ := os.ReadFile(t)
			n, _ := strconv.ParseInt(strings.Fields(string(b) + " 0")[0], 10, 64)
			sum += time.Duration(n)
		}
	}
	return sum
}

// others measures mahimahi and netem, where they are there.
func (b *bench) others(rounds int, f *figures, client func(to, congestion string) []string) error {
	trace, err := os.CreateTemp("", "gomahi-bench-")
	if err != nil {
		return err
	}
	defer os.Remove(trace.Name())
	_, err = trace.WriteString(strings.Repeat("1\n", 80)) // 960 Mbit/s
	if err := errors.Join(err, trace.Chmod(0o644), trace.Close()); err != nil {
		return err
	}
	for _, o := range []struct {
		congestion string
		args       []string
	}{{cubic, []string{"mm-delay", "0"}}, {bbr, []string{"mm-loss", "uplink", "0.01"}}, {cubic, []string{"mm-link", trace.Name(), trace.Name(), "--"}}} {
		name := o.args[0]
		if _, err := exec.LookPath(name); err != nil {
			fmt.Println("mahimahi is not installed:", name, "is not measured")
			continue
		}
		for range rounds {
			rate, err := b.measure(slices.Concat(as, o.args, client(outside, o.congestion)))
			if err != nil {
				fmt.Println(name+":", err)
				break
			}
			f.add("one TCP flow, "+name, "Gbit/s", rate/1000)
		}
	}
	if out, err := b.host("sh", "-c", "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root"); err != nil {
		fmt.Println("netem is not there:", strings.TrimSpace(err.Error()), out)
		return nil
	}
	for range rounds {
		rate, err := b.measure(append([]string{"sh", "-c", `tc qdisc add dev eth0 root netem delay 5ms limit 100000; "$@"; s=$?; tc qdisc del dev eth0 root; exit $s`, "sh"},
			client(beyond, cubic)...))
		if err != nil {
			return err
		}
		f.add("one TCP flow, netem delay 5ms", "Gbit/s", rate/1000)
	}
	return nil
}
