package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/report"
)

func readReport(t testing.TB, file string) *report.Report {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := report.Read(file, f)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]report.Direction{"uplink": r.Uplink, "downlink": r.Downlink} {
		left := d.In.Packets + d.Added - d.Out.Packets - d.Undelivered
		for _, n := range d.Dropped {
			left -= n.Packets
		}
		if left != 0 {
			t.Errorf("%s %s: %d packets are unaccounted for: %+v", file, name, left, d)
		}
	}
	return r
}

// Each level writes a report of its own, in which every packet is accounted for, and what was asked is achieved.
func TestReports(t *testing.T) {
	l := newLab(t)
	dir := filepath.Join(temp(t), "reports")
	l.output("env", "GM_REPORT_DIR="+dir, "gm-delay", "20", "gm-loss", "--seed=3", "uplink", "0.1", "gm-link", "8Mbps", "8Mbps",
		"--uplink-queue=droptail", "--uplink-queue-args=packets=50", "probe", "udp", "-n", "2000", "-i", "1ms", "-size", "1200", "192.0.2.1")
	files, _ := filepath.Glob(dir + "/*.json")
	if len(files) != 3 {
		t.Fatalf("reports: %v", files)
	}
	delay, loss, link := readReport(t, files[0]), readReport(t, files[1]), readReport(t, files[2])
	if delay.Tool != "gm-delay" || loss.Tool != "gm-loss" || link.Tool != "gm-link" || delay.Level != 1 || link.Level != 3 {
		t.Fatalf("not in order: %v", files)
	}
	if link.Uplink.In.Packets < 2000 || link.Uplink.Dropped["queue full"].Packets == 0 || link.Uplink.Out.Packets != loss.Uplink.In.Packets ||
		loss.Uplink.Out.Packets != delay.Uplink.In.Packets {
		t.Errorf("packets: %+v, %+v, %+v", link.Uplink, loss.Uplink, delay.Uplink)
	}
	for _, c := range []struct {
		what        string
		got         float64
		least, most float64
	}{
		{"delay", delay.Uplink.Achieved["delay_ms"], 20, 22},
		{"loss", loss.Uplink.Achieved["loss"], 0.07, 0.13},
		{"rate", link.Uplink.Achieved["rate_bits_per_second"], 7.999e6, 8.001e6},
		{"queueing", link.Uplink.Queueing.P50, 40, 65}, // 50 packets of 1228 bytes take 61 ms
		{"seed", float64(*loss.Seed), 3, 3},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s is %v, want %v to %v", c.what, c.got, c.least, c.most)
		}
	}
	out := l.output(append([]string{"gm-report", "--path"}, files...)...)
	if !strings.Contains(out, "gm-delay gm-loss gm-link") || !strings.Contains(out, "rate achieved") {
		t.Error(out)
	}
}

// A machine that is too slow for what is sent says so, and how many packets are missing for it.
func TestOverload(t *testing.T) {
	if asUser {
		return // its tool in the room would be stopped alone, which is another thing
	}
	l := newLab(t)
	for _, c := range []struct{ option, rate string }{
		{"--strict", "600"}, {"--strict=1s", "600"}, {"--report=-", "600"},
		{"--strict --txqueuelen=100", "60"}, // the usual queue would hold what comes
	} {
		t.Run(c.option, func(t *testing.T) {
			file := filepath.Join(temp(t), "report")
			option, more, _ := strings.Cut(c.option, " ")
			args := []string{"gm-delay", option, "1", "probe", "flood", "-rate", c.rate, "-time", "1500ms", "192.0.2.1"}
			if more != "" {
				args = append([]string{"gm-delay", more}, args[1:]...)
			}
			if option != "--report=-" {
				args = append([]string{"gm-delay", "--report=" + file}, args[1:]...)
			}
			c := l.run(args...)
			var out, said bytes.Buffer
			c.Stdout, c.Stderr = &out, &said
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(400 * time.Millisecond)
			c.Process.Signal(unix.SIGSTOP) // the command goes on, and fills the queue
			time.Sleep(500 * time.Millisecond)
			c.Process.Signal(unix.SIGCONT)
			err := c.Wait()
			if option == "--report=-" {
				if err != nil || !strings.Contains(said.String(), "uplink unread") || !strings.Contains(said.String(), "warning: uplink: the kernel dropped") {
					t.Errorf("%v: %s", err, said.String())
				}
				return
			}
			if c.ProcessState.ExitCode() != 120 || !strings.Contains(said.String(), "gm-delay: error: uplink: the kernel dropped") {
				t.Errorf("%v: %s", err, said.String())
			}
			r := readReport(t, file)
			sent := uint64(number(t, out.String(), `sent (\d+)`))
			if missing := sent - r.Uplink.In.Packets; missing != r.Uplink.Unread || missing == 0 {
				t.Errorf("of %d packets sent %d are missing, and %d were reported", sent, missing, r.Uplink.Unread)
			}
		})
	}
	// And a good one says nothing.
	c := l.run("gm-delay", "--strict=1s", "1", "probe", "udp", "-n", "100", "192.0.2.1")
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "gm-delay") {
		t.Errorf("%v: %s", err, out)
	}
	if out, _ := l.run("gm-delay", "--strict=1s", "1", "sh", "-c", "exit 7").CombinedOutput(); len(out) > 0 {
		t.Errorf("%s", out)
	}
}

// Tools in one process decide and delay as they would in one each, and report for themselves.
func TestFuse(t *testing.T) {
	l := newLab(t)
	run := func(dir string, env ...string) (fate string, uplink float64, reports []*report.Report) {
		args := append([]string{"env", "GM_REPORT_DIR=" + dir}, env...)
		out := l.output(append(args, "gm-delay", "20", "gm-loss", "--seed=3", "both", "0.1", "gm-duplicate", "uplink", "0.1", "--seed=4",
			"gm-link", "8Mbps", "8Mbps", "probe", "udp", "-n", "1000", "-i", "1ms", "-size", "500", "192.0.2.1")...)
		files, _ := filepath.Glob(dir + "/*.json")
		for _, f := range files {
			reports = append(reports, readReport(t, f))
		}
		fate, _, _ = strings.Cut(out, "\n")
		return fate, number(t, out, `uplink min/median/p99/max = ([\d.]+)`), reports
	}
	dir := temp(t)
	apart, _, levels := run(filepath.Join(dir, "apart"))
	as1, delay, stages := run(filepath.Join(dir, "as1"), "GM_FUSE=1")
	if apart != as1 || delay < 20 {
		t.Errorf("nested %q, fused %q after %v ms", apart, as1, delay)
	}
	if len(levels) != 4 || len(stages) != 4 {
		t.Fatalf("%d and %d reports", len(levels), len(stages))
	}
	for i, s := range stages {
		n := levels[i]
		if s.Tool != n.Tool || s.Level != n.Level || s.Fused != (i > 0) || s.Uplink.In != n.Uplink.In || s.Uplink.Out != n.Uplink.Out ||
			s.Downlink.In != n.Downlink.In || s.Downlink.Out != n.Downlink.Out || s.Uplink.Added != n.Uplink.Added {
			t.Errorf("fused %+v\nnested %+v", s, n)
		}
		if i > 0 && (s.Uplink.Writes > 0 || s.Uplink.In.Packets == 0 || s.CPUSeconds > 0) || (i < 3 && s.Uplink.Reads > 0) ||
			(s.Uplink.Reads > 0) != (i == 3) || (s.Uplink.Writes > 0) != (i == 0) || (s.Downlink.Reads > 0) != (i == 0) {
			t.Errorf("%s: %+v", s.Tool, s)
		}
	}
	if got := stages[0].Uplink.Achieved["delay_ms"]; got < 20 || got > 22 {
		t.Errorf("the first delays by %v ms", got)
	}
	// More than could nest, and the prompt is theirs.
	chain := []string{"gm-delay", "--fuse", "0.1"}
	for range 99 {
		chain = append(chain, "gm-delay", "0.1")
	}
	out := l.output(append(chain, "sh", "-c", `echo "$GM_LEVEL$GM_SHELL_PREFIX"; probe ping -c 1 $GM_BASE`)...)
	if rtt := number(t, out, `time=([\d.]+) ms`); rtt < 20 || rtt > 60 || !strings.HasPrefix(out, "100"+strings.Repeat("[delay 0.1 ms] ", 100)+"\n") {
		t.Error(out)
	}
}

// What is asked of a link is compared with what it did, whatever else happened to its packets.
func TestAchieved(t *testing.T) {
	l := newLab(t)
	for _, row := range []struct {
		tool             string
		what             string
		asked            float64
		least, most      float64
		queueing, losing bool
	}{
		{"gm-link 10Mbps 10Mbps --uplink-delay=20", "delay_ms", 20, 20, 22, true, false},
		{"gm-link 10Mbps 10Mbps --uplink-delay=20 --uplink-loss=20% --seed=1", "delay_ms", 20, 20, 22, true, true},
		{"gm-link 20Mbps 20Mbps --uplink-loss=20% --uplink-queue=droptail --uplink-queue-args=packets=20 --seed=1", "loss", 0.2, 0.1, 0.3, true, true},
		{"gm-path scenario", "delay_ms", 15, 15, 17, true, true},
		{"gm-path scenario", "rate_bits_per_second", 20e6, 19.99e6, 20.01e6, true, true},
		{"gm-shape both 20Mbps --burst=3000", "rate_bits_per_second", 20e6, 19.99e6, 20.01e6, true, false},
		{"gm-burst both --loss=25% --burst=2 --seed=1", "loss", 0.25, 0.15, 0.35, false, true},
		{"gm-losstrace both lost", "loss", 0.5, 0.5, 0.5, false, true},
	} {
		t.Run(row.tool+" "+row.what, func(t *testing.T) {
			dir := temp(t)
			for name, content := range map[string]string{"scenario": "Time[ms],Delay[ms],Rate[Mbps]\n0,15,20\n", "lost": "01\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "report")
			args := strings.Fields(row.tool)
			c := l.run(append(append(args[:1:1], "--report="+file), append(args[1:], "probe", "udp", "-n", "400", "-i", "100us", "-size", "1000",
				"-wait", "1s", "192.0.2.1")...)...)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			up := readReport(t, file).Uplink
			if got := up.Achieved[row.what]; up.Requested[row.what] != row.asked || got < row.least || got > row.most {
				t.Errorf("%s is %v, want %v to %v, for the %v that are asked", row.what, got, row.least, row.most, up.Requested[row.what])
			}
			if (up.Queueing != nil) != row.queueing || (len(up.Dropped) > 0) != row.losing {
				t.Errorf("%+v", up)
			}
		})
	}
}

// What passes tools in one process untouched is counted, and of a link that ends first, the others deliver what it let go.
func TestFusedCounts(t *testing.T) {
	l := newLab(t)
	trace := filepath.Join(temp(t), "trace")
	if err := os.WriteFile(trace, []byte("1020\n1040\n1060\n1080\n1100\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		run  []string
		in   uint64 // of the outer one, at least
	}{
		{"held", []string{"MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL=1", "gm-delay", "--fuse", "50", "gm-loss", "both", "1", "probe", "ping", "-c", "3", "-i", "0.1", "192.0.2.1"}, 3},
		{"once", []string{"gm-delay", "--fuse", "500", "gm-link", "--once", trace, trace, "probe", "udp", "-n", "100", "-i", "1ms", "-size", "1000", "192.0.2.1"}, 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := temp(t)
			l.run(append([]string{"env", "GM_REPORT_DIR=" + dir}, row.run...)...).Run() // the link's end is the command's
			files, _ := filepath.Glob(dir + "/*.json")
			if len(files) != 2 {
				t.Fatalf("reports: %v", files)
			}
			outer, inner := readReport(t, files[0]).Uplink, readReport(t, files[1]).Uplink
			if outer.In.Packets < row.in || outer.Out != outer.In || inner.Out != outer.In {
				t.Errorf("in %v out %v after in %v out %v", outer.In, outer.Out, inner.In, inner.Out)
			}
		})
	}
}
