package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// call runs a command line as it would be typed, without quotes.
func call(stdin, line string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(strings.Fields(line), strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"a": "1\n2\n3\n4\n", "b": "5\n10\n", "rates": "24\n12\n", "bad": "1\nx\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const four = "1\n2\n3\n4\n"
	const about = "opportunities   4\nduration        0.004 s\nmean            12 Mbit/s\n" +
		"p5 p50 p95      12 Mbit/s, 12 Mbit/s, 12 Mbit/s over 4 ms\nlongest outage  1 ms\n█\n"
	for _, row := range []struct{ name, stdin, line, want string }{
		{"info of a file", "", "info a", about},
		{"info of standard input", four, "info", about},
		{"info of a dash", four, "info -", about},
		{"make", "", "make constant 12Mbps --seconds 0.004", four},
		{"options first", "", "make --seconds=0.004 constant 12Mbps", four},
		{"make, fine and with a comment", "", "make constant 8Mbps --seconds .003 --fine --comment",
			"# command line: gm-trace make constant 8Mbps --seconds=0.003 --fine --seed=1\n# seed: 1\n1.5\n3\n"},
		{"make with gaps", "", "make constant 12Mbps --seconds .002 --gaps 1h,1ms --seed 7 --comment",
			"# command line: gm-trace make constant 12Mbps --seconds=0.002 --gaps=1h,1ms --seed=7\n# seed: 7\n1\n2\n"},
		{"convert", "", "convert rates --from mbps", "1\n1\n2\n"},
		{"convert, guessed", "24\n12\n", "convert", "1\n1\n2\n"},
		{"convert to rates", four, "convert --to mbps --interval 2ms", "12\n12\n"},
		{"convert finely", "8\n8\n", "convert --from mbps --interval 1.5ms --fine", "1.5\n3\n"},
		{"cut", "", "cut 2ms 0.004 a", "1\n2\n"},
		{"cut standard input", four, "cut 2ms 4ms", "1\n2\n"},
		{"scale", "", "scale 0.5 a", "2\n4\n"},
		{"scale standard input", four, "scale 2 -", "1\n1\n2\n2\n3\n3\n4\n4\n"},
		{"repeat", "", "repeat 2 b", "5\n10\n15\n20\n"},
		{"join", "", "join a b", "1\n2\n3\n4\n9\n14\n"},
		{"join standard input", "7\n", "join a - b", "1\n2\n3\n4\n11\n16\n21\n"},
		{"into a file", "", "scale 0.5 a -o half", ""},
		{"into the file that was read", "", "scale 0.5 b -o b", ""},
		{"into standard output", "", "scale 1 a -o -", four},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, stdout, stderr := call(row.stdin, row.line)
			if status != 0 || stdout != row.want || stderr != "" {
				t.Errorf("status %d\n%s%s\nwant\n%s", status, stdout, stderr, row.want)
			}
		})
	}
	for name, want := range map[string]string{"half": "2\n4\n", "b": "10\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", name, got, err, want)
		}
	}

	const all = "one of info, plot, make, convert, cut, scale, repeat, join; see gm-trace --help"
	for _, row := range []struct {
		name, line    string
		status        int
		problem, hint string
	}{
		{"nothing", "", 2, "the command is missing", all},
		{"an unknown command", "draw a", 2, `"draw" is no command`, all},
		{"an option first", "--seed 7 make", 2, `"--seed" is no command`, all},
		{"an unknown option", "info --bogus a", 2, "unknown flag --bogus", "see gm-trace info --help"},
		{"two files", "info a b", 2, "info does not take 2 arguments", "usage: gm-trace info [FILE]"},
		{"no file", "info nosuch", 1, "nosuch: no such file or directory", "is the name right, and is it relative to this directory?"},
		{"a directory", "info " + dir, 1, dir + ": is a directory", "give a file in it"},
		{"a bad file", "info bad", 1, `bad:2: "x" is not a number of milliseconds`,
			"a trace has one time per line, in milliseconds since its start: 12 or 0.25"},
		{"a bad standard input", "scale 2", 1, "standard input: there is no time in it",
			"a trace has one time per line, in milliseconds since its start: 12 or 0.25"},
		{"a bad rate", "make constant 12", 2, `rate "12" has no unit`,
			"is it a file? there is none of that name here; a rate needs a unit: 12Mbps"},
		{"bad seconds", "make constant 12Mbps --seconds 0", 2, "0 seconds is no length for a trace", "from 0.001 to 1000000000"},
		{"no seconds", "make constant 12Mbps --seconds NaN", 2, "NaN seconds is no length for a trace", "from 0.001 to 1000000000"},
		{"a bad seed", "make constant 12Mbps --seed=-1", 2, `--seed: expected a valid 64 bit uint but got "-1"`,
			"see gm-trace make --help"},
		{"not one packet", "make constant 1kbps --seconds 1", 1, "there is not one opportunity in all this time",
			"give a higher rate or a longer time"},
		{"a bad format", "convert --to xml a", 2, `"xml" is no format to write`, "one of mahimahi, mbps, csv, pensieve, phantomlink"},
		{"a bad interval", "convert --to csv --interval 0 a", 2, `interval "0" is too short`, "at least 1us"},
		{"a cut too far", "cut 0 1s a", 2, "1s is after the trace's end at 4ms", "gm-trace repeat makes it longer"},
		{"a bad factor", "scale twice a", 2, `"twice" is not a factor`, "give a number above 0: 0.5, 2"},
		{"an infinite factor", "scale inf a", 2, "the factor +Inf is not above 0", "give a number above 0: 0.5, 2"},
		{"a bad number", "repeat 1.5 a", 2, `"1.5" is not a number of times`, "give a whole number from 1"},
		{"join nothing", "join", 2, "join does not take 0 arguments", "usage: gm-trace join FILE..."},
		{"join standard input twice", "join - -", 2, "standard input can be read only once", "name one - and the others as files"},
		{"a picture of no kind", "plot a -o a.gif", 2, `"a.gif" names no kind of picture`, "give a name that ends in .svg or .png"},
		{"too fine a picture", "plot a --bin 1us", 2, "more than 1000 bins", "give a longer --bin"},
		{"a place that is not there", "scale 1 a -o no/such", 1, "writing no/such: no such file or directory", "is there such a directory, and may you write there?"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, stdout, stderr := call("", row.line)
			want := "gm-trace: error: " + row.problem + "\ngm-trace: hint: " + row.hint + "\n"
			if status != row.status || stdout != "" || stderr != want {
				t.Errorf("status %d, want %d\n%s%s\nwant\n%s", status, row.status, stdout, stderr, want)
			}
		})
	}
}

func TestWriteError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	var stderr bytes.Buffer
	status := run([]string{"make", "constant", "1Mbps"}, nil, w, &stderr)
	if got := stderr.String(); status != 1 || !strings.HasPrefix(got, "gm-trace: error: writing standard output: ") ||
		!strings.HasSuffix(got, "\ngm-trace: hint: is there room, and is the reader still there?\n") {
		t.Errorf("status %d\n%s", status, got)
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := call("", "--version")
	if status != 0 || !strings.HasPrefix(stdout, "gm-trace (gomahi) ") || stderr != "" {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
	_, overview, _ := call("", "--help")
	for _, c := range commands() {
		if !strings.Contains(overview, "\n  "+c.Name+" ") {
			t.Errorf("%s is not in the help", c.Name)
		}
		status, stdout, stderr := call("", c.Name+" --help")
		if status != 0 || !strings.HasPrefix(stdout, "Usage: gm-trace "+c.Name+" ") || stderr != "" ||
			!strings.Contains(stdout, "\nExamples:\n  gm-trace ") || strings.Contains(stdout, "--args") {
			t.Errorf("%s: %d, %q, %q", c.Name, status, stdout, stderr)
		}
		if status, stdout, _ := call("", c.Name+" --version"); status != 0 || !strings.HasPrefix(stdout, "gm-trace (gomahi) ") {
			t.Errorf("%s: %d, %q", c.Name, status, stdout)
		}
	}
}

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	_, long, _ := call("", "make walk 1Mbps 9Mbps 1Mbps --seconds 150")
	_, fast, _ := call("", "make constant 4.8Gbit --fine --seconds 0.001")
	for _, row := range []struct {
		name, trace, options string
		labels               []string
	}{
		{"long", long, "", []string{"time (s)", "rate over 200 ms (Mbit/s)", ">140<", "mean 5"}},
		{"shorter than a bin", fast, "", []string{"rate over 1 ms (Gbit/s)", ">0.0010<", "mean 4.8 Gbit/s"}},
		{"a bin of one's own", fast, "--bin 100us", []string{"rate over 0.1 ms (Gbit/s)"}},
		{"one packet", "1000\n", "", []string{"rate over 100 ms (kbit/s)", "mean 12 kbit/s"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, svg, stderr := call(row.trace, "plot "+row.options)
			if status != 0 || stderr != "" || !strings.Contains(svg, "<svg") {
				t.Fatalf("%d, %q", status, stderr)
			}
			for _, label := range row.labels {
				if !strings.Contains(svg, label) {
					t.Errorf("%q is not there", label)
				}
			}
			path := filepath.Join(dir, "x.png")
			if status, _, stderr := call(row.trace, "plot "+row.options+" -o "+path); status != 0 {
				t.Fatalf("%d, %q", status, stderr)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			picture, err := png.Decode(f)
			if err != nil {
				t.Fatal(err)
			}
			if size := picture.Bounds().Size(); size.X != 1024 || size.Y != 560 {
				t.Errorf("it has %v pixels", size)
			}
		})
	}
}

func TestUsualBin(t *testing.T) {
	for period, want := range map[time.Duration]time.Duration{1: 100 * time.Millisecond, time.Minute: 100 * time.Millisecond,
		100 * time.Second: 100 * time.Millisecond, 101 * time.Second: 200 * time.Millisecond, time.Hour: 5 * time.Second,
		1e18: 1e6 * time.Second} {
		if got := usualBin(period); got != want {
			t.Errorf("%v for %v, want %v", got, period, want)
		}
	}
}

// The traces that come with the project are what their commands make.
func TestTraces(t *testing.T) {
	const dir = "../../traces"
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| ([^ ]+) \\|.*\\| `gm-trace ([^`]+)` \\|$").FindAllStringSubmatch(string(readme), -1) {
		described[m[1]] = m[2]
	}
	var size int64
	for _, f := range files {
		if f.Name() == "README.md" {
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			size += int64(len(want))
			line, ok := described[f.Name()]
			if !ok {
				t.Fatal("README.md does not say how it was made")
			}
			delete(described, f.Name())
			status, got, stderr := call("", line)
			if status != 0 || got != string(want) {
				t.Errorf("%s makes something else: status %d, %d bytes for %d, %s", line, status, len(got), len(want), stderr)
			}
			if regexp.MustCompile(`[^0-9\n]`).MatchString(got) {
				t.Error("the original cannot read it")
			}
		})
	}
	if len(described) > 0 {
		t.Errorf("there is no %v", described)
	}
	if size > 2_000_000 {
		t.Errorf("they have %d bytes", size)
	}
}
