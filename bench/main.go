// Command bench measures what gomahi promises, and prints a table of ratios within this run: other figures of a shared
// machine mean little. It needs the programs and the probe in PATH, and root. What is
// measured several times is also written as JSON, with pictures: see -help.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

// bench is a laboratory: see e2e/probe/lab.go.
type bench struct{ pid, tid string }

const outside = "100.64.0.1" // of a container that is alone on the host

// Cubic is what Linux has by default, and fills the machine; but with 1 % loss it is the bottleneck itself. BBR bears
// loss, but sends as its own timer tells it to, which costs it a part of what the machine could do.
// own is what the machine uses where nothing is said.
const cubic, bbr, own = "cubic", "bbr", ""

func run() error {
	rounds, only, dir := 5, "", "bench-results"
	flag.IntVar(&rounds, "rounds", rounds, "how often each is measured")
	const parts = "precision, meter, scale, links, many, others, web, ratios or link"
	flag.StringVar(&only, "only", only, parts)
	flag.StringVar(&dir, "o", dir, "where bench.json and the pictures go")
	flag.Parse()
	if flag.Arg(0) == "alone" {
		return serveAlone(flag.Arg(1))
	}
	if rounds < 1 || only != "" && !slices.Contains(regexp.MustCompile(`, | or `).Split(parts, -1), only) {
		return fmt.Errorf("-rounds=%d -only=%q: give at least one round, and for a part %s", rounds, only, parts)
	}
	wants := func(part string) bool { return only == "" || only == part }
	lab := exec.Command("probe", "lab")
	in, err := lab.StdinPipe()
	if err != nil {
		return err
	}
	defer lab.Wait()
	defer in.Close()
	out, err := lab.StdoutPipe()
	if err != nil {
		return err
	}
	lab.Stderr = os.Stderr
	if err := lab.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.New("the laboratory did not start; this needs root")
	}
	ids := strings.Fields(line)
	b := &bench{ids[0], ids[1]}

	rows := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(rows, "\nwhat\tfigure\twanted\t\n")
	row := func(what, figure, wanted string, ok bool) {
		verdict := "ok"
		if !ok {
			verdict = "MISSED"
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\n", what, figure, wanted, verdict)
	}

	f := newFigures()
	defer f.table()
	client, stop, err := b.flows()
	if err != nil {
		return err
	}
	defer stop()
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"precision", func() error { return b.precision(rounds, f) }}, // first what needs an idle machine
		{"meter", func() error { return b.meter(rounds, f, client) }},
		{"scale", func() error { return b.scale(rounds, f, client) }},
		{"links", func() error { return b.links(rounds, f, client) }},
		{"others", func() error { return b.others(rounds, f, client) }},
		{"many", func() error { return b.many(f) }},
	} {
		if wants(part.name) {
			if err := part.run(); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
			if err := f.write(dir); err != nil {
				return err
			}
		}
	}
	defer rows.Flush()
	if wants("ratios") {
		if err := b.ratios(rounds, row, client); err != nil {
			return err
		}
	}
	if wants("web") {
		if err := b.web(rounds, row); err != nil {
			return err
		}
	}
	if wants("link") {
		return b.link(row, client)
	}
	return nil
}

// ratios are those promised of the first tools.
func (b *bench) ratios(rounds int, row func(what, figure, wanted string, ok bool), client func(to, congestion string) []string) error {
	for _, c := range []struct {
		option string
		most   float64
	}{{"--precise=false", 10.5}, {"--precise", 10.25}} {
		out, err := b.host("gm-delay", "5", c.option, "probe", "ping", "-c", "200", "-i", "0.02", outside)
		if err != nil {
			return err
		}
		m := regexp.MustCompile(`rtt min/avg/max/median = ([\d.]+)/[\d.]+/[\d.]+/([\d.]+)`).FindStringSubmatch(out)
		if m == nil {
			return fmt.Errorf("no round-trip times in %q", out)
		}
		least, _ := strconv.ParseFloat(m[1], 64)
		middle, _ := strconv.ParseFloat(m[2], 64)
		row("200 pings through gm-delay 5 "+c.option, fmt.Sprintf("%.2f ms, least %.2f", middle, least),
			fmt.Sprintf("<= %.2f", c.most), middle <= c.most && least >= 10)
	}
	var starts []float64
	for range 20 {
		took, err := b.start()
		if err != nil {
			return err
		}
		starts = append(starts, took)
	}
	row("from typing to the command running, median of 20", fmt.Sprintf("%.1f ms", median(starts)), "<= 20 ms", median(starts) <= 20)

	type flow struct{ what, congestion string }
	flows := []struct {
		flow
		to   string
		args []string
	}{
		{flow{"veth", cubic}, "192.0.2.1", nil},
		{flow{"one", cubic}, outside, nested(1)},
		{flow{"plain", cubic}, outside, []string{"gm-delay", "0", "--no-offload"}},
		{flow{"three", cubic}, outside, nested(3)},
		{flow{"five", cubic}, outside, nested(5)},
		{flow{"veth", bbr}, "192.0.2.1", nil},
		{flow{"one", bbr}, outside, nested(1)},
		{flow{"plain", bbr}, outside, []string{"gm-delay", "0", "--no-offload"}},
		{flow{"three", bbr}, outside, nested(3)},
		{flow{"five", bbr}, outside, nested(5)},
		{flow{"loss", bbr}, outside, []string{"gm-loss", "uplink", "0.01"}},
		{flow{"plain loss", bbr}, outside, []string{"gm-loss", "uplink", "0.01", "--no-offload"}},
	}
	rates := map[flow][]float64{}
	for range rounds { // in turn, so that what else the machine does meets all of them
		for _, f := range flows {
			rate, err := b.measure(append(slices.Clone(f.args), client(f.to, f.congestion)...))
			if err != nil {
				return err
			}
			rates[f.flow] = append(rates[f.flow], rate)
		}
	}

	compare := func(congestion, what, with, against string, least float64) {
		a, b := median(rates[flow{with, congestion}]), median(rates[flow{against, congestion}])
		figure, wanted := fmt.Sprintf("%.0f %% of %.2f Gbit/s", 100*a/b, b/1000), fmt.Sprintf(">= %.0f %%", 100*least)
		if least > 1 {
			figure, wanted = fmt.Sprintf("%.1f times %.2f Gbit/s", a/b, b/1000), fmt.Sprintf(">= %.0f", least)
		}
		row(congestion+", "+what, figure, wanted, a/b >= least)
	}
	for _, c := range []string{cubic, bbr} {
		compare(c, "gm-delay 0 against --no-offload", "one", "plain", 8)
		compare(c, "gm-delay 0 against a bare veth pair", "one", "veth", 0.6)
		compare(c, "three nested gm-delay 0 against one", "three", "one", 0.5)
		compare(c, "five nested gm-delay 0 against one", "five", "one", 0.35)
	}
	compare(bbr, "gm-loss uplink 0.01 against gm-delay 0 --no-offload", "loss", "plain", 3)
	compare(bbr, "gm-loss uplink 0.01 against its own --no-offload", "loss", "plain loss", 3)
	return b.user(rounds, row)
}

// flows returns what runs one TCP flow for two seconds: iperf3 where it is installed, since its figures are what others
// publish, else the probe.
func (b *bench) flows() (client func(to, congestion string) []string, stop func(), err error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		fmt.Println("TCP flows by the probe (iperf3 is not installed)")
		return func(to, congestion string) []string {
			return []string{"probe", "tcp", "-time", "2s", "-cc", congestion, to} // none is the machine's own
		}, func() {}, nil
	}
	fmt.Println("TCP flows by iperf3")
	var servers []*exec.Cmd
	for _, where := range []string{"host", "server"} {
		c := exec.Command("probe", "enter", where, b.pid, b.tid, "iperf3", "-s")
		if err := c.Start(); err != nil {
			return nil, nil, err
		}
		servers = append(servers, c)
	}
	time.Sleep(300 * time.Millisecond)
	client = func(to, congestion string) []string {
		args := []string{"iperf3", "-c", to, "-t", "2", "-f", "m"}
		if congestion != own {
			args = append(args, "-C", congestion)
		}
		return args
	}
	return client, func() {
		for _, c := range servers {
			c.Process.Kill()
			c.Wait()
		}
	}, nil
}

// measure runs a flow and returns its goodput in Mbit/s.
func (b *bench) measure(args []string) (float64, error) {
	out, err := b.host(args...)
	if err != nil {
		return 0, err
	}
	rate := goodput(out)
	if rate == 0 {
		return 0, fmt.Errorf("no goodput in %q", out)
	}
	fmt.Printf("%8.0f Mbit/s  %s\n", rate, strings.Join(args, " "))
	return rate, nil
}

// goodput is what iperf3 or the probe says at its end, in Mbit/s, or 0.
func goodput(out string) float64 {
	m := regexp.MustCompile(`([\d.]+) Mbits?/s(?:ec.*receiver)?`).FindAllStringSubmatch(out, -1)
	if m == nil {
		return 0
	}
	rate, _ := strconv.ParseFloat(m[len(m)-1][1], 64)
	return rate
}

func (b *bench) host(args ...string) (string, error) {
	out, err := b.command(args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	return string(out), nil
}

func nested(n int) (args []string) {
	for range n {
		args = append(args, "gm-delay", "0")
	}
	return args
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
