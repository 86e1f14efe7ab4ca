package tool

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gomahi/effects"
	"gomahi/effects/record"
	"gomahi/internal/cli"
	"gomahi/internal/report"
	"gomahi/meter"
	"gomahi/scenario"
)

// Path is gm-path.
type Path struct {
	Downlink             string `placeholder:"FILE" help:"Another scenario for the downlink."`
	Start                string `placeholder:"WHEN" enum:"now,first-packet,first-transport-packet,first-large-packet" default:"first-packet" help:"When: now, first-packet (the default), first-transport-packet, first-large-packet."`
	Buffer               string `placeholder:"BDP" default:"1.0" help:"The queue, where the scenario has none, in bandwidth-delay products (1.0)."`
	Resize               string `placeholder:"WHEN" enum:"on-route-change,always" default:"on-route-change" help:"When the queue follows rate and delay: on-route-change (the default) or always."`
	ReconfigurationDelay string `placeholder:"MS" default:"0" help:"A pause at each change of route (0)."`
	ReconfigurationMode  string `placeholder:"MODE" enum:"gsl,all" default:"gsl" help:"What is in flight waits for its end (gsl, the default), or is later by it (all)."`
	Interpolate          bool   `help:"Delay and rate go linearly from row to row."`
	Loop                 bool   `help:"Begin again after the last row, which holds as long as the one before it."`
	Check                bool   `help:"Say what would happen, and run nothing."`
	Plot                 string `placeholder:"FILE" help:"Draw the scenario, as FILE.svg or FILE.png, and run nothing."`
	Recording
	Seeded
	Fusing
	Common
	draw   Draw
	source string
	buffer float64
	pause  time.Duration
}

// Draw draws a scenario into a file.
type Draw func(file string, interpolate bool, up, down []scenario.Change) error

// NewPath makes a Path that can draw, for which the other tools have no library.
func NewPath(d Draw) *Path { return &Path{draw: d} }

func (o *Path) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-path",
		Usage: optionsUsage + "SCENARIO [COMMAND...]",
		About: "Run a command, or a shell, behind a path whose delay, rate, loss, jitter, queue, link and route change as a file\n" +
			"says: CSV with a header such as Time[ms],RouteID,Delay[ms],Rate[Mbps], which phantomlink reads too.",
		Examples: []string{
			"gm-path orbit.csv  # a shell; the scenario begins with its first packet",
			"gm-path --start=now --loop lift.csv ./test",
			"gm-path up.csv --downlink=down.csv --events=events.jsonl -- iperf3 -c 192.0.2.1",
			"gm-path --check orbit.csv  # what would happen",
			"gm-path --plot=orbit.svg orbit.csv",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 1 },
	}
}

func (o *Path) Set(args []string) (err error) {
	o.source = args[0]
	o.buffer, err = strconv.ParseFloat(o.Buffer, 64)
	if err != nil || !(o.buffer >= 0.001 && o.buffer <= 1e6) {
		return cli.Usagef("give a number of bandwidth-delay products from 0.001 to 1000000: 1.0", "%q is no size for a buffer", o.Buffer)
	}
	o.pause, err = cli.Duration("reconfiguration delay", o.ReconfigurationDelay, time.Millisecond)
	return err
}

// load reads the scenario: in the process that uses it, since it may come from a pipe.
func (o *Path) load() (up, down []scenario.Change, err error) {
	read := func(file string) (*scenario.Scenario, error) {
		return load(file, "give a scenario: a CSV file with a header such as Time[ms],RouteID,Delay[ms],Rate[Mbps]",
			func(name string, r io.Reader) (*scenario.Scenario, error) {
				return scenario.Parse(name, r, scenario.Queue{Unit: scenario.BDP, Value: o.buffer})
			})
	}
	s, err := read(o.source)
	if err != nil {
		return nil, nil, err
	}
	if o.Downlink != "" {
		d, err := read(o.Downlink)
		if err != nil {
			return nil, nil, err
		}
		s.Downlink = d.Downlink
	}
	if o.Loop && len(s.Uplink) == 1 && len(s.Downlink) == 1 {
		return nil, nil, oneRow(o.source)
	}
	return s.Uplink, s.Downlink, nil
}

func oneRow(file string) error {
	return cli.Usagef("leave out --loop: the row holds for good", "%s has but one row", file)
}

func (o *Path) inputs() []string {
	if o.Downlink == "" {
		return []string{o.source}
	}
	return []string{o.source, o.Downlink}
}

func (o *Path) Tells() bool { return o.Check || o.Plot != "" }

// tell does what --check and --plot ask for.
func (o *Path) Tell(w io.Writer, command []string) error {
	if len(command) > 0 {
		return cli.Usagef("leave out the command, or --check and --plot", "nothing is run with --check or --plot, and %q is a command", command[0])
	}
	up, down, err := o.load()
	if there, missing := os.Stat(o.Plot); err == nil && missing == nil {
		err = spare(o.Plot, there, o.inputs())
	}
	if err == nil && o.Plot != "" {
		err = o.draw(o.Plot, o.Interpolate, up, down)
	}
	if err == nil && o.Check {
		err = o.describe(w, up, down)
	}
	return err
}

func (o *Path) clock() *effects.Clock {
	switch o.Start {
	case "first-packet":
		return effects.NewClock(effects.AnyPacket)
	case "first-transport-packet":
		return effects.NewClock(effects.TransportPacket)
	case "first-large-packet":
		return effects.NewClock(effects.LargePacket)
	}
	return effects.NewClock(nil)
}

func (o *Path) Link(l *Link) error {
	up, down, err := o.load()
	if err != nil {
		return err
	}
	l.uses(o.inputs()...)
	out, err := o.openRecords(l)
	if err != nil {
		return err
	}
	clock := o.clock()
	l.Uplink = o.stage(l, "uplink", o.source, up, clock, l.UpDrops, &l.Up, out)
	downSource := o.inputs()[len(o.inputs())-1]
	l.Downlink = o.stage(l, "downlink", downSource, down, clock, l.DownDrops, &l.Down, out)
	l.began = clock.Began
	return nil
}

func (o *Path) stage(l *Link, name, source string, rows []scenario.Change, clock *effects.Clock, drops effects.Observer, m *measures,
	out map[string]*output) effects.Stage {
	first := rows[0]
	options := effects.PathOptions{Resize: o.Resize == "always", Pause: o.pause, Shift: o.ReconfigurationMode == "all", Beyond: drops}
	options.LossFrom, options.JitterFrom = l.later(name), l.later(name+" jitter")
	l.draws(rows)
	var p *effects.Path
	l.Finish = append(l.Finish, func(at time.Duration) error { // before the recorder's
		p.Advance(at)
		return nil
	})
	seen, tell := effects.LinkObserver(watched{effects.Unobserved{}, drops}), []func(scenario.Change){m.change}
	if r := o.recorder(l, name, source, "droptail ["+first.Queue.String()+"]", record.Capacity{Rate: first.Rate}, out); r != nil {
		seen, options.Beyond = watched{r, drops}, both{r.Beyond(), drops}
		tell = append(tell, r.Change)
	}
	m.counter = meter.NewCounter(0)
	m.pace = &pace{LinkObserver: seen, counter: m.counter}
	options.Seen, options.Flies = changing{m.pace, tell}, m.pace.fly
	if len(rows) == 1 { // else there is not one figure, but the report's changes
		m.askAll(first.Rate, first.Delay, first.Loss)
	}
	p = effects.NewPath(scenario.Play(rows, o.Interpolate, o.Loop), clock, options)
	m.steer(p, first.State, "delay", "rate", "loss", "jitter", "queue.packets", "queue.bytes", "queue.ms", "queue.bdp")
	m.knobs.holds, m.knobs.play, m.knobs.buffer = p.Holds, p.Play, o.buffer
	return p
}

// draws notes whether any of the rows takes random numbers.
func (l *Link) draws(rows []scenario.Change) {
	for _, c := range rows {
		if c.Loss > 0 || c.Jitter > 0 {
			l.random.Store(true)
		}
	}
}

// changing is an observer of a path.
type changing struct {
	effects.LinkObserver
	tell []func(scenario.Change)
}

func (c changing) Change(s scenario.Change) {
	for _, tell := range c.tell {
		tell(s)
	}
}

// change notes a change for the report, but for those between rows.
func (m *measures) change(c scenario.Change) {
	if !c.Between {
		m.changes = append(m.changes, report.Change{At: int64(c.At), Route: c.Route, Delay: inMS(c.Delay), Rate: c.Rate, Loss: c.Loss,
			Jitter: inMS(c.Jitter), Queue: c.Queue.String(), Link: c.Link()})
	}
}

func (o *Path) Prefix() string { return "[path " + filepath.Base(o.source) + "] " }
