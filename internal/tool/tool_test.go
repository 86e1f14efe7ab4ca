package tool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/packet"
	"gomahi/shell"
	"gomahi/tun/tuntest"
)

var tools = map[string]func() Tool{
	"gm-delay":        func() Tool { return new(Delay) },
	"gm-loss":         func() Tool { return new(Loss) },
	"gm-onoff":        func() Tool { return new(OnOff) },
	"gm-intermittent": func() Tool { return new(Intermittent) },
	"gm-link":         func() Tool { return new(LinkTool) },
}

// usages are the ends of the hints about too few arguments.
var usages = map[string]string{
	"gm-delay":        "DELAY [COMMAND...]",
	"gm-loss":         "uplink|downlink|both RATE [COMMAND...]",
	"gm-onoff":        "uplink|downlink|both MEAN-ON MEAN-OFF [COMMAND...]",
	"gm-intermittent": "uplink|downlink|both ON OFF [COMMAND...]",
	"gm-link":         "UPLINK DOWNLINK [COMMAND...]",
}

// fill splits a command line, whose first word is the tool, and makes the tool of it as Main does.
func fill(t testing.TB, line string) (tool Tool, command []string) {
	t.Helper()
	f := strings.Fields(line)
	tool = tools[f[0]]()
	own, command, err := tool.Grammar().Parse(f[1:])
	if err == nil {
		err = tool.Set(own)
	}
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return tool, command
}

func TestWrongUsage(t *testing.T) {
	const (
		milliseconds = "give a number of milliseconds, or one with a unit: 20ms, 0.2s, 250us"
		seconds      = "give a number of seconds, or one with a unit: 20ms, 0.2s, 250us"
		probability  = "give a number from 0 to 1, or a percentage: 0.05, 5%"
		direction    = "uplink is out of the container, downlink into it, or both"
		notBoth      = "one of them must be more than 0"
		short        = "give 0, or at least 100us"
	)
	type row struct{ line, problem, hint string }
	rows := []row{
		{"gm-delay soon", `delay "soon" is not a duration`, milliseconds},
		{"gm-delay -5", `delay "-5" is negative`, milliseconds},
		{"gm-delay 5parsec ls", `delay "5parsec" has the unknown unit "parsec"`, milliseconds},
		{"gm-delay 31m40000000h", `delay "31m40000000h" is not a duration`, milliseconds},
		{"gm-delay 300000h", `delay "300000h" is too long`, "at most 30 years"},
		{"gm-delay --uplink=x ls", `uplink delay "x" is not a duration`, milliseconds},
		{"gm-delay --downlink -1 ls", `downlink delay "-1" is negative`, milliseconds},
		{"gm-delay --uplink=10 --downlink=x", `downlink delay "x" is not a duration`, milliseconds},
		{"gm-delay 50 --uplink=10 ls", `"50" does not go with these options`, "usage: gm-delay [OPTION...] DELAY [COMMAND...]"},

		{"gm-loss uplink", "too few arguments", "usage: gm-loss [OPTION...] " + usages["gm-loss"]},
		{"gm-loss 0.1 uplink", `"0.1" is not a direction`, direction},
		{"gm-loss up 0.1", `"up" is not a direction`, direction},
		{"gm-loss uplink 1.5", `loss rate "1.5" is more than 1`, probability},
		{"gm-loss uplink 101%", `loss rate "101%" is more than 1`, probability},
		{"gm-loss uplink -0.1", `loss rate "-0.1" is negative`, probability},
		{"gm-loss uplink half ls", `loss rate "half" is not a probability`, probability},
		{"gm-loss --seed=x uplink 0.1", `--seed: expected a valid 64 bit uint but got "x"`,
			"see gm-loss --help; options of a command come after it"},

		{"gm-onoff uplink 1", "too few arguments", "usage: gm-onoff [OPTION...] " + usages["gm-onoff"]},
		{"gm-onoff sideways 1 1", `"sideways" is not a direction`, direction},
		{"gm-onoff both x 1", `time on "x" is not a duration`, seconds},
		{"gm-onoff both 1 -1", `time off "-1" is negative`, seconds},
		{"gm-onoff both 0 0s", "both durations are 0", notBoth},
		{"gm-onoff both 99us 1", `mean duration "99us" is too short`, short},
		{"gm-onoff both 1 99999ns", `mean duration "99999ns" is too short`, short},

		{"gm-intermittent sideways 1 1", `"sideways" is not a direction`, direction},
		{"gm-intermittent both 1 x", `time off "x" is not a duration`, seconds},
		{"gm-intermittent both 0 0", "both durations are 0", notBoth},
		{"gm-intermittent --seed=7 both 1 1", "unknown flag --seed",
			"see gm-intermittent --help; options of a command come after it"},
	}
	for name, usage := range usages {
		if strings.HasPrefix(usage, "[") {
			continue // it needs none
		}
		rows = append(rows,
			row{name, "too few arguments", "usage: " + name + " [OPTION...] " + usage},
			row{name + " --help=false", "too few arguments", "usage: " + name + " [OPTION...] " + usage},
			row{name + " --bogus", "unknown flag --bogus", "see " + name + " --help; options of a command come after it"},
		)
	}
	for _, good := range []string{"gm-delay 5", "gm-loss uplink 0.1", "gm-onoff both 1 1", "gm-intermittent both 1 1", "gm-link 1Mbps 1Mbps"} {
		rows = append(rows, row{good + " --linger=x ls", `linger "x" is not a duration`, seconds},
			row{good + " --linger -1 ls", `linger "-1" is negative`, seconds})
	}
	for _, row := range rows {
		t.Run(row.line, func(t *testing.T) {
			f := strings.Fields(row.line)
			var stdout, stderr bytes.Buffer
			status := Main(tools[f[0]](), f[1:], &stdout, &stderr)
			want := f[0] + ": error: " + row.problem + "\n" + f[0] + ": hint: " + row.hint + "\n"
			if status != 2 || stdout.Len() != 0 {
				t.Errorf("status %d, standard output %q", status, stdout.String())
			}
			if stderr.String() != want {
				t.Errorf("got\n%swant\n%s", stderr.String(), want)
			}
		})
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"gm-delay": "5", "gm-loss": "both 0", "gm-onoff": "both 1 1",
		"gm-intermittent": "both 1 1", "gm-link": "1Mbps 1Mbps"} {
		for _, row := range []struct {
			name, command string
			status        int
			message       string
		}{
			{"no such command", "gm-no-such-command", 127, "command not found"},
			{"no such file", filepath.Join(dir, "none"), 127, "command not found"},
			{"no such directory", filepath.Join(dir, "none/none"), 127, "command not found"},
			{"not executable", file, 126, "permission denied"},
			{"a directory", dir, 126, "is a directory"},
		} {
			t.Run(name+": "+row.name, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				status := Main(tools[name](), append(strings.Fields(line), row.command, "--help"), &stdout, &stderr)
				want := fmt.Sprintf("%s: error: cannot run %q: %s\n", name, row.command, row.message)
				if status != row.status || stdout.Len() != 0 || stderr.String() != want {
					t.Errorf("status %d, standard output %q, standard error\n%swant %d\n%s", status, stdout.String(),
						stderr.String(), row.status, want)
				}
			})
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for name := range tools {
		for _, args := range []string{"--help", "-h", "-vh", "--verbose --help", "--version --help"} {
			t.Run(name+" "+args, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				tool := tools[name]()
				if status := Main(tool, strings.Fields(args), &stdout, &stderr); status != 0 || stderr.Len() != 0 {
					t.Errorf("status %d, standard error %q", status, stderr.String())
				}
				help := stdout.String()
				if first := "Usage: " + name + " [OPTION...] " + usages[name] + "\n\n"; !strings.HasPrefix(help, first) {
					t.Errorf("the help does not begin with %q:\n%s", first, help)
				}
				for _, option := range flags(reflect.TypeOf(tool).Elem()) {
					if !strings.Contains(help, " --"+option+" ") && !strings.Contains(help, " --"+option+"=") {
						t.Errorf("the help lacks --%s", option)
					}
				}
				for _, e := range tool.Grammar().Examples {
					command, _, _ := strings.Cut(e, "  #")
					if !strings.Contains(help, "\n  "+command) {
						t.Errorf("the help lacks the example %q", command)
					}
				}
				for line := range strings.Lines(help) {
					if len(line) > 121 {
						t.Errorf("a line of %d characters: %s", len(line), line)
					}
				}
			})
		}
		t.Run(name+" --version", func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := Main(tools[name](), []string{"--version"}, &stdout, &stderr); status != 0 || stderr.Len() != 0 {
				t.Errorf("status %d, standard error %q", status, stderr.String())
			}
			if want := cli.Version(name) + "\n"; stdout.String() != want {
				t.Errorf("got %q, want %q", stdout.String(), want)
			}
		})
	}
}

// flags are the names of the options of a struct, as kong makes them.
func flags(of reflect.Type) (out []string) {
	for f := range of.Fields() {
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct && f.IsExported():
			out = append(out, flags(f.Type)...)
		case f.IsExported():
			name := ""
			for i, r := range f.Name {
				if i > 0 && r < 'a' {
					name += "-"
				}
				name += strings.ToLower(string(r))
			}
			out = append(out, name)
		}
	}
	return out
}

// An example works as it is written, but for its command.
func TestExamples(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"up.trace": "1\n", "down.trace": "1\n",
		"ours.toml": "uplink.rate = \"1Mbps\"\ndownlink.rate = \"1Mbps\"\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tool := range tools {
		for _, e := range tool().Grammar().Examples {
			t.Run(e, func(t *testing.T) {
				line, _, _ := strings.Cut(e, "  #")
				for strings.HasPrefix(line, "gm-") { // tools nest
					_, command := fill(t, line)
					line = strings.Join(command, " ")
				}
			})
		}
		if len(tool().Grammar().Examples) == 0 {
			t.Errorf("%s has no examples", name)
		}
	}
}

func TestPrefix(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"gm-delay 50", "[delay 50 ms] "},
		{"gm-delay 0", "[delay 0 ms] "},
		{"gm-delay 1.5", "[delay 1.5 ms] "},
		{"gm-delay 20ms", "[delay 20 ms] "},
		{"gm-delay 0.2s", "[delay 200 ms] "},
		{"gm-delay 250us", "[delay 0.25 ms] "},
		{"gm-delay 123456789ns", "[delay 123.456789 ms] "},
		{"gm-delay 1h", "[delay 3600000 ms] "},
		{"gm-delay --uplink=10 --downlink=40", "[delay up=10 ms down=40 ms] "},
		{"gm-delay --uplink=10", "[delay up=10 ms down=0 ms] "},
		{"gm-delay --downlink=0.3", "[delay up=0 ms down=0.3 ms] "},
		{"gm-delay --uplink=10 --downlink=10ms", "[delay 10 ms] "},
		{"gm-loss uplink 0.1", "[loss up=0.1] "},
		{"gm-loss downlink 0.25", "[loss down=0.25] "},
		{"gm-loss both 5%", "[loss up=0.05 down=0.05] "},
		{"gm-loss uplink 0.7%", "[loss up=0.007] "},
		{"gm-loss uplink .00001", "[loss up=0.00001] "},
		{"gm-loss downlink 1", "[loss down=1] "},
		{"gm-loss uplink 0", "[loss up=0] "},
		{"gm-onoff uplink 1 2", "[onoff (up) on=1s off=2s] "},
		{"gm-onoff downlink 0.5 100ms", "[onoff (down) on=0.5s off=0.1s] "},
		{"gm-onoff both 10 0", "[onoff (both) on=10s off=0s] "},
		{"gm-onoff both 100us 1m", "[onoff (both) on=0.0001s off=60s] "},
		{"gm-intermittent uplink 1 2", "[intermittent (up) on=1s off=2s] "},
		{"gm-intermittent downlink 200ms 50ms", "[intermittent (down) on=0.2s off=0.05s] "},
		{"gm-onoff both 1.118 1.132", "[onoff (both) on=1.118s off=1.132s] "},
		{"gm-intermittent both 1ns 0", "[intermittent (both) on=0.000000001s off=0s] "},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, _ := fill(t, row.line)
			if got := tool.Prefix(); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestCommonOptions(t *testing.T) {
	tool, command := fill(t, "gm-loss --contain uplink --no-offload 0.1 --precise -v --linger 2s --seed 9 ls -v")
	loss := tool.(*Loss)
	if c := tool.common(); !c.Contain || !c.NoOffload || !c.Precise || !c.Verbose || c.Linger != "2s" {
		t.Errorf("the options are %+v", c)
	}
	if s := loss.seed(); s == nil || *s != 9 {
		t.Error("the seed is not 9")
	}
	if d := cmp.Diff([]string{"ls", "-v"}, command); d != "" {
		t.Errorf("the command (-want +got):\n%s", d)
	}
	tool, _ = fill(t, "gm-onoff both 1 1")
	if c := tool.common(); c.Contain || c.NoOffload || c.Precise || c.Verbose || c.Linger != "5s" {
		t.Errorf("without options they are %+v", c)
	}
	if tool.(*OnOff).seed() != nil {
		t.Error("without --seed there is one")
	}
}

// fate is what becomes of a packet pushed at a time: the delay of its departure, or why it was dropped.
type fate struct {
	after   time.Duration
	dropped string
}

// fates pushes packets a while apart, and takes each out before the next.
func fates(s shell.Stage, drops *reasons, n int, apart time.Duration) (out []fate) {
	var pool packet.Pool
	for i := range n {
		now := time.Duration(i) * apart
		s.Push(now, tuntest.Frame(&pool, make([]byte, packet.VnetLen+28)).Packet(0, now))
		next, ok := s.Next()
		if !ok {
			out = append(out, fate{dropped: drops.last})
			continue
		}
		p, _ := s.Pop(next)
		out = append(out, fate{after: p.Due - now})
		p.Release()
	}
	return out
}

// reasons is an observer that remembers the last.
type reasons struct {
	last string
	n    int
}

func (r *reasons) Drop(_ time.Duration, _ packet.Packet, reason string) { r.last, r.n = reason, r.n+1 }

func TestLinks(t *testing.T) {
	const ms, seed = time.Millisecond, 42
	delay := func(d time.Duration) func(effects.Observer) shell.Stage {
		return func(effects.Observer) shell.Stage { return effects.NewDelay(d) }
	}
	loss := func(rate float64, stream string) func(effects.Observer) shell.Stage {
		return func(o effects.Observer) shell.Stage { return effects.NewLoss(rate, effects.Random(seed, stream), o) }
	}
	outage := func(s effects.Schedule) func(effects.Observer) shell.Stage {
		return func(o effects.Observer) shell.Stage { return effects.NewOutage(s, o) }
	}
	random := func(on, off time.Duration, stream string) func(effects.Observer) shell.Stage {
		return func(o effects.Observer) shell.Stage {
			return effects.NewOutage(effects.NewExponential(on, off, effects.Random(seed, stream)), o)
		}
	}
	for _, row := range []struct {
		line     string
		up, down func(effects.Observer) shell.Stage
		random   bool
	}{
		{"gm-delay 50", delay(50 * ms), delay(50 * ms), false},
		{"gm-delay --uplink=10 --downlink=1.5s", delay(10 * ms), delay(1500 * ms), false},
		{"gm-delay --downlink=40", delay(0), delay(40 * ms), false},
		{"gm-loss uplink 0.5", loss(0.5, "uplink"), delay(0), true},
		{"gm-loss downlink 50%", delay(0), loss(0.5, "downlink"), true},
		{"gm-loss both 0.5", loss(0.5, "uplink"), loss(0.5, "downlink"), true},
		{"gm-onoff uplink 10ms 20ms", random(10*ms, 20*ms, "uplink"), delay(0), true},
		{"gm-onoff downlink 10ms 20ms", delay(0), random(10*ms, 20*ms, "downlink"), true},
		{"gm-onoff both 10ms 20ms", random(10*ms, 20*ms, "outage"), random(10*ms, 20*ms, "outage"), true},
		{"gm-onoff both 0 1", random(0, 1, "outage"), random(0, 1, "outage"), true},
		{"gm-onoff both 1 0", random(1, 0, "outage"), random(1, 0, "outage"), true},
		{"gm-intermittent uplink 10ms 20ms", outage(effects.Fixed{OnFor: 10 * ms, OffFor: 20 * ms}), delay(0), false},
		{"gm-intermittent downlink 1 0", delay(0), outage(effects.Fixed{OnFor: 1}), false},
		{"gm-intermittent both 0 1", outage(effects.Fixed{OffFor: 1}), outage(effects.Fixed{OffFor: 1}), false},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, _ := fill(t, row.line)
			up, down := &reasons{}, &reasons{}
			l := &Link{Seed: seed, UpDrops: up, DownDrops: down}
			if err := tool.Link(l); err != nil {
				t.Fatal(err)
			}
			if l.random.Load() != row.random {
				t.Errorf("it draws random numbers: %v, want %v", l.random.Load(), row.random)
			}
			for _, d := range []struct {
				name  string
				got   shell.Stage
				drops *reasons
				want  func(effects.Observer) shell.Stage
			}{{"uplink", l.Uplink, up, row.up}, {"downlink", l.Downlink, down, row.down}} {
				var r reasons
				want := d.want(&r)
				if g, w := fmt.Sprintf("%T", d.got), fmt.Sprintf("%T", want); g != w {
					t.Errorf("the %s is a %s, want a %s", d.name, g, w)
				}
				const n = 200
				if x := cmp.Diff(fates(want, &r, n, ms), fates(d.got, d.drops, n, ms), cmp.AllowUnexported(fate{})); x != "" {
					t.Errorf("the %s (-want +got):\n%s", d.name, x)
				}
				if d.drops.n != r.n {
					t.Errorf("the observer of the %s was told of %d drops, want %d", d.name, d.drops.n, r.n)
				}
			}
		})
	}
}

func TestStatusOf(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want int
	}{
		{"usage", cli.Usagef("", "wrong"), 2},
		{"usage, wrapped", fmt.Errorf("reading: %w", cli.Usagef("", "wrong")), 2},
		{"cannot run", &shell.Exit{Status: 126, Err: errors.New("no")}, 126},
		{"not found, wrapped", fmt.Errorf("starting: %w", &shell.Exit{Status: 127, Err: errors.New("no")}), 127},
		{"any other", errors.New("it broke"), 125},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := statusOf(row.err); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	traffic := func(in, out, refused uint64) shell.Traffic {
		s := shell.Traffic{PacketsIn: in, BytesIn: 100 * in, PacketsOut: out, BytesOut: 100 * out, Refused: refused}
		s.Late.Max = 1234567
		return s
	}
	for _, row := range []struct {
		name    string
		traffic shell.Traffic
		drops   []string
		want    string
	}{
		{"nothing", shell.Traffic{}, nil, "0 packets in (0 bytes), 0 out (0 bytes); at most 0.000 ms late (99 %: 0.000 ms)"},
		{"all out", traffic(3, 3, 0), nil, "3 packets in (300 bytes), 3 out (300 bytes); at most 1.235 ms late (99 %: 0.000 ms)"},
		{"some dropped", traffic(5, 2, 0), []string{"random loss", "link off", "random loss"},
			"5 packets in (500 bytes), 2 out (200 bytes), 2 dropped (random loss), 1 dropped (link off); at most 1.235 ms late (99 %: 0.000 ms)"},
		{"some left", traffic(5, 2, 0), []string{"link off"},
			"5 packets in (500 bytes), 2 out (200 bytes), 1 dropped (link off), 2 not delivered in time; at most 1.235 ms late (99 %: 0.000 ms)"},
		{"some late",
			shell.Traffic{PacketsIn: 1, BytesIn: 2, PacketsOut: 1, BytesOut: 2, Late: shell.Lateness{Packets: 1, Histogram: shell.Histogram{Max: 2e6}}},
			nil,
			"1 packets in (2 bytes), 1 out (2 bytes), 1 more than 1 ms late; at most 2.000 ms late (99 %: 0.000 ms)"},
		{"some refused", traffic(5, 5, 4), nil,
			"5 packets in (500 bytes), 5 out (500 bytes), 4 refused by the kernel; at most 1.235 ms late (99 %: 0.000 ms)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var drops tally
			for _, r := range row.drops {
				drops.Drop(0, packet.Packet{}, r)
			}
			var b bytes.Buffer
			summarize(&b, "gm-test", "uplink", row.traffic, &drops)
			if want := "gm-test: uplink: " + row.want + "\n"; b.String() != want {
				t.Errorf("got\n%swant\n%s", b.String(), want)
			}
		})
	}
}
