package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// link measures gm-link.
func (b *bench) link(row func(what, figure, wanted string, ok bool), client func(to, congestion string) []string) error {
	free, err := b.measure(append([]string{"gm-delay", "0"}, client(outside, cubic)...))
	if err != nil {
		return err
	}
	for _, r := range []struct {
		rate  string
		mbit  float64
		least float64
	}{{"12Mbps", 12, 0.94}, {"96Mbps", 96, 0.94}, {"480Mbps", 480, 0.94}, {"960Mbps", 960, 0.94}, {"1920Mbps", 1920, 0.94}, {"4.8Gbit", 4800, 0.85}} {
		out, err := b.host("gm-link", r.rate, r.rate, "probe", "tcp", "-time", "5s", "-cc", cubic, outside)
		if err != nil {
			return err
		}
		got := goodput(out)
		want := r.least * r.mbit
		if r.mbit == 4800 {
			want = min(want, free)
		}
		row("gm-link "+r.rate+" "+r.rate+", goodput", fmt.Sprintf("%.1f %%", 100*got/r.mbit), fmt.Sprintf(">= %.0f %%", 100*want/r.mbit), got >= want)
	}

	dir, err := os.MkdirTemp("", "gomahi-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trace := filepath.Join(dir, "960")
	if err := os.WriteFile(trace, []byte(strings.Repeat("1\n", 80)), 0o644); err != nil {
		return err
	}
	for _, link := range []string{trace, "960Mbps"} {
		var good float64
		var n int
		stolen, err := quietly(func() (err error) {
			good, n, err = b.steady(link)
			return err
		})
		if err != nil {
			return err
		}
		what := "rate"
		if link == trace {
			what = "trace"
		}
		row("one minute at 960 Mbit/s, "+what+": 100 ms within 3 %", fmt.Sprintf("%.1f %% of %d, CPU stolen %.1f %%",
			100*good, n, 100*stolen), ">= 99 %", good >= 0.99)
	}

	up, down := filepath.Join(dir, "up"), filepath.Join(dir, "down")
	logs := []string{"--uplink-log=" + up, "--downlink-log=" + down}
	c := b.command(append(append([]string{"gm-link", "1Gbps", "1Gbps"}, logs...), "sleep", "10")...)
	if err := c.Run(); err != nil {
		return err
	}
	cpu := (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	row("idle gm-link 1Gbps 1Gbps with logs, 10 s", fmt.Sprintf("%.3f s of CPU", cpu), "< 0.05 s", cpu < 0.05)

	var with, without []float64
	for range 5 {
		for _, l := range []struct {
			options []string
			to      *[]float64
		}{{nil, &without}, {logs, &with}} {
			args := append([]string{"gm-link", "1Gbps", "1Gbps", "-v"}, l.options...)
			var out string
			_, err := quietly(func() (err error) {
				out, err = b.host(append(args, "probe", "tcp", "-time", "3s", "-cc", cubic, outside)...)
				return err
			})
			if err != nil {
				return err
			}
			m := regexp.MustCompile(`uplink: .*\(99 %: ([\d.]+) ms\)`).FindStringSubmatch(out)
			if m == nil {
				return fmt.Errorf("no lateness in %q", out)
			}
			late, _ := strconv.ParseFloat(m[1], 64)
			*l.to = append(*l.to, late)
		}
	}
	a, z := median(with), median(without)
	row("p99 lateness at 1 Gbit/s with logs against without", fmt.Sprintf("%.3f of %.3f ms", a, z), "<= 115 %", a <= 1.15*z)
	return nil
}

// steady says in which part of all 100 ms what the receiver counts is as much as the link carries, to 3 %. There are as
// many flows as it takes to keep the queue from running empty.
func (b *bench) steady(link string) (good float64, n int, err error) {
	out, err := b.host("gm-link", link, link, "probe", "tcp", "-flows", "8", "-time", "60s", "-bins", "100ms", "-cc", cubic, outside)
	if err != nil {
		return 0, 0, err
	}
	const want = 960e6 / 8 / 10 * 1448 / 1500
	for _, m := range regexp.MustCompile(`bin (\d+)`).FindAllStringSubmatch(out, -1)[20:] { // after slow start
		v, _ := strconv.ParseFloat(m[1], 64)
		if math.Abs(v/want-1) <= 0.03 {
			good++
		}
		n++
	}
	return good / float64(n), n, nil
}

// quietly measures up to three times, until the hypervisor gave less than 1 % of the CPUs' time to others: what it takes
// away shows as lateness. The last measurement is the one that counts.
func quietly(measure func() error) (stolen float64, err error) {
	for range 3 {
		before, start := steal(), time.Now()
		if err := measure(); err != nil {
			return 0, err
		}
		stolen = (steal() - before).Seconds() / time.Since(start).Seconds() / float64(runtime.NumCPU())
		if stolen < 0.01 {
			break
		}
	}
	return stolen, nil
}

// steal is the time that all CPUs wanted to run and were not let (proc_stat(5), in ticks of 10 ms).
func steal() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	f := append(strings.Fields(string(b)), make([]string, 9)...)
	n, _ := strconv.Atoi(f[8])
	return time.Duration(n) * 10 * time.Millisecond
}

func (b *bench) command(args ...string) *exec.Cmd {
	return exec.Command("probe", append([]string{"enter", "host", b.pid, b.tid}, args...)...)
}
