package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	late := func(p99 float64) Direction {
		return Direction{Out: Count{Packets: 41000}, Late: 312, Lateness: Distribution{P99: p99}}
	}
	for _, row := range []struct {
		name      string
		up, down  Direction
		tolerance time.Duration
		why       []string
	}{
		{"nothing", Direction{}, Direction{}, time.Millisecond, nil},
		{"just in time", late(1), late(0.5), time.Millisecond, nil},
		{"late", late(0.9), late(1.001), time.Millisecond, []string{"downlink: 312 of 41,000 packets left more than 1 ms late (99 %: 1.001 ms)"}},
		{"within a wide tolerance", late(1.9), late(2), 2 * time.Millisecond, nil},
		{"later than a narrow tolerance", Direction{Lateness: Distribution{P99: 0.051}}, late(0.05), 50 * time.Microsecond,
			[]string{"uplink: 1 % of 0 packets left 0.051 ms late or more"}},
		{"later than a wide tolerance", late(2.5), late(2), 2 * time.Millisecond, []string{"uplink: 1 % of 41,000 packets left 2.500 ms late or more"}},
		{"unread", Direction{Unread: 1234}, Direction{}, time.Millisecond,
			[]string{"uplink: the kernel dropped 1,234 frames that it had for us before they were read"}},
		{"both ways", late(3), Direction{Unread: 1, Lateness: Distribution{P99: 2}}, time.Millisecond, []string{
			"uplink: 312 of 41,000 packets left more than 1 ms late (99 %: 3.000 ms)",
			"downlink: the kernel dropped 1 frames that it had for us before they were read",
			"downlink: 0 of 0 packets left more than 1 ms late (99 %: 2.000 ms)"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Report{Uplink: row.up, Downlink: row.down}
			r.Judge(row.tolerance)
			want := Verdict{Tolerance: float64(row.tolerance) / 1e6, Good: row.why == nil, Why: row.why}
			if d := cmp.Diff(want, r.Verdict); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// example is a run of 2 s with a link of 12 Mbit/s uplink.
func example(tool string, level int, out uint64) *Report {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return &Report{Tool: tool, Level: level, CommandLine: []string{tool, "x"}, Start: start, End: start.Add(2 * time.Second), CPUSeconds: 0.25,
		Resident: 12e6, Uplink: Direction{In: Count{out + 100, 1500 * (out + 100)}, Out: Count{out, 1500 * out},
			Dropped: map[string]Count{"queue full": {100, 150000}}, Requested: map[string]float64{"rate_bits_per_second": 12e6},
			Achieved: map[string]float64{"rate_bits_per_second": 12e6}, Delay: Distribution{P50: 10, P95: 20, P99: 30, P999: 31, Max: 32},
			Queueing: &Distribution{P50: 9, P99: 29, Max: 30}, Lateness: Distribution{P50: 0.05, P99: 0.2, Max: 1.5}},
		Downlink: Direction{Requested: map[string]float64{"delay_ms": 5, "loss": 0.1}, Achieved: map[string]float64{"delay_ms": 5.02}}}
}

func TestReadsWhatIsWritten(t *testing.T) {
	want := example("gm-link", 1, 2000)
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read("file", &b)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for _, bad := range []string{"", "{}", "[]", `{"tool": 3}`, "gm-delay", `{"tool": "gm-delay"} {"tool": "gm-loss"}`, `{"tool": "gm-delay"} x`} {
		if _, err := Read("file", strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "file is no report") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	seeded := example("gm-link", 1, 1000)
	seeded.Seed = new(uint64(7))
	if err := Table(&b, []*Report{example("gm-link", 1, 2000), seeded}); err != nil {
		t.Fatal(err)
	}
	want := `
                                      gm-link       gm-link  difference
                            time       2.00 s        2.00 s           =
               uplink packets in        2,100         1,100     -47.6 %
              uplink packets out        2,000         1,000     -50.0 %
              uplink rate out    12 Mbit/s      6 Mbit/s     -50.0 %
      uplink dropped, queue full          100           100           =
           uplink rate requested    12 Mbit/s     12 Mbit/s           =
             uplink queueing 99 %   29.000 ms     29.000 ms           =
         downlink delay requested    5.000 ms      5.000 ms           =
          downlink delay achieved    5.020 ms      5.020 ms           =
          downlink loss requested        10 %          10 %           =
1: gm-link x
from 2026-11-21 12:00:00.000 UTC to 2026-11-21 12:00:02.000 UTC
2: gm-link x
from 2026-11-21 12:00:00.000 UTC to 2026-11-21 12:00:02.000 UTC, seed 7`
	got := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		got[strings.Join(strings.Fields(line), " ")] = true
	}
	for line := range strings.Lines(strings.TrimSpace(want)) {
		if l := strings.Join(strings.Fields(line), " "); !got[l] {
			t.Errorf("no line %q in\n%s", l, b.String())
		}
	}
	if strings.Contains(b.String(), "unread") || strings.Contains(b.String(), "undelivered") {
		t.Errorf("what did not happen is listed:\n%s", b.String())
	}
}

func TestPath(t *testing.T) {
	outer, inner := example("gm-delay", 1, 1900), example("gm-link", 2, 2000)
	inner.Uplink.Requested["rate_bits_per_second"] = 6e6
	inner.Verdict.Why = []string{"uplink: late"}
	outer.Verdict.Good = true
	p, err := Path([]*Report{inner, outer})
	if err != nil {
		t.Fatal(err)
	}
	up := p.Uplink
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"in", up.In.Packets, uint64(2100)}, {"out", up.Out.Packets, uint64(1900)}, {"dropped", up.Dropped["queue full"].Packets, uint64(200)},
		{"rate", up.Requested["rate_bits_per_second"], 6e6}, {"delay", up.Delay.P50, 20.0}, {"lateness", up.Lateness.Max, 3.0},
		{"CPU", p.CPUSeconds, 0.5}, {"downlink delay", p.Downlink.Requested["delay_ms"], 10.0},
		{"verdict", p.Verdict.Good, false}, {"why", strings.Join(p.Verdict.Why, ""), "gm-link: uplink: late"},
		{"loss", p.Downlink.Requested["loss"] > 0.1899 && p.Downlink.Requested["loss"] < 0.1901, true},
		{"tools", strings.Join(p.CommandLine, " "), "gm-delay gm-link"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestNoPath(t *testing.T) {
	at := func(tool string, level int, start, end time.Duration) *Report {
		r := example(tool, level, 1)
		r.Start, r.End = r.Start.Add(start), r.Start.Add(end)
		return r
	}
	const s = time.Second
	for _, row := range []struct {
		name   string
		levels []*Report
		path   string // or what is wrong
	}{
		{"one", []*Report{at("gm-delay", 1, 0, s)}, "gm-delay"},
		{"what is fused begins together", []*Report{at("gm-delay", 1, 0, s), at("gm-loss", 2, 0, s)}, "gm-delay gm-loss"},
		{"an inner one may last longer", []*Report{at("gm-delay", 1, 0, s), at("gm-loss", 2, s/2, 2*s)}, "gm-delay gm-loss"},
		{"some are not given", []*Report{at("gm-delay", 2, 0, s), at("gm-loss", 5, s/2, s)}, "gm-delay gm-loss"},
		{"siblings", []*Report{at("gm-delay", 1, 0, 3*s), at("gm-loss", 2, s, 2*s), at("gm-link", 2, 2*s, 3*s)}, "are both of level 2"},
		{"of two runs", []*Report{at("gm-delay", 1, 0, s), at("gm-loss", 2, 2*s, 3*s)}, "gm-loss (PID 0) did not run within gm-delay"},
		{"of two runs, the inner one's first", []*Report{at("gm-delay", 1, 2*s, 3*s), at("gm-loss", 2, 0, s)}, "did not run within"},
		{"a sandbox", []*Report{at("gm-sandbox", 1, 0, s)}, "gm-sandbox"},
		{"within sandboxes", []*Report{at("gm-loss", 4, 0, s), at("gm-sandbox", 1, 0, s), at("gm-sandbox", 3, 0, s), at("gm-delay", 2, 0, s), at("gm-link", 5, 0, s)},
			"gm-loss gm-link"},
	} {
		p, err := Path(row.levels)
		if err != nil && !strings.Contains(err.Error(), row.path) || err == nil && strings.Join(p.CommandLine, " ") != row.path {
			t.Errorf("%s: %v %v, want %s", row.name, p, err, row.path)
		}
	}
}

// No report takes another's place.
func TestInto(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		if err := example("gm-link", 2, uint64(n)).Into(dir); err != nil {
			t.Fatal(err)
		}
	}
	for n, name := range []string{"02-gm-link-0.json", "02-gm-link-0-2.json", "02-gm-link-0-3.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Read(name, bytes.NewReader(b)); err != nil || r.Uplink.Out.Packets != uint64(n) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	example("gm-link", 1, 2000).Write(&b)
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := Read("file", strings.NewReader(s)); err == nil {
			in := *r
			in.Level++
			if p, err := Path([]*Report{r, &in}); err == nil {
				Table(new(strings.Builder), []*Report{r, p})
			}
		}
	})
}
