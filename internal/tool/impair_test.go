package tool

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects"
	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/shell"
)

func init() { // for the tests of all tools
	for name, add := range map[string]struct {
		tool  func() Tool
		usage string
	}{
		"gm-jitter":    {func() Tool { return new(Jitter) }, "uplink|downlink|both SPREAD [COMMAND...]"},
		"gm-reorder":   {func() Tool { return new(Reorder) }, "uplink|downlink|both RATE [COMMAND...]"},
		"gm-duplicate": {func() Tool { return new(Duplicate) }, "uplink|downlink|both RATE [COMMAND...]"},
		"gm-corrupt":   {func() Tool { return new(Corrupt) }, "uplink|downlink|both RATE [COMMAND...]"},
		"gm-burst":     {func() Tool { return new(Burst) }, "uplink|downlink|both --loss=RATE --burst=PACKETS [COMMAND...]"},
		"gm-losstrace": {func() Tool { return new(LossTrace) }, "uplink|downlink|both FILE [COMMAND...]"},
		"gm-shape":     {func() Tool { return new(Shape) }, "uplink|downlink|both RATE --burst=BYTES [COMMAND...]"},
	} {
		tools[name], usages[name] = add.tool, add.usage
	}
}

// Mistakes on the command lines, and in the files that they name.
func TestWrongImpairments(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"bad": "0\n2\n", "burst.log": "# decisions of gm-burst uplink, x\nuplink 1 0 0 1\n",
		"up.log": "# decisions of gm-loss uplink, x\nuplink 1 0 0 1\n", "lost": "0\n1\n", "delays": "1\n2\n3\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const (
		probability = "give a number from 0 to 1, or a percentage: 0.05, 5%"
		direction   = "uplink is out of the container, downlink into it, or both"
		duration    = "give a number of milliseconds, or one with a unit: 20ms, 0.2s, 250us"
		burst       = "give --loss=1% --burst=5, or the model's probabilities: --p=0.01 --r=0.2"
		none        = "no such file or directory"
		recorded    = "give a file that --record wrote"
	)
	for _, row := range []struct{ line, problem, hint string }{
		{"gm-jitter up 5", `"up" is not a direction`, direction},
		{"gm-jitter uplink fast", `spread "fast" is not a duration`, duration},
		{"gm-jitter uplink -5", `spread "-5" is negative`, duration},
		{"gm-jitter uplink 5 --order=any", `--order must be one of "keep","free" but got "any"`,
			"see gm-jitter --help; options of a command come after it"},
		{"gm-jitter uplink 5 --distribution=cauchy true", "open cauchy: " + none,
			"a distribution is uniform, normal, pareto, or a file of numbers, one a line"},
		{"gm-jitter uplink 5 --distribution=up.log true", `up.log:2: "uplink 1 0 0 1" is not a number from 0 up`,
			"give one number a line, 0 or more, such as a delay in milliseconds"},

		{"gm-reorder both 2", `rate "2" is more than 1`, probability},
		{"gm-reorder both 1 --by=x", `delay "x" is not a duration`, duration},
		{"gm-reorder both 1 --gap=0", "gap 0 is too small", "give a number of packets, 1 or more"},
		{"gm-reorder both 1 --correlation=x", `correlation "x" is not a probability`, probability},
		{"gm-reorder both 1 --correlation=100%", "with a correlation of 1 nothing ever changes", "give one below 1"},

		{"gm-duplicate sideways 1", `"sideways" is not a direction`, direction},
		{"gm-duplicate both half", `rate "half" is not a probability`, probability},

		{"gm-corrupt both 101%", `rate "101%" is more than 1`, probability},
		{"gm-corrupt both --ber=x", `bit error rate "x" is not a probability`, probability},
		{"gm-corrupt both --ber=2e-2", `bit error rate "2e-2" is too high`, "at most 0.01, at which none of 1500 bytes passes"},
		{"gm-corrupt both 1% --ber=1e-6", `"1%" does not go with these options`,
			"usage: gm-corrupt [OPTION...] uplink|downlink|both RATE [COMMAND...]"},

		{"gm-burst both", "nothing says how many packets are lost", burst},
		{"gm-burst both --loss=1%", "--loss and --burst go together", burst},
		{"gm-burst both --burst=2 --r=1", "both a mean loss and the model's probabilities", burst},
		{"gm-burst both --p=0.1", "nothing says how many packets are lost", burst},
		{"gm-burst both --p=x --r=1", `p "x" is not a probability`, probability},
		{"gm-burst both --p=0.1 --r=0", "with an r of 0 the bad state never ends", "give one above 0"},
		{"gm-burst both --loss=x --burst=2", `loss "x" is not a probability`, probability},
		{"gm-burst both --loss=1 --burst=2", "a loss of 1 has no bursts", "for that there is gm-loss"},
		{"gm-burst both --loss=1% --burst=0.5", `"0.5" is no mean length of bursts`,
			"give a number of packets from 1 to 1e9, which may have decimals"},
		{"gm-burst both --loss=90% --burst=5", "bursts of 5 are too short for a loss of 90%",
			"give --burst=9 or more, since at least one packet passes between two"},

		{"gm-losstrace both nowhere true", "open nowhere: " + none, "give a file of 0 and 1, one for each packet"},
		{"gm-losstrace both bad true", "bad:2: '2' is neither 0 nor 1", "0 is a packet that passes, 1 one that is lost, # begins a comment"},

		{"gm-shape both 5", `rate "5" has no unit`, "is it a file? there is none of that name here; a rate needs a unit: 5Mbps"},
		{"gm-shape both 5Mbps", "--burst is missing", "give the size of the bucket in bytes: --burst=15000"},
		{"gm-shape both 5Mbps --burst=1k", `--burst: expected a valid 64 bit int but got "1k"`,
			"see gm-shape --help; options of a command come after it"},
		{"gm-shape both 5Mbps --burst=1499", "burst 1499 is too small", "give at least 1500 bytes, or full packets would never pass"},
		{"gm-shape both 5Mbps --burst=2000000000", "burst 2000000000 is too large", "at most 1000000000 bytes"},
		{"gm-shape both 5Mbps --burst=1500 --peak=5Mbps", `peak rate "5Mbps" is not above the rate "5Mbps"`, "it is the rate within a burst"},
		{"gm-shape both 5Mbps --burst=1500 --police --queue=codel", "--police has no queue", "leave out one of them"},
		{"gm-shape both 5Mbps --burst=1500 --queue=fifo", `unknown queue "fifo"`, "the queues are " + strings.Join(queue.Kinds(), ", ")},

		{"gm-loss both 1% --repeat=nowhere true", "open nowhere: " + none, recorded},
		{"gm-loss both 1% --repeat=bad true", "bad:1: this is no record of decisions", recorded},
		{"gm-loss uplink 1% --repeat=burst.log true", "burst.log:1: these are decisions of gm-burst, not of gm-loss", recorded},
		{"gm-loss both 1% --repeat=up.log true", "up.log is not of the downlink", "record both directions"},
		{"gm-loss downlink 1% --repeat=up.log true", "up.log is not of the downlink", "record both directions"},
		{"gm-loss uplink 1% --repeat=up.log --record=./up.log true", `"./up.log" is in use and would be overwritten`, "give another file to write"},
		{"gm-losstrace uplink lost --record=lost true", `"lost" is in use and would be overwritten`, "give another file to write"},
		{"gm-jitter uplink 1 --distribution=delays --record=delays true", `"delays" is in use and would be overwritten`, "give another file to write"},
		{"gm-loss uplink 1% --record=no/where true", "open no/where: " + none, "give a file that can be written"},
		{"gm-loss uplink 1% --repeat-by=hash", "--repeat-by without --repeat", "name the record as well: --repeat=FILE"},
		{"gm-loss uplink 1% --repeat=up.log --repeat-by=time", `packets cannot be found by "time"`, "give number or hash"},
	} {
		t.Run(row.line, func(t *testing.T) {
			f := strings.Fields(row.line)
			tool := tools[f[0]]()
			own, command, err := tool.Grammar().Parse(f[1:])
			if err == nil {
				err = tool.Set(own)
			}
			if err == nil && len(command) > 0 { // what is wrong with files is found later
				err = tool.Link(&Link{})
			}
			if want := row.problem + "\nhint: " + row.hint; err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
			if err != nil && statusOf(err) != shell.StatusUsage {
				t.Errorf("status %d", statusOf(err))
			}
		})
	}
}

func TestImpairmentPrefix(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"gm-jitter both 5", "[jitter both 5 ms] "},
		{"gm-jitter uplink 0.25s --distribution=normal", "[jitter uplink 250 ms] "},
		{"gm-reorder downlink 10%", "[reorder downlink 0.1] "},
		{"gm-duplicate both .5", "[duplicate both 0.5] "},
		{"gm-corrupt uplink 1", "[corrupt uplink 1] "},
		{"gm-corrupt uplink --ber=1e-6", "[corrupt uplink ber=0.000001] "},
		{"gm-burst both --loss=1% --burst=5", "[burst both loss=1% burst=5] "},
		{"gm-burst both --p=1% --r=.2", "[burst both p=0.01 r=0.2 h=0 k=1] "},
		{"gm-losstrace uplink x", "[losstrace uplink] "},
		{"gm-shape both 5Mbps --burst=1500", "[shape both 5Mbps] "},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, _ := fill(t, row.line)
			if got := tool.Prefix(); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// Each command line makes the stages that it says, where it says.
func TestImpairmentLinks(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"trace": "0 1 1 # lost\n", "delays": "1\n7\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const ms, seed = time.Millisecond, 42
	chance := func(rate float64) effects.Decider { return effects.NewChance(rate, 0, effects.Random(seed, "uplink")) }
	spread := func(d time.Duration, shape effects.Distribution) effects.Decider {
		return effects.NewSpread(d, shape, effects.Random(seed, "uplink"))
	}
	burst := func(g effects.Gilbert) effects.Decider { return effects.NewBurst(g, effects.Random(seed, "uplink")) }
	loss := func(d effects.Decider, reason string) func(effects.Observer) shell.Stage {
		return func(o effects.Observer) shell.Stage { return effects.NewDecidedLoss(d, reason, o) }
	}
	shape := func(rate, bytes, peak int64) func(effects.Observer) shell.Stage {
		return func(o effects.Observer) shell.Stage {
			return effects.NewShape(rate, bytes, peak, queue.Spec{}.New(queue.Config{}), o)
		}
	}
	for _, row := range []struct {
		line   string
		want   func(effects.Observer) shell.Stage
		random bool
	}{
		{"gm-jitter uplink 5", func(effects.Observer) shell.Stage {
			return effects.NewJitter(spread(5*ms, effects.Uniform), true)
		}, true},
		{"gm-jitter uplink 5 --distribution=pareto --order=free", func(effects.Observer) shell.Stage {
			return effects.NewJitter(spread(5*ms, effects.Pareto), false)
		}, true},
		{"gm-jitter uplink 5 --distribution=normal", func(effects.Observer) shell.Stage {
			return effects.NewJitter(spread(5*ms, effects.Normal), true)
		}, true},
		{"gm-jitter uplink 1 --distribution=delays", func(effects.Observer) shell.Stage {
			return effects.NewJitter(spread(ms, effects.Empirical([]float64{1, 7})), true)
		}, true},
		{"gm-reorder uplink 0.3", func(o effects.Observer) shell.Stage { return effects.NewReorder(chance(0.3), 5*ms, o) }, true},
		{"gm-reorder uplink 0.3 --by=1 --gap=3 --correlation=0.5", func(o effects.Observer) shell.Stage {
			return effects.NewReorder(effects.NewSpaced(effects.NewChance(0.3, 0.5, effects.Random(seed, "uplink")), 3), ms, o)
		}, true},
		{"gm-duplicate uplink 0", func(o effects.Observer) shell.Stage { return effects.NewDuplicate(decideNothing{}, o) }, true},
		{"gm-corrupt uplink 0.1", func(o effects.Observer) shell.Stage {
			return effects.NewCorrupt(decideNothing{}, effects.Region{}, o)
		}, true},
		{"gm-burst uplink --loss=20% --burst=4", loss(burst(effects.Gilbert{P: 0.0625, R: 0.25, K: 1}), "burst loss"), true},
		{"gm-burst uplink --p=0.1 --r=0.5 --h=0.25 --k=0.75", loss(burst(effects.Gilbert{P: 0.1, R: 0.5, H: 0.25, K: 0.75}), "burst loss"), true},
		{"gm-losstrace uplink trace", loss(effects.NewLossTrace([]byte{0, 1, 1}, false), "traced loss"), false},
		{"gm-losstrace uplink trace --once", loss(effects.NewLossTrace([]byte{0, 1, 1}, true), "traced loss"), false},
		{"gm-shape uplink 8kbit --burst=1500", shape(8000, 1500, 0), false},
		{"gm-shape uplink 8kbit --burst=1500 --peak=80kbit", shape(8000, 1500, 80000), false},
		{"gm-shape uplink 8kbit --burst=1500 --queue=red --queue-args=packets=5000", shape(8000, 1500, 0), true},
		{"gm-shape uplink 8kbit --burst=1500 --police", func(o effects.Observer) shell.Stage {
			return effects.NewShape(8000, 1500, 0, nil, o)
		}, false},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, _ := fill(t, row.line)
			var got, want reasons
			l := &Link{Seed: seed, UpDrops: &got, DownDrops: &reasons{}}
			if err := tool.Link(l); err != nil {
				t.Fatal(err)
			}
			if l.random.Load() != row.random {
				t.Errorf("it draws random numbers: %v, want %v", l.random.Load(), row.random)
			}
			if _, ok := l.Downlink.(*effects.Delay); !ok {
				t.Errorf("the downlink is a %T", l.Downlink)
			}
			if d := cmp.Diff(fates(row.want(&want), &want, 200, ms), fates(l.Uplink, &got, 200, ms), cmp.AllowUnexported(fate{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got.n != want.n {
				t.Errorf("the observer was told of %d drops, want %d", got.n, want.n)
			}
		})
	}
}

type decideNothing struct{}

func (decideNothing) Decide(time.Duration, packet.Packet) uint64 { return 0 }

// A recorded run is had again without its seed, and what is not in the record is said.
func TestRecordAndRepeat(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"gm-loss both 0.3", "gm-burst both --loss=30% --burst=2", "gm-jitter both 5", "gm-corrupt both 0.3"} {
		t.Run(line, func(t *testing.T) {
			var warnings []string
			run := func(line string, seed uint64, n int) (ups, downs []fate) {
				tool, _ := fill(t, line)
				var up, down reasons
				l := &Link{Seed: seed, UpDrops: &up, DownDrops: &down, Warn: func(m string) { warnings = append(warnings, m) }}
				if err := tool.Link(l); err != nil {
					t.Fatal(err)
				}
				ups, downs = fates(l.Uplink, &up, n, time.Millisecond), fates(l.Downlink, &down, n, time.Millisecond)
				for _, finish := range l.Finish {
					if err := finish(0); err != nil {
						t.Fatal(err)
					}
				}
				return ups, downs
			}
			type both struct{ Up, Down []fate }
			up, down := run(line+" --record=a", 1, 500)
			again, below := run(line+" --repeat=a --record=b", 2, 500)
			if d := cmp.Diff(both{up, down}, both{again, below}, cmp.AllowUnexported(fate{})); d != "" {
				t.Errorf("repeated (-first +second):\n%s", d)
			}
			sorted := func(file string) map[string][]string {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				out := map[string][]string{}
				for line := range bytes.Lines(b) {
					direction, _, _ := strings.Cut(string(line), " ")
					out[direction] = append(out[direction], string(line))
				}
				return out
			}
			if d := cmp.Diff(sorted("a"), sorted("b")); d != "" || len(sorted("a")["uplink"]) != 500 {
				t.Errorf("the records (-first +second):\n%s", d)
			}
			if warnings != nil {
				t.Errorf("warnings %q", warnings)
			}
			run(line+" --repeat=a --repeat-by=hash", 2, 503)
			var want []string
			for _, d := range []string{"uplink", "downlink"} {
				want = append(want, fmt.Sprintf("3 packets of the %s were not in a; nothing was done to them", d))
			}
			if d := cmp.Diff(want, warnings); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
		})
	}
}

// What befalls packets that go on is counted, and a copy is no packet that was lost or came from nowhere.
func TestSummaryCounts(t *testing.T) {
	var n tally
	for range 3 {
		n.Count("duplicated")
	}
	n.Count("corrupted")
	n.Drop(0, packet.Packet{}, "link off")
	var b bytes.Buffer
	summarize(&b, "gm-test", "uplink", shell.Traffic{PacketsIn: 5, PacketsOut: 6}, &n)
	const want = "gm-test: uplink: 5 packets in (0 bytes), 6 out (0 bytes), 3 duplicated, 1 corrupted, 1 dropped (link off), " +
		"1 not delivered in time; at most 0.000 ms late (99 %: 0.000 ms)\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
