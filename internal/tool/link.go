package tool

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"gomahi/effects"
	"gomahi/effects/queue"
	"gomahi/effects/record"
	"gomahi/internal/cli"
	"gomahi/meter"
	"gomahi/scenario"
	"gomahi/trace"
)

// LinkTool is gm-link.
type LinkTool struct {
	Once bool `help:"End when a trace ends, in place of repeating it."`

	UplinkQueue       string `placeholder:"TYPE" words:"infinite,droptail,drophead,codel,pie,fq_codel,red" help:"Its queue: infinite (the default), droptail, drophead, codel, pie, fq_codel, red."`
	DownlinkQueue     string `placeholder:"TYPE" words:"infinite,droptail,drophead,codel,pie,fq_codel,red" help:"Likewise for the downlink."`
	UplinkQueueArgs   string `placeholder:"ARGS" help:"Its arguments: packets=100, bytes=60000, ms=100, target=5, ecn, ..."`
	DownlinkQueueArgs string `placeholder:"ARGS" help:"Likewise for the downlink."`

	UplinkDelay   string `placeholder:"DELAY" help:"One-way propagation delay behind the uplink's queue."`
	DownlinkDelay string `placeholder:"DELAY" help:"Likewise for the downlink."`
	UplinkLoss    string `placeholder:"RATE" help:"Loss behind the uplink's queue: 0.01, 1%."`
	DownlinkLoss  string `placeholder:"RATE" help:"Likewise for the downlink."`

	Recording

	MeterUplink        bool `help:"Draw the uplink on the terminal: capacity, arrivals, departures, drops."`
	MeterDownlink      bool `help:"Likewise the downlink."`
	MeterUplinkDelay   bool `help:"Draw the uplink's queueing delay."`
	MeterDownlinkDelay bool `help:"Likewise the downlink's."`
	MeterAll           bool `help:"Draw all four."`
	Display

	Seeded
	Fusing
	Common
	up, down direction
}

// direction is one of a link's two.
type direction struct {
	name     string // "uplink"
	source   string // the trace's file, or the rate
	schedule *trace.Schedule
	rate     int64 // where there is no schedule
	kind     string
	queue    queue.Spec
	loss     float64
	delay    time.Duration
}

func (o *LinkTool) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-link",
		Usage: optionsUsage + "UPLINK DOWNLINK [COMMAND...]",
		About: "Run a command, or a shell, behind a link that carries packets as traces say, or at a constant rate. UPLINK and\n" +
			"DOWNLINK are files with a time in milliseconds per line, at each of which one packet of 1500 bytes may pass, or\n" +
			"rates such as 12Mbps.",
		Examples: []string{
			"gm-link up.trace down.trace -- curl https://example.org",
			"gm-link 12Mbps 720kbit --uplink-delay=20 --downlink-delay=20",
			"gm-link 20Mbps 20Mbps --uplink-queue=codel --uplink-queue-args=packets=1000 -- iperf3 -c 192.0.2.1",
			"gm-link up.trace down.trace --once --uplink-log=up.log -- ./test",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *LinkTool) Set(args []string) (err error) {
	o.up = direction{name: "uplink", source: args[0], kind: o.UplinkQueue}
	o.down = direction{name: "downlink", source: args[1], kind: o.DownlinkQueue}
	if err := o.Display.set(); err != nil {
		return err
	}
	err = o.up.set(o.UplinkQueueArgs, o.UplinkDelay, o.UplinkLoss)
	if err == nil {
		err = o.down.set(o.DownlinkQueueArgs, o.DownlinkDelay, o.DownlinkLoss)
	}
	if err == nil && o.Once && o.up.rate > 0 && o.down.rate > 0 {
		err = cli.Usagef("--once is for traces", "a constant rate never ends")
	}
	return err
}

func (d *direction) set(queueArgs, delay, loss string) (err error) {
	if _, missing := os.Stat(d.source); errors.Is(missing, os.ErrNotExist) && trace.LooksLikeRate(d.source) {
		if d.rate, err = bitrate(d.source); err != nil {
			return err
		}
	}
	if d.queue, err = queue.Parse(d.kind, queueArgs); err != nil {
		return asUsage(fmt.Errorf("%s queue: %w", d.name, err))
	}
	if delay != "" {
		if d.delay, err = cli.Duration(d.name+" delay", delay, time.Millisecond); err != nil {
			return err
		}
	}
	if loss != "" {
		d.loss, err = cli.Probability(d.name+" loss", loss)
	}
	return err
}

// load reads the trace, if it is one. It may be a pipe: only the process that uses it may read it.
func (d *direction) load() (err error) {
	if d.rate == 0 {
		if d.schedule, err = trace.Load(d.source); err != nil {
			return asUsage(err)
		}
	}
	return nil
}

// asUsage makes a usage error of one whose text ends with a hint.
func asUsage(err error) error {
	problem, hint, _ := strings.Cut(err.Error(), "\nhint: ")
	return &cli.UsageError{Problem: problem, Hint: hint}
}

func (o *LinkTool) Link(l *Link) error {
	for _, d := range []*direction{&o.up, &o.down} {
		if err := d.load(); err != nil {
			return err
		}
	}
	l.uses(o.up.source, o.down.source)
	out, err := o.openRecords(l)
	if err != nil {
		return err
	}
	for i, d := range []*direction{&o.up, &o.down} {
		drops := [...]effects.Observer{l.UpDrops, l.DownDrops}[i]
		seen, beyond, tell := effects.LinkObserver(watched{effects.Unobserved{}, drops}), drops, func(scenario.Change) {}
		capacity := record.Capacity{Schedule: d.schedule, Once: o.Once, Rate: d.rate, Overhead: d.overhead(), Size: effects.Opportunity}
		if r := o.recorder(l, d.name, d.source, d.queue.String(), capacity, out); r != nil {
			seen, beyond, tell = watched{r, drops}, both{r.Beyond(), drops}, r.Change
		}
		m := [...]*measures{&l.Up, &l.Down}[i]
		d.ask(m)
		m.counter = meter.NewCounter(d.overhead())
		m.pace = &pace{LinkObserver: seen, counter: m.counter}
		carried := newCapacity(d.capacity(o.Once))
		m.capacity = carried.until
		stage := d.stage(l, m, o.Once, beyond, func(c scenario.Change) {
			tell(c)
			carried.change(c, d.schedule == nil)
		})
		if i == 0 {
			l.Uplink = stage
		} else {
			l.Downlink = stage
		}
	}
	return nil
}

// capacity is how many bytes could pass until a time.
func (d *direction) capacity(once bool) func(time.Duration) uint64 {
	if d.schedule == nil {
		return capacityOf(d.rate)
	}
	return func(t time.Duration) uint64 {
		n, laps := d.schedule.Len(), t/d.schedule.Period()
		if once && laps > 0 {
			return uint64(n) * effects.Opportunity
		}
		rest := t % d.schedule.Period()
		used := int64(laps)*int64(n) + int64(sort.Search(n, func(i int) bool { return d.schedule.At(i) > rest }))
		return uint64(used) * effects.Opportunity
	}
}

func (d *direction) ask(m *measures) {
	m.askAll(d.rate, d.delay, d.loss)
	if d.schedule != nil {
		m.ask(askedRate, d.schedule.Mean())
	}
}

// askAll asks for what is not 0.
func (m *measures) askAll(rate int64, delay time.Duration, loss float64) {
	for what, v := range map[string]float64{askedRate: float64(rate), askedDelay: inMS(delay), askedLoss: loss} {
		if v > 0 {
			m.ask(what, v)
		}
	}
}

func (d *direction) overhead() int {
	if d.schedule == nil {
		return 0
	}
	return effects.Overhead
}

// stage is a direction in the order of a real path: queue and rate, then loss, then propagation delay. If it is changed, tell is
// told.
func (d *direction) stage(l *Link, m *measures, once bool, beyond effects.Observer, tell func(scenario.Change)) effects.Stage {
	seen := m.pace
	c := queue.Config{Overhead: d.overhead(), Rate: float64(d.rate), Seen: seen}
	if d.queue.Draws() {
		c.Random = l.Random(d.name + " queue")
	}
	if d.schedule != nil {
		c.Rate = d.schedule.Mean() * effects.Opportunity / (effects.Opportunity - effects.Overhead)
	}
	q := d.queue.New(c)
	var link effects.Bottleneck
	if d.schedule == nil {
		link = effects.NewRated(d.rate, q, seen)
	} else {
		link = effects.NewTraced(d.schedule, once, q, seen)
	}
	limits := func(s scenario.State) (packets, bytes int) { // in time they are those of the rate of that moment
		if d.schedule == nil {
			c.Rate = float64(s.Rate)
		}
		if s.Queue.Unit == "" {
			return d.queue.Limits(c)
		}
		s.Rate = int64(c.Rate)
		return s.Limits()
	}
	now := scenario.State{Rate: d.rate, Delay: d.delay, Loss: d.loss}
	o := effects.WayOptions{Link: link, Queue: q, Limits: limits, Random: l.later(d.name), Seen: seen, Lost: beyond, Flies: seen.fly}
	if d.loss > 0 {
		l.random.Store(true)
	}
	w := effects.NewWay(now, o)
	m.steer(w, now, "rate", "delay", "loss", "queue.packets", "queue.bytes", "queue.ms")
	m.knobs.links, m.knobs.queue, m.knobs.tell = true, d.queue.String(), tell
	if d.schedule != nil {
		m.knobs.trace = d.source
	}
	return w
}

func (o *LinkTool) Prefix() string { return "[link] " }

// shows says which graphs are drawn; to who attaches, all are.
func (o *LinkTool) shows() (all []shown, linked bool) {
	for i, asked := range []bool{o.MeterUplink, o.MeterDownlink, o.MeterUplinkDelay, o.MeterDownlinkDelay} {
		if asked || o.MeterAll || !o.draws() {
			all = append(all, append(rates[:2:2], delays...)[i])
		}
	}
	return all, true
}

func (o *LinkTool) draws() bool {
	return o.MeterUplink || o.MeterDownlink || o.MeterUplinkDelay || o.MeterDownlinkDelay || o.MeterAll
}
