package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// upLog is of a second in which half of the capacity is used, and a packet is dropped.
const upLog = "# queue: infinite\n# base timestamp: 10\n10 # 1504\n10 + 1000\n10 + 500\n510 - 1000 500\n510 - 500 500\n" +
	"510 d 1 500\n1010 # 1496\n"

const (
	upFigures = "Average capacity: 0.02 Mbits/s\nAverage throughput: 0.01 Mbits/s (50.0% utilization)\n" + upDelays
	upDelays  = "95th percentile per-packet queueing delay: 500 ms\n95th percentile signal delay: 500 ms\n"
	downLog   = "0 + 1000\n8 - 1000 8\n"
	downWords = "Average capacity: unknown\nAverage throughput: 1.00 Mbits/s (utilization unknown)\n" +
		"95th percentile per-packet queueing delay: 8 ms\n95th percentile signal delay: 8 ms\n"
)

// at runs the program in a new directory that has up.log, down.log, bad.log and a log called 500.
func at(t *testing.T, args, stdin string) (status int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"up.log": upLog, "down.log": downLog, "bad.log": "1 + 1\nx\n", "500": upLog} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	status = run(strings.Fields(args), strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func TestGraphs(t *testing.T) {
	for _, row := range []struct{ name, args, stdin, written, label, stderr string }{
		{"throughput", "throughput up.log", "", "", "throughput (Mbits/s)", upFigures},
		{"bins", "throughput 100 up.log", "", "", "throughput (Mbits/s)", upFigures},
		{"delay", "delay up.log", "", "", "delay (ms)", upDelays},
		{"standard input", "throughput", upLog, "", "standard input", upFigures},
		{"bins of standard input", "throughput 100", upLog, "", "standard input", upFigures},
		{"standard input by name", "delay -", upLog, "", "standard input", upDelays},
		{"a log called like a number", "throughput ./500", "", "", "./500", upFigures},
		{"a delay log called like a number", "delay 500", "", "", "500", upDelays},
		{"an SVG", "throughput -o x.svg up.log", "", "x.svg", "throughput (Mbits/s)", upFigures},
		{"a PNG", "throughput up.log -o x.png", "", "x.png", "", upFigures},
		{"a PNG in capitals", "delay --output=x.PNG up.log", "", "x.PNG", "", upDelays},
		{"options in between", "delay --output x.png up.log", "", "x.png", "", upDelays},
		{"two logs", "throughput up.log down.log", "", "", "down.log", "up.log:\n" + upFigures + "down.log:\n" + downWords},
		{"two delay logs", "delay up.log -", downLog, "", "standard input", "up.log:\n" + upDelays + "standard input:\n" +
			downWords[strings.Index(downWords, "95th"):]},
		{"after dashes", "delay -o x.svg -- up.log", "", "x.svg", "delay (ms)", upDelays},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, stdout, stderr := at(t, row.args, row.stdin)
			if status != 0 {
				t.Errorf("the status is %d", status)
			}
			if d := cmp.Diff(row.stderr, stderr); d != "" {
				t.Errorf("standard error (-want +got):\n%s", d)
			}
			graph := stdout
			if row.written != "" {
				b, err := os.ReadFile(row.written)
				if err != nil {
					t.Fatal(err)
				}
				graph = string(b)
				if stdout != "" {
					t.Errorf("standard output has %q too", stdout)
				}
			}
			if row.label == "" {
				if _, err := png.Decode(strings.NewReader(graph)); err != nil {
					t.Error(err)
				}
				return
			}
			if !strings.Contains(graph, "</svg>") || !strings.Contains(graph, ">"+row.label+"</text>") {
				t.Errorf("no SVG with %q in it: %.300q", row.label, graph)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	const want = `[
  {
    "file": "up.log",
    "capacity_mbps": 0.024,
    "ingress_mbps": 0.012,
    "throughput_mbps": 0.012,
    "utilization": 0.5,
    "queueing_delay_ms": {
      "p50": 500,
      "p95": 500,
      "p99": 500,
      "max": 500,
      "mean": 500
    },
    "signal_delay_ms": {
      "p50": 500,
      "p95": 500,
      "p99": 500,
      "max": 500,
      "mean": 500
    },
    "arrivals": 2,
    "departures": 2,
    "drops": 1,
    "bytes": 1500,
    "duration_ms": 1000
  }
]
`
	for _, args := range []string{"throughput --json up.log", "delay up.log --json", "throughput 100 --json -o x.svg up.log"} {
		status, stdout, stderr := at(t, args, "")
		if status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %q", args, status, stderr)
		}
		if d := cmp.Diff(want, stdout); d != "" {
			t.Errorf("%s (-want +got):\n%s", args, d)
		}
		if _, err := os.Stat("x.svg"); (err == nil) != strings.Contains(args, "-o") {
			t.Errorf("%s: the graph: %v", args, err)
		}
	}
	_, stdout, _ := at(t, "throughput --json"+strings.Repeat(" down.log", 20), "")
	var got []struct {
		Capacity *float64 `json:"capacity_mbps"`
		Signal   *struct{ P95 float64 }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got) != 20 || got[0].Capacity != nil {
		t.Errorf("20 logs without capacity: %v, %v", err, got)
	}
}

func TestErrors(t *testing.T) {
	const (
		use  = "usage: gm-graph throughput [MS-PER-BIN] [LOG...] | gm-graph delay [LOG...]"
		bins = "give a whole number of milliseconds from 1, such as 500; a log of that name is ./"
		end  = "end it in .svg or .png"
		see  = "see gm-graph --help"
		logs = "name logs that gm-link or mm-link wrote, with --uplink-log or --downlink-log"
		form = "an event is MS # BYTES, MS + BYTES, MS - BYTES DELAY-MS, or MS d PACKETS BYTES"
	)
	for _, row := range []struct {
		name, args    string
		status        int
		problem, hint string
	}{
		{"nothing", "", 2, "too few arguments", use},
		{"another kind", "through up.log", 2, `"through" is no kind of graph`, use},
		{"a log alone", "up.log", 2, `"up.log" is no kind of graph`, use},
		{"an unknown option", "delay --bogus up.log", 2, "unknown flag --bogus", see},
		{"bins of 0", "throughput 0 up.log", 2, `MS-PER-BIN "0" is no length of a bin`, bins + "0"},
		{"negative bins", "throughput -5 up.log", 2, `MS-PER-BIN "-5" is no length of a bin`, bins + "-5"},
		{"broken bins", "throughput 0.5 up.log", 2, `MS-PER-BIN "0.5" is no length of a bin`, bins + "0.5"},
		{"long bins", "throughput 1000000001 up.log", 2, `MS-PER-BIN "1000000001" is no length of a bin`, bins + "1000000001"},
		{"another format", "delay -o x.gif up.log", 2, `-o "x.gif" does not say what format to write`, end},
		{"no format", "delay -o x up.log", 2, `-o "x" does not say what format to write`, end},
		{"a log written over", "delay -o ./x.svg x.svg", 2, `-o "./x.svg" would overwrite a log`, "name another file"},
		{"standard input twice", "delay - -", 2, "standard input cannot be two logs", "give - once"},
		{"nine logs", "delay" + strings.Repeat(" up.log", 9), 2,
			"9 logs are too many for one graph, which can tell 8 apart", "more can be listed with --json"},
		{"no such log", "delay x.log", 1, "x.log: no such file or directory", logs},
		{"no log", "delay bad.log", 1, `bad.log:2: no event: "x"`, form},
		{"the second", "throughput up.log bad.log", 1, `bad.log:2: no event: "x"`, form},
		{"nothing on standard input", "delay", 1, "standard input: no events", form},
		{"a directory", "delay .", 1, "reading .: is a directory", ""},
		{"no place", "delay up.log -o no/x.svg", 1, "writing the graph: open no/x.svg: no such file or directory", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, stdout, stderr := at(t, row.args, "")
			if status != row.status || stdout != "" {
				t.Errorf("status %d, not %d; %q on standard output", status, row.status, stdout)
			}
			want := "gm-graph: error: " + row.problem + "\n"
			if row.hint != "" {
				want += "gm-graph: hint: " + row.hint + "\n"
			}
			_, stderr, _ = strings.Cut("\n"+stderr, "\ngm-graph: ") // figures may stand before it
			if d := cmp.Diff(want, "gm-graph: "+stderr); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{"--help": "Usage: gm-graph throughput", "delay -h": "Examples:\n  gm-graph",
		"--version": "gm-graph (gomahi) "} {
		if status, stdout, stderr := at(t, args, ""); status != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFull(t *testing.T) {
	for args, what := range map[string]string{"delay": "the graph", "delay --json": "the figures"} {
		var errs bytes.Buffer
		status := run(strings.Fields(args), strings.NewReader(upLog), full{}, &errs)
		want := "gm-graph: error: writing " + what + ": no space left\n"
		if !strings.HasSuffix(errs.String(), want) || status != 1 {
			t.Errorf("%s: status %d, %q", args, status, errs.String())
		}
	}
}
