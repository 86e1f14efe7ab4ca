package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/report"
	"gomahi/meter"
	"gomahi/trace"
)

// A node is a level in the tree of those that run.
type node struct {
	*member
	index  int
	branch string // what is drawn before it
	leaf   bool
	state  state
	before state // the one before it
	gone   bool
}

// tree is all levels of the user, those within others below them; and processes that do not answer.
func tree() (nodes []*node, silent []int, err error) {
	runs, silent, err := going()
	if err != nil {
		return nil, nil, err
	}
	below := map[string][]*member{}
	here := map[string]bool{}
	for _, run := range runs {
		for _, m := range run {
			here[m.client.Path] = true
		}
	}
	var roots []*member
	for _, run := range runs {
		for _, m := range run {
			if here[m.Within] {
				below[m.Within] = append(below[m.Within], m)
			} else {
				roots = append(roots, m)
			}
		}
	}
	var add func(m *member, first, rest string)
	add = func(m *member, first, rest string) {
		children := below[m.client.Path]
		nodes = append(nodes, &node{member: m, index: len(nodes) + 1, branch: first, leaf: len(children) == 0})
		for i, child := range children {
			if i == len(children)-1 {
				add(child, rest+"└ ", rest+"  ")
			} else {
				add(child, rest+"├ ", rest+"│ ")
			}
		}
	}
	for _, m := range roots {
		add(m, "", "")
	}
	return nodes, silent, nil
}

// look asks all of them for their states, at once.
func look(nodes []*node) {
	var asked sync.WaitGroup
	for _, n := range nodes {
		asked.Go(func() {
			var s state
			err := n.client.Get("/v1/state", &s)
			if err == nil {
				n.before, n.state = n.state, s
			}
			n.gone = errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
		})
	}
	asked.Wait()
}

// rating is how long rates are measured that are asked for once.
const rating = 250 * time.Millisecond

func lookTwice(nodes []*node) {
	look(nodes)
	time.Sleep(rating)
	look(nodes)
}

// rate is at what rate packets left between two looks.
func rate(now, before *sideState) float64 {
	return perSecond(now.Out.Bytes-before.Out.Bytes, time.Duration(now.At-before.At))
}

// title is the level's, with the command if no other level is within it.
func (n *node) title() string {
	if n.leaf {
		return strings.Join(append([]string{n.Title}, n.Command...), " ")
	}
	return n.Title
}

// listed is a level in what ls --json prints.
type listed struct {
	Index   int           `json:"index"`
	PID     int           `json:"pid"`
	Within  int           `json:"within,omitempty"` // the index of the level around it
	Title   string        `json:"title"`
	Command []string      `json:"command"`
	Since   time.Duration `json:"since_ns"` // CLOCK_MONOTONIC
	Socket  string        `json:"socket"`
	*rated
}

// rated is a state, with the rates at which packets leave.
type rated struct {
	state
	Up   float64 `json:"uplink_bits_per_second"`
	Down float64 `json:"downlink_bits_per_second"`
}

func (n *node) rated() *rated {
	r := &rated{n.state, rate(&n.state.Uplink, &n.before.Uplink), rate(&n.state.Downlink, &n.before.Downlink)}
	r.PID = n.pid // as we know it
	return r
}

func (c *Ctl) list() error {
	nodes, silent, err := tree()
	if err != nil {
		return err
	}
	if c.Pids {
		return c.pids(nodes)
	}
	lookTwice(nodes)
	nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n.gone })
	if c.Json {
		all, indices := []listed{}, map[string]int{}
		for _, n := range nodes {
			indices[n.client.Path] = n.index
			all = append(all, listed{n.index, n.pid, indices[n.Within], n.Title, n.Command, n.Since, n.client.Path, n.rated()})
		}
		e := json.NewEncoder(c.stdout)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	if len(nodes)+len(silent) == 0 {
		_, err := fmt.Fprintln(c.stdout, "none of your tools is running")
		return err
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tPID\tLEVEL\tUPLINK\tDOWNLINK")
	for _, n := range nodes {
		r := n.rated()
		fmt.Fprintf(t, "%%%d\t%d\t%s%s\t%s\t%s\n", n.index, n.pid, n.branch, short(n.title()), n.state.Uplink.words(r.Up), n.state.Downlink.words(r.Down))
	}
	for _, pid := range silent {
		fmt.Fprintf(t, "\t%d\tdoes not answer: it may be stopped\n", pid)
	}
	return t.Flush()
}

// short is a title that leaves room for others.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (c *Ctl) pids(nodes []*node) error {
	seen := map[int]bool{}
	for _, n := range nodes {
		if seen[n.pid] {
			continue
		}
		seen[n.pid] = true
		if _, err := fmt.Fprintln(c.stdout, n.pid); err != nil {
			return err
		}
	}
	return nil
}

// words are what a direction does, and its rate now.
func (s *sideState) words(rate float64) string {
	var w []string
	if s.Link == "down" {
		w = append(w, "down")
	}
	all := s.settings()
	for _, one := range all {
		if len(all) == 1 || !one.idle {
			w = append(w, one.short)
		}
	}
	return strings.Join(append(w, "now "+trace.Rate(rate)), ", ")
}

// setting is a quantity that a direction has, in words. An idle one does nothing.
type setting struct {
	name, value, short string
	idle               bool
}

func (s *sideState) settings() (all []setting) {
	if s.Rate != nil {
		value := trace.Rate(float64(*s.Rate))
		switch {
		case s.Trace != "":
			value = "as " + s.Trace
		case *s.Rate == 0:
			value = "no limit"
		}
		all = append(all, setting{"rate", value, value, false})
	}
	if s.Delay != nil {
		value := decimals(*s.Delay) + " ms"
		all = append(all, setting{"delay", value, value, *s.Delay == 0})
	}
	if s.Jitter != nil {
		value := decimals(*s.Jitter) + " ms"
		all = append(all, setting{"jitter", value, "jitter " + value, *s.Jitter == 0})
	}
	if s.Loss != nil {
		value := fmt.Sprintf("%.6g %%", 100**s.Loss)
		all = append(all, setting{"loss", value, value + " lost", *s.Loss == 0})
	}
	if s.Queue != "" {
		all = append(all, setting{"queue", s.Queue, "queue " + s.Queue, s.Queue == "infinite"})
	}
	return all
}

// show says everything of levels.
func (c *Ctl) show(target string) error {
	nodes, err := pick(target)
	if err != nil {
		return err
	}
	lookTwice(nodes)
	for i, n := range nodes {
		if c.Json {
			if err := json.NewEncoder(c.stdout).Encode(n.rated()); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		if err := n.describe(c.stdout); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) describe(w io.Writer) error {
	fmt.Fprintf(w, "%%%d  %s\n    process %d, for %v\n", n.index, n.title(), n.pid, (meter.Clock() - n.Since).Round(time.Second))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r := n.rated()
	up, down := n.state.Uplink.rows(r.Up), n.state.Downlink.rows(r.Down)
	fmt.Fprintln(t, "\tuplink\tdownlink")
	var names []string
	for _, rows := range [][][2]string{up, down} {
		for _, row := range rows {
			if !slices.Contains(names, row[0]) {
				names = append(names, row[0])
			}
		}
	}
	for _, name := range names {
		of := func(rows [][2]string) string {
			for _, row := range rows {
				if row[0] == name {
					return row[1]
				}
			}
			return ""
		}
		fmt.Fprintf(t, "    %s\t%s\t%s\n", name, of(up), of(down))
	}
	return t.Flush()
}

// rows are a direction's, by name.
func (s *sideState) rows(rate float64) (rows [][2]string) {
	for _, one := range s.settings() {
		rows = append(rows, [2]string{one.name, one.value})
	}
	rows = append(rows, [2]string{"link", s.Link}, [2]string{"now", trace.Rate(rate)}, [2]string{"in", packets(s.In)}, [2]string{"out", packets(s.Out)})
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		rows = append(rows, [2]string{"dropped, " + reason, packets(s.Dropped[reason])})
	}
	if s.Added > 0 {
		rows = append(rows, [2]string{"duplicated", fmt.Sprint(s.Added, " packets")})
	}
	return append(rows, [2]string{"held", fmt.Sprint(s.Held, " packets")}, [2]string{"takes", strings.Join(s.Takes, " ")})
}

func packets(c report.Count) string { return fmt.Sprintf("%d packets, %d bytes", c.Packets, c.Bytes) }

// stats prints what has passed: once, or again and again until no level is left.
func (c *Ctl) stats(target string) error {
	nodes, err := pick(target)
	if err != nil {
		return err
	}
	look(nodes)
	began := time.Now()
	for n := time.Duration(1); ; n++ {
		if c.Follow {
			time.Sleep(time.Until(began.Add(n * c.interval)))
		} else {
			time.Sleep(rating)
		}
		look(nodes)
		if nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n.gone }); len(nodes) == 0 {
			return nil
		}
		for _, n := range nodes {
			if err := c.statistics(n); err != nil {
				return err
			}
		}
		if !c.Follow {
			return nil
		}
	}
}

func (c *Ctl) statistics(n *node) error {
	r := n.rated()
	if c.Json {
		return json.NewEncoder(c.stdout).Encode(r)
	}
	for _, d := range []struct {
		name string
		*sideState
		rate float64
	}{{"uplink", &n.state.Uplink, r.Up}, {"downlink", &n.state.Downlink, r.Down}} {
		text := fmt.Sprintf("%%%d %s: %s: %s, %d packets in, %d out", n.index, n.Tool, d.name, trace.Rate(d.rate), d.In.Packets, d.Out.Packets)
		for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
			text += fmt.Sprintf(", %d dropped (%s)", d.Dropped[reason].Packets, reason)
		}
		if _, err := fmt.Fprintf(c.stdout, "%s, %d held\n", text, d.Held); err != nil {
			return err
		}
	}
	return nil
}
