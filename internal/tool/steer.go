package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gomahi/effects"
	"gomahi/effects/queue"
	"gomahi/internal/cli"
	"gomahi/internal/control"
	"gomahi/internal/report"
	"gomahi/scenario"
)

// How long the goroutines of both directions may take to answer: they do so at once unless the link has not begun, or ended.
const (
	lookFor = 300 * time.Millisecond
	setFor  = 2 * time.Second
)

// steering is how a level is changed and looked at, from its socket.
type steering struct {
	tool  string
	link  *Link
	sides [2]*side
	rouse *atomic.Pointer[func()] // wakes who carries the packets

	lock sync.Mutex // of one request at a time
}

// side is one direction of a steering.
type side struct {
	name string
	*helm
	last view
}

func newSteering(tool string, l *Link, up, down *helm, rouse *atomic.Pointer[func()]) *steering {
	s := &steering{tool: tool, link: l, rouse: rouse, sides: [2]*side{{name: "uplink", helm: up}, {name: "downlink", helm: down}}}
	for i := range s.sides {
		s.sides[i].last.state = s.sides[i].helm.knobs.now
	}
	return s
}

// ask has wishes fulfilled, of a request for both directions. Errors are for who asked.
func (s *steering) ask(r *request, wishes [2]*wish, within time.Duration) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	take := func() { // back
		for i := range s.sides {
			s.sides[i].wish.CompareAndSwap(wishes[i], nil)
		}
	}
	for i := range s.sides {
		w := wishes[i]
		w.request, w.done = r, make(chan struct{})
		if !s.sides[i].wish.CompareAndSwap(nil, w) { // one that was late
			r.withdraw()
			take()
			return &control.Refusal{Status: 503, Text: "the change before is not in effect yet\nhint: it will be when the link carries packets"}
		}
	}
	if rouse := s.rouse.Load(); rouse != nil {
		(*rouse)()
	}
	late := time.After(within)
	for i := range s.sides {
		select {
		case <-wishes[i].done:
			s.sides[i].last = wishes[i].answer
		case <-late:
			if !r.withdraw() {
				return &control.Refusal{Status: 503, Text: "the change is in effect in one direction, and not yet in the other\nhint: it will be when that carries packets"}
			}
			take()
			return &control.Refusal{Status: 503, Text: "nothing was changed: the link has not begun to carry packets, or has ended"}
		}
	}
	return nil
}

// sideState is a direction as GET /v1/state has it. Of the quantities, those are there that the level has.
type sideState struct {
	At      int64                   `json:"at_ns"` // since the start
	Takes   []string                `json:"takes"` // what may be set
	Delay   *float64                `json:"delay_ms,omitempty"`
	Rate    *int64                  `json:"rate_bits_per_second,omitempty"` // 0 is no limit
	Trace   string                  `json:"trace,omitempty"`                // in place of a rate
	Loss    *float64                `json:"loss,omitempty"`
	Jitter  *float64                `json:"jitter_ms,omitempty"`
	Queue   string                  `json:"queue,omitempty"`
	Link    string                  `json:"link"` // "up" or "down"
	In      report.Count            `json:"in"`
	Added   uint64                  `json:"added,omitempty"` // packets that were duplicated
	Out     report.Count            `json:"out"`
	Dropped map[string]report.Count `json:"dropped"` // by reason
	Held    uint64                  `json:"held"`    // packets that are in the link
}

// state is what GET /v1/state answers.
type state struct {
	Tool     string    `json:"tool"`
	Title    string    `json:"title"` // the tool and its own arguments
	PID      int       `json:"pid"`
	Replays  bool      `json:"replays"` // it can play a scenario
	Uplink   sideState `json:"uplink"`
	Downlink sideState `json:"downlink"`
}

func (d *side) state() sideState {
	v := d.last // by itself, since the next may come meanwhile
	s := sideState{At: int64(v.at), Takes: append(slices.Clone(d.takes), "link"), Trace: d.trace, Link: v.state.Link(), In: v.in, Out: v.out,
		Dropped: map[string]report.Count{}}
	for _, what := range d.takes {
		switch what {
		case "delay":
			s.Delay = new(inMS(v.state.Delay))
		case "rate":
			s.Rate = &v.state.Rate
		case "loss":
			s.Loss = &v.state.Loss
		case "jitter":
			s.Jitter = new(inMS(v.state.Jitter))
		}
	}
	if s.Queue = v.state.Queue.String(); s.Queue == "" || d.queue != "" && v.state.Queue.Unit == "" {
		s.Queue = d.queue
	}
	t := tally{drops: v.drops, others: v.others}
	for _, c := range v.drops {
		s.Dropped[c.name] = report.Count{Packets: c.n, Bytes: c.bytes}
	}
	s.Added, s.Held = t.copies(), t.undelivered(v.in.Packets, v.out.Packets)
	return s
}

// look is the state of both directions at this moment: or, before the link begins and after its end, the last.
func (s *steering) look() (up, down sideState) {
	s.ask(new(request), [2]*wish{new(wish), new(wish)}, lookFor)
	return s.known()
}

func (s *steering) known() (up, down sideState) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.sides[0].state(), s.sides[1].state()
}

// A quantity is something that may be set.
type quantity struct {
	name  string
	parse func(what, text string) (func(*scenario.State), error)
}

var quantities = []quantity{
	{"delay", func(what, text string) (func(*scenario.State), error) {
		d, err := cli.Duration(what, text, time.Millisecond)
		return func(s *scenario.State) { s.Delay = d }, err
	}},
	{"rate", func(_, text string) (func(*scenario.State), error) {
		rate, err := bitrate(text)
		return func(s *scenario.State) { s.Rate = rate }, err
	}},
	{"loss", func(what, text string) (func(*scenario.State), error) {
		p, err := cli.Probability(what, text)
		return func(s *scenario.State) { s.Loss = p }, err
	}},
	{"jitter", func(what, text string) (func(*scenario.State), error) {
		d, err := cli.Duration(what, text, time.Millisecond)
		return func(s *scenario.State) { s.Jitter = d }, err
	}},
	{"queue.packets", queueLimit(scenario.Packets)},
	{"queue.bytes", queueLimit(scenario.Bytes)},
	{"queue.ms", queueLimit(scenario.Milliseconds)},
	{"queue.bdp", queueLimit(scenario.BDP)},
	{"link", func(what, text string) (func(*scenario.State), error) {
		if text != "up" && text != "down" {
			return nil, cli.Usagef("a link is up or down", "%s %q is neither", what, text)
		}
		return func(s *scenario.State) { s.Down = text == "down" }, nil
	}},
}

// queueLimit checks a limit as gm-link does.
func queueLimit(u scenario.Unit) func(what, text string) (func(*scenario.State), error) {
	return func(what, text string) (func(*scenario.State), error) {
		if strings.ContainsAny(text, ", \t=") {
			return nil, cli.Usagef("give one number: queue."+string(u)+"=100", "%s %q is not a number", what, text)
		}
		args := string(u) + "=" + text
		if u == scenario.BDP {
			args += ",rtt=1"
		}
		if _, err := queue.Parse("droptail", args); err != nil {
			return nil, asUsage(err)
		}
		v, err := strconv.ParseFloat(text, 64)
		return func(s *scenario.State) { s.Queue = scenario.Queue{Unit: u, Value: v} }, err
	}
}

// changes are what settings change of both directions: none in one where all of its functions are missing.
type changes [2][]func(*scenario.State)

// parse checks settings, as "uplink.delay": "80ms", all of them.
func (s *steering) parse(settings map[string]string) (c changes, err error) {
	if len(settings) == 0 {
		return c, cli.Usagef("as in "+s.example(), "there is nothing to set")
	}
	given := map[string]string{} // by direction and quantity, where all of a queue are one
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		name, only := key, ""
		for _, d := range s.sides {
			if rest, ok := strings.CutPrefix(key, d.name+"."); ok {
				name, only = rest, d.name
			}
		}
		k := slices.IndexFunc(quantities, func(q quantity) bool { return q.name == name })
		if k < 0 {
			return c, cli.Usagef(s.hint(), "unknown quantity %q", key)
		}
		sides, err := s.taking(name, only)
		if err != nil {
			return c, err
		}
		set, err := quantities[k].parse(strings.ReplaceAll(key, ".", " "), settings[key])
		if err != nil {
			return c, err
		}
		for _, i := range sides {
			what, _, _ := strings.Cut(name, ".")
			what += " " + s.sides[i].name
			if before := given[what]; before != "" {
				return c, cli.Usagef("give each once for each direction; a queue has one limit", "%s after %s", key, before)
			}
			given[what] = key
			c[i] = append(c[i], set)
		}
	}
	return c, s.check(c)
}

// taking are the directions that take a quantity: one at least, of those that are meant.
func (s *steering) taking(name, only string) (which []int, err error) {
	for i := range s.sides {
		d := s.sides[i]
		if only != "" && only != d.name {
			continue
		}
		if err := d.refuse(s.tool, name, only != ""); err != nil {
			return nil, err
		}
		if d.has(name) {
			which = append(which, i)
		}
	}
	if len(which) == 0 {
		return nil, cli.Usagef(s.hint(), "%s has no %s to set", s.tool, name)
	}
	return which, nil
}

func (d *side) has(name string) bool { return name == "link" || slices.Contains(d.takes, name) }

// refuse says why a direction does not take a quantity, if there is a reason other than that its tool has no such thing; or
// whatever the reason, of a direction that was asked for.
func (d *side) refuse(tool, name string, asked bool) error {
	switch {
	case d.has(name) && name == "rate" && d.trace != "":
		return cli.Usagef("a rate can be changed of a direction that was given one, as in gm-link 12Mbps 3Mbps", "the %s follows the trace %s", d.name, d.trace)
	case d.has(name):
		return nil
	case d.refuses != "":
		return cli.Usagef("start it without --repeat", "the %s has no %s to set: %s", d.name, name, d.refuses)
	case asked:
		return cli.Usagef("it takes "+strings.Join(append(slices.Clone(d.takes), "link"), ", "), "the %s of %s has no %s to set", d.name, tool, name)
	}
	return nil
}

// check holds the changes against what the tool has to say of them together.
func (s *steering) check(c changes) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	for i, d := range s.sides {
		if d.helm.check == nil || c[i] == nil {
			continue
		}
		to := d.last.state
		for _, set := range c[i] {
			set(&to)
		}
		if err := d.helm.check(to); err != nil {
			return err
		}
	}
	return nil
}

// takes are what may be set of any direction.
func (s *steering) takes() (names []string) {
	for _, q := range quantities {
		if slices.ContainsFunc(s.sides[:], func(d *side) bool { return d.has(q.name) }) {
			names = append(names, q.name)
		}
	}
	return names
}

func (s *steering) hint() string {
	return s.tool + " takes " + strings.Join(s.takes(), ", ") + "; each for both directions, or with uplink. or downlink. before it"
}

func (s *steering) example() string {
	return map[string]string{"delay": "delay=80ms", "rate": "rate=5Mbps", "loss": "loss=2%", "jitter": "jitter=3ms", "link": "link=down"}[s.takes()[0]]
}

// set changes what the settings say, in both directions or not at all.
func (s *steering) set(settings map[string]string) error {
	c, err := s.parse(settings)
	if err != nil {
		return err
	}
	var wishes [2]*wish
	for i, all := range c {
		wishes[i] = new(wish)
		if all == nil {
			continue
		}
		var drawn scenario.State
		for _, set := range all {
			set(&drawn)
		}
		s.link.draws([]scenario.Change{{State: drawn}})
		wishes[i].change = func(to *scenario.State) {
			for _, set := range all {
				set(to)
			}
		}
	}
	return s.ask(new(request), wishes, setFor)
}

// A replay is a scenario that is to be played: what POST /v1/replay takes.
type replay struct {
	Scenario     string `json:"scenario"`      // CSV
	Downlink     string `json:"downlink"`      // another for that direction
	Name         string `json:"name"`          // of the scenario, for errors
	DownlinkName string `json:"downlink_name"` // likewise
	Loop         bool   `json:"loop"`
	Interpolate  bool   `json:"interpolate"`
}

// replay plays a scenario in both directions, from now on.
func (s *steering) replay(r *replay) error {
	none := scenario.Queue{} // where the scenario says nothing of it
	if s.sides[0].play != nil {
		none = scenario.Queue{Unit: scenario.BDP, Value: s.sides[0].buffer}
	}
	if r.Name == "" {
		r.Name = "scenario"
	}
	read := func(name, text string) (*scenario.Scenario, error) {
		if name == "" {
			name = r.Name
		}
		p, err := scenario.Parse(name, strings.NewReader(text), none)
		if err != nil {
			err = asUsage(err)
		}
		return p, err
	}
	up, err := read(r.Name, r.Scenario)
	if err != nil {
		return err
	}
	down := up
	if r.Downlink != "" {
		if down, err = read(r.DownlinkName, r.Downlink); err != nil {
			return err
		}
	}
	if r.Loop && len(up.Uplink) == 1 && len(down.Downlink) == 1 {
		return oneRow(r.Name)
	}
	if !s.replays() {
		return cli.Usagef("gm-path, gm-link, gm-delay and others can", "%s cannot play a scenario", s.tool)
	}
	wishes := [2]*wish{new(wish), new(wish)}
	for i, rows := range [][]scenario.Change{up.Uplink, down.Downlink} {
		if !s.sides[i].plays() {
			continue
		}
		w := wishes[i]
		if w.says, err = s.sides[i].about(s.tool, rows); err != nil {
			return err
		}
		s.link.draws(rows)
		w.script = scenario.Play(rows, r.Interpolate, r.Loop)
	}
	return s.ask(&request{clock: effects.NewClock(effects.AnyPacket)}, wishes, setFor)
}

// plays says whether a direction can play a scenario.
func (d *side) plays() bool { return len(d.takes) > 0 }

func (s *steering) replays() bool { return s.sides[0].plays() || s.sides[1].plays() }

// about are the quantities that a scenario gives a direction, which it must take.
func (d *side) about(tool string, rows []scenario.Change) ([]copier, error) {
	if d.play != nil {
		return nil, nil // it takes everything
	}
	all := about(rows)
	for _, row := range rows {
		for _, c := range all {
			name := c.name
			if name == "queue" {
				name += "." + string(row.Queue.Unit)
			}
			if err := d.refuse(tool, name, true); err != nil {
				return nil, err
			}
		}
		if row.Route != rows[0].Route {
			return nil, cli.Usagef("gm-path has", "the %s of %s has no routes to change", d.name, tool)
		}
		if d.helm.check != nil {
			if err := d.helm.check(row.State); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// refused makes of a user's error what the socket answers.
func refused(err error) error {
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		return &control.Refusal{Status: 400, Text: err.Error()}
	}
	return err
}

// settings reads what POST /v1/set takes: an object of strings, or of numbers.
func settings(read func(into any) error) (map[string]string, error) {
	const hint = `post an object: {"uplink.delay": "80ms", "loss": "2%"}`
	var all json.RawMessage
	var given map[string]json.RawMessage
	err := read(&all)
	if err == nil {
		err = json.Unmarshal(all, &given)
	}
	if err != nil {
		return nil, cli.Usagef(hint, "%v", err)
	}
	if key := twice(all); key != "" {
		return nil, cli.Usagef("leave out one of them", "%s is given twice", key)
	}
	out := map[string]string{}
	for key, raw := range given {
		var text string
		var number json.Number
		switch {
		case json.Unmarshal(raw, &text) == nil:
			out[key] = text
		case json.Unmarshal(raw, &number) == nil && number != "":
			out[key] = number.String()
		default:
			return nil, cli.Usagef(`as on the command line: "80ms"`, "the value of %s is neither a string nor a number", key)
		}
	}
	return out, nil
}

// twice is a key that a JSON object has more than once.
func twice(object []byte) string {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token() // the brace
	for seen := map[string]bool{}; d.More(); {
		token, _ := d.Token()
		key, _ := token.(string)
		if seen[key] {
			return key
		}
		seen[key] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break
		}
	}
	return ""
}

// serve answers at the socket.
func (s *steering) serve(c *control.Server, title string) {
	answer := func(err error) (any, error) {
		if err != nil {
			return nil, refused(err)
		}
		up, down := s.known()
		return &state{s.tool, title, os.Getpid(), s.replays(), up, down}, nil
	}
	c.Handle("GET /v1/", func(*control.Request) (any, error) { return c.Names(), nil })
	c.Handle("GET /v1/state", func(*control.Request) (any, error) {
		s.look()
		return answer(nil)
	})
	c.Handle("POST /v1/set", func(r *control.Request) (any, error) {
		all, err := settings(r.Read)
		if err == nil {
			err = s.set(all)
		}
		return answer(err)
	})
	c.Handle("POST /v1/replay", func(r *control.Request) (any, error) {
		var p replay
		err := r.Read(&p)
		if err != nil {
			err = cli.Usagef(`post an object: {"scenario": "Time[ms],Delay[ms]\n0,20\n"}`, "%v", err)
		} else {
			err = s.replay(&p)
		}
		return answer(err)
	})
	c.Handle("GET /metrics", func(*control.Request) (any, error) {
		up, down := s.look()
		return metrics(s.tool, title, up, down), nil
	})
}
