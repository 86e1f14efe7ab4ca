package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/creack/pty"
)

// meter measures what drawing costs: throughput, delay, and CPU; and whether what is drawn is true. All run on a terminal
// and so in a session of their own, as in use: the scheduler shares the CPUs among sessions (CONFIG_SCHED_AUTOGROUP), and
// one in the laboratory's own session carries a third more than the same tool in any other.
func (b *bench) meter(rounds int, f *figures, client func(to, congestion string) []string) error {
	dir, err := os.MkdirTemp("", "gomahi-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for range rounds {
		for _, name := range []string{"gm-delay 0", "gm-meter --plain", "gm-meter"} {
			out, _, err := b.drawn(dir, name, "", client(beyond, cubic)...)
			if err != nil {
				return err
			}
			rate := goodput(out)
			if rate == 0 {
				return fmt.Errorf("no goodput in %q", out)
			}
			fmt.Printf("%8.0f Mbit/s  %s\n", rate, name)
			f.add("one TCP flow, "+name, "Gbit/s", rate/1000)
		}
		for _, name := range []string{"gm-link", "gm-link --meter-all"} {
			tool := name + " 96Mbps 96Mbps"
			out, _, err := b.drawn(dir, tool, "probe flood -rate 48 -time 5s "+beyond+" >/dev/null &", "probe", "ping", "-c", "1000", "-i", "0.005", outside)
			if err != nil {
				return err
			}
			rtt, err := p99(out)
			if err != nil {
				return err
			}
			f.add("RTT at p99, "+name, "ms", rtt)
			_, cpu, err := b.drawn(dir, tool, "probe flood -rate 1 -time 10s "+beyond+" >/dev/null;", "true")
			if err != nil {
				return err
			}
			f.add("CPU in 10 s at 1 Mbit/s, "+name, "%", 100*cpu.Seconds()/10)
		}
		ratio, err := b.mean(filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		f.add("12 Mbit/s: the meter's mean, of the log's", "%", 100*ratio)
	}
	flow, rtt, cpu, mean := "one TCP flow, gm-", "RTT at p99, gm-link", "CPU in 10 s at 1 Mbit/s, gm-link", "12 Mbit/s: the meter's mean, of the log's"
	f.judge(flow+"meter", ">= 95 % of gm-delay 0", f.median(flow+"meter") >= 0.95*f.median(flow+"delay 0"))
	f.judge(flow+"meter --plain", ">= 98 % of gm-delay 0", f.median(flow+"meter --plain") >= 0.98*f.median(flow+"delay 0"))
	f.judge(rtt+" --meter-all", "<= 115 % of gm-link", f.median(rtt+" --meter-all") <= 1.15*f.median(rtt))
	f.judge(cpu+" --meter-all", "< 10 more than gm-link", f.median(cpu+" --meter-all") < 10+f.median(cpu))
	f.judge(mean, "within 1 %", slices.Min(f.of(mean).Values) > 99 && slices.Max(f.of(mean).Values) < 101)
	return nil
}

// drawn runs a command within a tool on a terminal of 200x50, and returns what it writes, which goes to a file rather
// than the terminal, and the CPU time of all. The shell does something before it.
func (b *bench) drawn(dir, tool, before string, command ...string) (string, time.Duration, error) {
	file := filepath.Join(dir, "output")
	args := slices.Concat(strings.Fields(tool), []string{"sh", "-c", before + ` "$@" >"$0"`, file}, command)
	c := b.command(args...)
	c.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "LC_ALL=C.UTF-8")
	screen, err := pty.StartWithSize(c, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		return "", 0, err
	}
	defer screen.Close()
	var out bytes.Buffer
	io.Copy(&out, screen) // until EIO
	if err := c.Wait(); err != nil {
		return "", 0, fmt.Errorf("%v: %w\n%s", args, err, out.Bytes())
	}
	if strings.Contains(tool, "meter") && !strings.Contains(out.String(), "downlink") {
		return "", 0, fmt.Errorf("%v drew nothing", args)
	}
	written, err := os.ReadFile(file)
	return string(written), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), err
}

// p99 is the percentile of what probe ping says of each packet, in milliseconds.
func p99(out string) (float64, error) {
	var all []float64
	for _, m := range regexp.MustCompile(`time=([\d.]+) ms`).FindAllStringSubmatch(out, -1) {
		v, _ := strconv.ParseFloat(m[1], 64)
		all = append(all, v)
	}
	if len(all) == 0 {
		return 0, fmt.Errorf("no round-trip times in %q", out)
	}
	slices.Sort(all)
	return all[len(all)*99/100], nil
}

// mean is that of the uplink as a meter says it, of what the log has, of a link that is full.
func (b *bench) mean(log string) (float64, error) {
	out, err := b.host("gm-link", "12Mbps", "12Mbps", "--meter-uplink", "--json", "--uplink-log="+log, "probe", "udp", "-n", "8000", "-i", "500us", "-size", "1472", beyond)
	if err != nil {
		return 0, err
	}
	var said struct {
		Summary bool
		Time    float64 `json:"time_s"`
		Uplink  struct {
			Mean float64 `json:"mean_bits_per_second"`
		}
	}
	for line := range strings.Lines(out) {
		if json.Unmarshal([]byte(line), &said) == nil && said.Summary {
			break
		}
	}
	logged, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	var departed float64 // bytes
	for _, m := range regexp.MustCompile(`(?m)^\d+ - (\d+)`).FindAllStringSubmatch(string(logged), -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		departed += n
	}
	if !said.Summary || departed == 0 {
		return 0, fmt.Errorf("no summary in %q, or nothing in the log", out)
	}
	return said.Uplink.Mean * said.Time / 8 / departed, nil
}
