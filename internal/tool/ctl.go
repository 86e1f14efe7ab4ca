package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"gomahi/internal/cli"
	"gomahi/internal/control"
)

// Ctl is gm-ctl.
type Ctl struct {
	Json        bool     `help:"Print JSON: of ls an array, of stats an object for each level and time, a line each."`
	Pids        bool     `help:"Of ls: the PIDs alone."`
	Follow      bool     `help:"Of stats: again and again."`
	Interval    string   `placeholder:"TIME" help:"How often (1s)."`
	Downlink    string   `placeholder:"FILE" help:"Of replay: another scenario for the downlink."`
	Loop        bool     `help:"Of replay: begin again after the last row."`
	Interpolate bool     `help:"Of replay: delay and rate go linearly from row to row."`
	Args        []string `arg:"" optional:"" hidden:""`
	cli.Standard

	interval time.Duration
	stdout   io.Writer
}

const ctlName = "gm-ctl"

// ctlCommands are gm-ctl's, and the options that each takes.
var ctlCommands = map[string][]string{"ls": {"json", "pids"}, "": {"json"}, "set": {"json"}, "down": {"json"}, "up": {"json"},
	"stats": {"json", "follow", "interval"}, "replay": {"json", "downlink", "loop", "interpolate"}, "completion": nil}

func (c *Ctl) grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  ctlName,
		Usage: "[OPTION...] ls | [PID|%N] [set NAME=VALUE... | down|up [uplink|downlink] | stats | replay SCENARIO] | completion SHELL",
		About: "See and change the links of your tools that are running. PID is a tool's process, %N its number in \"gm-ctl ls\"; it\n" +
			"may be left out if there is but one run. Without a command, show the level. A change takes effect between two\n" +
			"packets, whole or not at all.",
		Examples: []string{
			"gm-ctl ls  # what runs, and its rates",
			"gm-ctl set uplink.delay=80ms loss=2% rate=5Mbps queue.packets=100",
			"gm-ctl %2 down uplink; sleep 3; gm-ctl %2 up",
			"gm-ctl 1234 stats --follow",
			"gm-ctl replay lift.csv",
			"source <(gm-ctl completion bash)",
		},
		Options: c,
		Completed: []cli.Words{{All: append([]string{"ls", "completion"}, onLevels...), From: ctlName + " ls --pids"},
			{All: append([]string{"uplink", "downlink", "bash", "zsh", "fish"}, append(onLevels, settingWords()...)...), Files: true}},
	}
}

var onLevels = []string{"set", "down", "up", "stats", "replay"}

// settingWords are what settings begin with.
func settingWords() (words []string) {
	for _, where := range []string{"", "uplink.", "downlink."} {
		for _, q := range quantities[:len(quantities)-1] {
			words = append(words, where+q.name+"=")
		}
		words = append(words, where+"link=up", where+"link=down")
	}
	return words
}

// RunCtl is gm-ctl's main: it returns the exit status.
func RunCtl(args []string, stdout, stderr io.Writer) int {
	return cli.Status(stderr, ctlName, new(Ctl).run(args, stdout))
}

func (c *Ctl) run(args []string, stdout io.Writer) error {
	c.stdout = stdout
	g := c.grammar()
	k, err := kong.New(c, kong.Name(ctlName), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	if _, err := k.Parse(args); err != nil {
		return cli.Usagef("see gm-ctl --help", "%v", err)
	}
	if answered, err := c.Answer(g, stdout); answered {
		return err
	}
	target, verb, rest := "", "", c.Args
	if len(rest) > 0 && isTarget(rest[0]) {
		target, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		verb, rest = rest[0], rest[1:]
	}
	takes, known := ctlCommands[verb]
	if !known {
		return cli.Usagef("the commands are ls, set, down, up, stats, replay and completion; a PID, or %N, comes before", "%q is no command", verb)
	}
	for _, f := range k.Model.Flags {
		if !f.Target.IsZero() && !slices.Contains(takes, f.Name) {
			return cli.Usagef("see gm-ctl --help", "--%s does not go with %q", f.Name, strings.TrimSpace("gm-ctl "+verb))
		}
	}
	c.interval = time.Second
	if c.Interval != "" {
		if c.interval, err = cli.Duration("interval", c.Interval, time.Second); err != nil {
			return err
		}
	}
	if c.interval < 10*time.Millisecond || c.interval > time.Hour {
		return cli.Usagef("give 10ms to 1h", "interval %q is out of range", c.Interval)
	}
	if target != "" && (verb == "ls" || verb == "completion") {
		return cli.Usagef("leave out "+target, "%s is not about one level", verb)
	}
	switch verb {
	case "set":
		return c.set(target, rest)
	case "down", "up":
		return c.switchTo(target, verb, rest)
	case "replay":
		return c.replay(target, rest)
	case "completion":
		return c.completion(rest)
	}
	if len(rest) > 0 {
		return cli.Usagef("see gm-ctl --help", "%q is too much", rest[0])
	}
	switch verb {
	case "ls":
		return c.list()
	case "stats":
		return c.stats(target)
	}
	return c.show(target)
}

// isTarget says whether a word is meant to be a PID, or %N.
func isTarget(word string) bool {
	return word[:min(1, len(word))] == "%" || strings.Trim(word, "0123456789") == ""
}

// pick finds the levels that are meant.
func pick(target string) ([]*node, error) {
	nodes, silent, err := tree()
	if err != nil {
		return nil, err
	}
	if pid, err := strconv.Atoi(target); err == nil && slices.Contains(silent, pid) || len(nodes) == 0 && len(silent) > 0 {
		return nil, fmt.Errorf("process %d does not answer\nhint: it may be stopped; kill -CONT %[1]d makes it go on", silent[max(0, slices.Index(silent, pid))])
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("none of your tools is running\nhint: only the user who started a tool can see and change it")
	}
	if target == "" {
		if slices.ContainsFunc(nodes, func(n *node) bool { return n.Run != nodes[0].Run }) {
			return nil, cli.Usagef("give the PID of a tool, or its %N: gm-ctl ls lists them", "%d runs are going", countRuns(nodes))
		}
		return nodes, nil
	}
	digits, index := strings.CutPrefix(target, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return nil, cli.Usagef("give the number of a process, or %1 and so on for the levels of gm-ctl ls", "%q is neither", target)
	}
	const hint = "gm-ctl ls lists them"
	switch {
	case index && n > len(nodes):
		return nil, cli.Usagef(hint, "there is no %s: %d levels are running", target, len(nodes))
	case index:
		return nodes[n-1 : n], nil
	}
	for _, is := range []func(*node) bool{func(m *node) bool { return m.pid == n }, func(m *node) bool { return parent(m.pid) == n }} {
		if found := slices.DeleteFunc(slices.Clone(nodes), func(m *node) bool { return !is(m) }); len(found) > 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("no tool of yours is process %d\nhint: %s", n, hint)
}

func countRuns(nodes []*node) int {
	runs := map[string]bool{}
	for _, n := range nodes {
		runs[n.Run] = true
	}
	return len(runs)
}

// parent is a process's: of a tool without privilege, what the user has started.
func parent(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "PPid:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return 0
}

// only finds the one of several levels that can do something.
func only(nodes []*node, what string, can func(*state) bool) (*node, error) {
	if len(nodes) == 1 {
		return nodes[0], nil // which says itself why not
	}
	look(nodes)
	var able, all []string
	var found *node
	for _, n := range nodes {
		name := fmt.Sprintf("%%%d (%s)", n.index, n.Title)
		all = append(all, name)
		if can(&n.state) {
			able, found = append(able, name), n
		}
	}
	switch len(able) {
	case 0:
		return nil, cli.Usagef("the levels are "+strings.Join(all, ", ")+"; gm-ctl %N says what one takes", "no level can %s", what)
	case 1:
		return found, nil
	}
	return nil, cli.Usagef("give one of "+strings.Join(able, ", "), "several levels can %s", what)
}

// post sends a change to a level. What is wrong with it is wrong usage.
func (c *Ctl) post(n *node, path string, what any) error {
	var s state
	if err := n.client.Post(path, what, &s); err != nil {
		return said(err)
	}
	if c.Json {
		return json.NewEncoder(c.stdout).Encode(&s)
	}
	return nil
}

func (c *Ctl) set(target string, args []string) error {
	settings := map[string]string{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return cli.Usagef("as in delay=80ms, uplink.loss=2%, rate=5Mbps, queue.packets=100", "%q is no setting", a)
		}
		if _, twice := settings[name]; twice {
			return cli.Usagef("give it once", "%s is given twice", name)
		}
		settings[name] = value
	}
	if len(settings) == 0 {
		return cli.Usagef("usage: gm-ctl [PID|%N] set NAME=VALUE...", "there is nothing to set")
	}
	nodes, err := pick(target)
	if err != nil {
		return err
	}
	var names []string
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	n, err := only(nodes, "set "+strings.Join(names, " and "), func(s *state) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !s.takes(name) })
	})
	if err != nil {
		return err
	}
	return c.post(n, "/v1/set", settings)
}

// takes says whether a quantity may be set of one direction at least, or of that which is meant.
func (s *state) takes(name string) bool {
	up, isUp := strings.CutPrefix(name, "uplink.")
	down, isDown := strings.CutPrefix(name, "downlink.")
	return !isDown && slices.Contains(s.Uplink.Takes, up) || !isUp && slices.Contains(s.Downlink.Takes, down)
}

// switchTo takes the outermost of the levels that are meant down, or all that are down up.
func (c *Ctl) switchTo(target, to string, args []string) error {
	name := "link"
	switch {
	case len(args) > 1:
		return cli.Usagef("usage: gm-ctl [PID|%N] "+to+" [uplink|downlink]", "%q is too much", args[1])
	case len(args) == 1 && args[0] != "uplink" && args[0] != "downlink":
		return cli.Usagef("uplink is out of the container, downlink into it; both if neither is given", "%q is not a direction", args[0])
	case len(args) == 1:
		name = args[0] + ".link"
	}
	nodes, err := pick(target)
	if err != nil {
		return err
	}
	if to == "up" && len(nodes) > 1 {
		look(nodes)
		down := func(n *node) bool { return n.state.Uplink.Link == "down" || n.state.Downlink.Link == "down" }
		nodes = slices.DeleteFunc(nodes, func(n *node) bool { return !down(n) })
	} else {
		nodes = nodes[:1]
	}
	for _, n := range nodes {
		if err := c.post(n, "/v1/set", map[string]string{name: to}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Ctl) replay(target string, args []string) error {
	if len(args) != 1 {
		return cli.Usagef("usage: gm-ctl [PID|%N] replay SCENARIO", "replay takes one file")
	}
	r := &replay{Name: args[0], DownlinkName: c.Downlink, Loop: c.Loop, Interpolate: c.Interpolate}
	for _, f := range []struct {
		name string
		to   *string
	}{{args[0], &r.Scenario}, {c.Downlink, &r.Downlink}} {
		if f.name == "" {
			continue
		}
		text, err := load(f.name, "give a scenario: a CSV file, as gm-path takes it", func(name string, in io.Reader) (string, error) {
			b, err := io.ReadAll(io.LimitReader(in, mostScenario+1))
			if err == nil && len(b) > mostScenario {
				err = fmt.Errorf("%s is too long\nhint: at most %d bytes can be replayed; start gm-path with it", name, mostScenario)
			}
			return string(b), err
		})
		if err != nil {
			return err
		}
		*f.to = text
	}
	nodes, err := pick(target)
	if err != nil {
		return err
	}
	if paths := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n.Tool != "gm-path" }); len(paths) > 0 {
		nodes = paths
	}
	n, err := only(nodes, "play a scenario", func(s *state) bool { return s.Replays })
	if err != nil {
		return err
	}
	return c.post(n, "/v1/replay", r)
}

// mostScenario is how long a scenario may be that is sent, in bytes: two of them, as JSON, within what a socket takes.
const mostScenario = 400 << 10

// said is an error of a tool's as the user's, if it is theirs.
func said(err error) error {
	if r, ok := errors.AsType[*control.Refusal](err); ok && r.Status/100 == 4 {
		return asUsage(r)
	}
	return err
}
