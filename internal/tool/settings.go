package tool

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomahi/effects/queue"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

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

// settings reads what POST /v1/set takes: an object of strings, or of numbers.
func settings(read func(into any) error) (map[string]string, error) {
	const hint = `post an object: {"uplink.delay": "80ms", "loss": "2%"}`
	var object json.RawMessage
	if err := read(&object); err != nil {
		return nil, cli.Usagef(hint, "%v", err)
	}
	d := json.NewDecoder(bytes.NewReader(object)) // of what is known to be JSON
	d.UseNumber()
	if brace, _ := d.Token(); brace != json.Delim('{') {
		return nil, cli.Usagef(hint, "%s is no object", object)
	}
	out := map[string]string{}
	for d.More() {
		key, _ := d.Token()
		name := key.(string)
		if _, twice := out[name]; twice {
			return nil, cli.Usagef("leave out one of them", "%s is given twice", name)
		}
		switch value, _ := d.Token(); v := value.(type) {
		case string:
			out[name] = v
		case json.Number:
			out[name] = v.String()
		default:
			return nil, cli.Usagef(`as on the command line: "80ms"`, "the value of %s is neither a string nor a number", name)
		}
	}
	return out, nil
}
