package tool

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects"
	"gomahi/packet"
	"gomahi/profiles"
	"gomahi/scenario"
)

func init() { // for the tests of all tools
	tools["gm-path"], usages["gm-path"] = func() Tool { return new(Path) }, "SCENARIO [COMMAND...]"
	tools["gm-profile"], usages["gm-profile"] = func() Tool { return new(Profile) }, "NAME|FILE.toml [COMMAND...]"
}

// files writes files into a directory of the test, which becomes the current one.
func files(t *testing.T, texts map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range texts {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const threeRows = "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,10,12\n1000,0,20,12\n2000,1,5,24\n"

func TestWrongPaths(t *testing.T) {
	files(t, map[string]string{"good.csv": threeRows, "other.csv": threeRows, "own.toml": "uplink.rate = \"1Mbps\"\ndownlink.rate = \"1Mbps\"\n", "bad.csv": "Time[ms]\n", "rate.toml": "uplink.rate = \"good.csv\"\ndownlink.rate = \"1Mbps\"\n",
		"one.toml": "uplink.rate = \"1Mbps\"\n", "queue.toml": "uplink.rate = \"1Mbps\"\ndownlink = { rate = \"1Mbps\", queue = \"fifo\" }\n",
		"form.toml": "uplink.rate = \n"})
	const keys = "a profile has [uplink] and [downlink], each with rate, and optionally delay, loss, queue and queue-args, " +
		`as in rate = "12Mbps"; besides source, read and called`
	for _, row := range []struct{ line, problem, hint string }{
		{"gm-path", "too few arguments", "usage: gm-path [OPTION...] SCENARIO [COMMAND...]"},
		{"gm-path good.csv --buffer=x", `"x" is no size for a buffer`, "give a number of bandwidth-delay products from 0.001 to 1000000: 1.0"},
		{"gm-path good.csv --reconfiguration-delay=x", `reconfiguration delay "x" is not a duration`,
			"give a number of milliseconds, or one with a unit: 20ms, 0.2s, 250us"},
		{"gm-path good.csv --resize=never", `--resize must be one of "on-route-change","always" but got "never"`,
			"see gm-path --help; options of a command come after it"},
		{"gm-path --check none.csv", "open none.csv: no such file or directory",
			"give a scenario: a CSV file with a header such as Time[ms],RouteID,Delay[ms],Rate[Mbps]"},
		{"gm-path --check good.csv ls", `nothing is run with --check or --plot, and "ls" is a command`, "leave out the command, or --check and --plot"},
		{"gm-path --plot=./good.csv good.csv", `"./good.csv" is in use and would be overwritten`, "give another file to write"},
		{"gm-path good.csv --downlink=other.csv --report=other.csv true", `"other.csv" is in use and would be overwritten`, "give another file to write"},
		{"gm-path good.csv --events=new --report=new true", `"new" is in use and would be overwritten`, "give another file to write"},
		{"gm-profile own.toml --report=own.toml true", `"own.toml" is in use and would be overwritten`, "give another file to write"},
		{"gm-profile 3g true", `there is no profile "3g"`, "see gm-profile list, or give a FILE.toml"},
		{"gm-profile ../path_test.go true", `there is no profile "../path_test.go"`, "see gm-profile list, or give a FILE.toml"},
		{"gm-profile none.toml true", "open none.toml: no such file or directory", "give a file that can be read, or a profile's name: see gm-profile list"},
		{"gm-profile one.toml true", "one.toml: the downlink has no rate", keys},
		{"gm-profile form.toml true", "form.toml:1:15: expected value but found '\\n' instead", keys},
		{"gm-profile rate.toml true", `rate.toml: "good.csv" or "1Mbps" is no rate`, "a profile's rate is a number with a unit, such as 12Mbps"},
		{"gm-profile queue.toml true", `queue.toml: downlink queue: unknown queue "fifo"`, "the queues are infinite, droptail, drophead, codel, pie, fq_codel, red"},
		{"gm-profile show", "show takes the name of one profile", "usage: gm-profile show NAME"},
		{"gm-profile list x", `list takes no arguments, and "x" is one`, "usage: gm-profile list"},
	} {
		t.Run(row.line, func(t *testing.T) {
			f := strings.Fields(row.line)
			var stdout, stderr bytes.Buffer
			status := Main(tools[f[0]](), f[1:], &stdout, &stderr)
			want := f[0] + ": error: " + row.problem + "\n" + f[0] + ": hint: " + row.hint + "\n"
			if d := cmp.Diff(want, stderr.String()); status != 2 || stdout.Len() != 0 || d != "" {
				t.Errorf("status %d, standard output %q (-want +got):\n%s", status, stdout.String(), d)
			}
		})
	}
}

// What phantomlink's users know of its command line.
func TestPhantomlink(t *testing.T) {
	files(t, map[string]string{"three.csv": threeRows, "down.csv": "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,7,1\n"})
	type path struct {
		*Path
		up, down []scenario.Change
		err      error
	}
	limit := func(q scenario.State) int {
		_, bytes := q.Limits()
		return bytes
	}
	for _, row := range []struct {
		name, line string
		holds      func(path) bool
	}{
		{"the same file drives both directions", "three.csv", func(p path) bool { return len(p.up) == 3 && cmp.Equal(p.up, p.down) }},
		{"but where the downlink has a file of its own", "--downlink=down.csv three.csv", func(p path) bool {
			return len(p.up) == 3 && len(p.down) == 1 && p.down[0].Delay == 7*time.Millisecond
		}},
		{"the queue holds rate times twice the delay", "three.csv", func(p path) bool { return limit(p.up[0].State) == 12e6/8*20/1000 }},
		{"times the multiplier", "--buffer=2.5 three.csv", func(p path) bool { return limit(p.up[0].State) == 12e6/8*20/1000*5/2 }},
		{"the clock starts by the first packet unless told otherwise", "three.csv", func(p path) bool {
			_, began := p.clock().Began()
			return p.Start == "first-packet" && !began
		}},
		{"or with the program", "--start=now three.csv", func(p path) bool {
			at, began := p.clock().Began()
			return at == 0 && began
		}},
		{"it prints when the clock started", "three.csv", func(p path) bool {
			var out strings.Builder
			v := newLevel(p.Path, nil, nil, &out)
			c := p.clock()
			v.link.began = c.Began
			v.sayBegan()
			c.Begin(1500 * time.Microsecond)
			v.sayBegan()
			return out.String() == "gm-path: the scenario did not begin\ngm-path: the scenario began 1.5ms after the start\n"
		}},
		// It sets limits of sockets' buffers too, which gm-path leaves to the host: they are not the path's (gm-path(1)).
	} {
		t.Run(row.name, func(t *testing.T) {
			p := path{Path: new(Path)}
			own, _, err := p.Grammar().Parse(strings.Fields(row.line))
			if err == nil {
				err = p.Set(own)
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.up, p.down, p.err = p.load(); p.err != nil || !row.holds(p) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// departures are when those of 300 packets, one each 10 ms, came and left that did.
func departures(s effects.Stage) (out [][2]time.Duration) {
	var pool packet.Pool
	settle := func(until time.Duration) {
		for at, ok := s.Next(); ok && at <= until; at, ok = s.Next() {
			if p, ok := s.Pop(at); ok {
				out = append(out, [2]time.Duration{p.Arrival, p.Due})
				p.Release()
			}
		}
	}
	for i := range 300 {
		now := time.Duration(i) * 10 * time.Millisecond
		settle(now)
		f := pool.Get()
		f.FilledPlain(1500)
		s.Push(now, f.Packet(0, now))
	}
	settle(time.Hour)
	return out
}

// A path's stages are those of its options, each direction with its own scenario, and the report has their changes.
func TestPathStages(t *testing.T) {
	files(t, map[string]string{"s": threeRows, "down": "Time[ms],Delay[ms],Loss[%]\n0,1,100\n", "lossy": "Time[ms],Loss[%],Jitter[ms]\n0,0,0\n5,50,3\n"})
	play := func(file string, o effects.PathOptions, interpolate, loop bool) effects.Stage {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := scenario.Parse(file, bytes.NewReader(b), scenario.Queue{Unit: scenario.BDP, Value: 1})
		if err != nil {
			t.Fatal(err)
		}
		o.LossFrom, o.JitterFrom = effects.Random(5, "uplink"), effects.Random(5, "uplink jitter")
		var r reasons
		o.Seen, o.Beyond = changing{watched{effects.Unobserved{}, &r}, nil}, &r
		return effects.NewPath(scenario.Play(s.Uplink, interpolate, loop), effects.NewClock(nil), o)
	}
	for _, row := range []struct {
		line   string
		want   effects.Stage
		random bool
	}{
		{"gm-path s --start=now", play("s", effects.PathOptions{}, false, false), false},
		{"gm-path s --start=now --loop --interpolate", play("s", effects.PathOptions{}, true, true), false},
		{"gm-path s --start=now --reconfiguration-delay=500", play("s", effects.PathOptions{Pause: 500 * time.Millisecond}, false, false), false},
		{"gm-path s --start=now --reconfiguration-delay=0.5s --reconfiguration-mode=all --resize=always",
			play("s", effects.PathOptions{Pause: 500 * time.Millisecond, Shift: true, Resize: true}, false, false), false},
		{"gm-path lossy --start=now", play("lossy", effects.PathOptions{}, false, false), true},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, _ := fill(t, row.line)
			var up, down reasons
			l := &Link{Seed: 5, UpDrops: &up, DownDrops: &down}
			if err := tool.Link(l); err != nil {
				t.Fatal(err)
			}
			if l.random.Load() != row.random {
				t.Errorf("it draws random numbers: %v", l.random.Load())
			}
			if d := cmp.Diff(departures(row.want), departures(l.Uplink)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	tool, _ := fill(t, "gm-path s --downlink=down --start=first-transport-packet")
	var up, down reasons
	l := &Link{Seed: 5, UpDrops: &up, DownDrops: &down}
	if err := tool.Link(l); err != nil {
		t.Fatal(err)
	}
	var pool packet.Pool
	f := pool.Get()
	f.FilledPlain(100)
	l.Downlink.Push(0, f.Packet(0, 0))
	l.Downlink.Pop(time.Second)
	if _, began := l.began(); began || down.n != 1 || len(l.Up.changes) != 1 || len(l.Down.changes) != 1 {
		t.Errorf("began %v, %d lost, changes %v and %v", began, down.n, l.Up.changes, l.Down.changes)
	}
}

// At the end of a run the report has every change, though no packet came.
func TestPathReport(t *testing.T) {
	files(t, map[string]string{"s": threeRows})
	tool, _ := fill(t, "gm-path s --start=now --interpolate")
	l := &Link{UpDrops: new(tally), DownDrops: new(tally)}
	if err := tool.Link(l); err != nil {
		t.Fatal(err)
	}
	for _, finish := range l.Finish {
		if err := finish(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	var at []int64
	for _, c := range l.Down.changes {
		at = append(at, c.At)
	}
	if d := cmp.Diff([]int64{0, 1e9, 2e9}, at); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if c := l.Up.changes[2]; c.Route != 1 || c.Delay != 5 || c.Rate != 24e6 || c.Queue != "1 bdp" || c.Link != "up" {
		t.Errorf("%+v", c)
	}
}

func TestCheck(t *testing.T) {
	files(t, map[string]string{"s": "Time[ms],RouteID,Delay[ms],Rate[Mbps],Uplink-Loss[%],Jitter[ms],Downlink-Queue[packets],Link[up|down]\n" +
		"5,0,10,12,0,,7,\n1000,0,20,24,0.7,1.5,,down\n2000,1,5,,,,,up\n"})
	var stdout, stderr bytes.Buffer
	if status := Main(new(Path), []string{"--check", "s", "--loop", "--reconfiguration-delay=50"}, &stdout, &stderr); status != 0 {
		t.Fatal(stderr.String())
	}
	want := `uplink, 3 rows, again after 3 s
  time          route  delay       rate        queue   loss  jitter  link
   0 s              0  10 ms  12 Mbit/s  30000 bytes    0 %    0 ms    up
   1 s              0  20 ms  24 Mbit/s  30000 bytes  0.7 %  1.5 ms  down
   2 s  1 after 50 ms   5 ms  24 Mbit/s  30000 bytes  0.7 %  1.5 ms    up

delay  ▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃████████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  5 to 20 ms
rate   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████████████████████████  12 Mbit/s to 24 Mbit/s

downlink, 3 rows, again after 3 s
  time          route  delay       rate      queue  jitter  link
   0 s              0  10 ms  12 Mbit/s  7 packets    0 ms    up
   1 s              0  20 ms  24 Mbit/s  7 packets  1.5 ms  down
   2 s  1 after 50 ms   5 ms  24 Mbit/s  7 packets  1.5 ms    up

delay  ▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃████████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  5 to 20 ms
rate   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████████████████████████  12 Mbit/s to 24 Mbit/s
`
	if d := cmp.Diff(want, stdout.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Every profile is a link that gm-link takes, the one that show prints.
func TestEveryProfile(t *testing.T) {
	if n := len(profiles.Names()); n != 20 {
		t.Errorf("%d profiles", n)
	}
	for _, name := range profiles.Names() {
		p, err := profiles.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(show(name, p), "\n")
		if !strings.HasPrefix(lines[0], "# "+name) || !strings.Contains(lines[0], p.Source) || p.Source == "" || p.Read.IsZero() {
			t.Errorf("%s: %q", name, lines[0])
		}
		link, _ := fill(t, lines[1])
		tool, _ := fill(t, "gm-profile "+name)
		want, got := link.(*LinkTool), &tool.(*Profile).link
		if d := cmp.Diff([]direction{want.up, want.down}, []direction{got.up, got.down}, cmp.AllowUnexported(direction{}), cmp.Comparer(
			func(a, b interface{ String() string }) bool { return a.String() == b.String() })); d != "" {
			t.Errorf("%s (-gm-link +gm-profile):\n%s", name, d)
		}
	}
}
