package tool

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"gomahi/internal/cli"
	"gomahi/internal/control"
	"gomahi/meter"
	"gomahi/shell"
	"gomahi/trace"
)

// Display are the options of tools that draw.
type Display struct {
	Layout   string `placeholder:"WHERE" default:"top" help:"Where the graphs are: top (the default), bottom, left, right, full."`
	Height   string `placeholder:"SHARE" default:"40%" help:"How much of the screen they have: 10% to 90% (40%)."`
	Plain    bool   `help:"Draw nothing: the figures on standard error, a line each interval, and a summary."`
	Json     bool   `help:"The same as JSON lines."`
	Interval string `placeholder:"TIME" default:"1s" help:"Of these lines (1s)."`

	drawer   meter.Drawer
	share    int
	interval time.Duration
}

func (d *Display) set() (err error) {
	if d.Layout == "" {
		return nil // of a tool that stands on no command line, and draws nothing
	}
	if !meter.KnownLayout(d.Layout) {
		return cli.Usagef("the layouts are top, bottom, left, right and full", "unknown layout %q", d.Layout)
	}
	if d.share, err = meter.Share(d.Height); err != nil {
		return cli.Usagef("give a percentage of the screen: --height=40%", "%v", err)
	}
	if d.interval, err = cli.Duration("interval", d.Interval, time.Second); err != nil {
		return err
	}
	if d.interval < 10*time.Millisecond || d.interval > 10*time.Minute {
		return cli.Usagef("give 10ms to 10m", "interval %q is out of range", d.Interval)
	}
	if d.Plain && d.Json {
		return cli.Usagef("leave out one of them", "both --plain and --json")
	}
	return nil
}

// DrawWith says what draws. Without, the figures come in lines.
func (d *Display) DrawWith(drawer meter.Drawer) { d.drawer = drawer }

func (d *Display) display() *Display { return d }

// show finds out how a stage is shown: by the tool around it that draws already, on the terminal, which is then the
// command's, or in lines. What it returns is to be called at the end.
func (d *Display) show(s *stage, socket string, o *shell.Options, stderr io.Writer) (finish func()) {
	s.count()
	finish = func() {}
	lines := d.Plain || d.Json
	if outer := os.Getenv(meterVar); outer != "" && socket != "" && !lines {
		if err := control.Dial(outer).Post("/v1/guests", guest{socket}, nil); err == nil {
			return finish
		}
	}
	local := s.graphs(s.Graphs, func(g shown) meter.Source { return s.direction(g.Direction) })
	if !lines && d.drawer != nil && d.drawer.Usable() {
		t, err := d.drawer.Open(meter.Look{Layout: d.Layout, Share: d.share,
			Graphs: func() []meter.Graph { return append(local[:len(local):len(local)], s.guests.graphs()...) }})
		if err == nil {
			o.Terminal = t
			if socket != "" {
				os.Setenv(meterVar, socket)
			}
			return finish
		}
		o.Warn(err.Error() + "\nhint: the figures follow in lines; --plain asks for them")
	}
	p := &printer{Display: d, stage: s, to: stderr, end: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p.finish
}

// printer writes what a stage does, line by line.
type printer struct {
	*Display
	stage     *stage
	to        io.Writer
	end, done chan struct{}
}

// line is one direction in an interval, as --json has it.
type line struct {
	Rate     float64  `json:"rate_bits_per_second"`
	Arrivals *float64 `json:"arrivals_bits_per_second,omitempty"`
	Capacity *float64 `json:"capacity_bits_per_second,omitempty"`
	Dropped  *uint64  `json:"dropped_packets,omitempty"`
	Delay    *float64 `json:"max_delay_ms,omitempty"`
}

func (p *printer) run() {
	defer close(p.done)
	since := p.stage.Since
	for from := since; ; {
		next := from + p.interval
		select {
		case <-p.end:
			return
		case <-time.After(next - meter.Clock()):
		}
		p.write(next-since, from-since, next-since)
		from = next
	}
}

// of is what happened in a direction from one time of the stage's to another.
func (p *printer) of(d *meter.Direction, from, to time.Duration) meter.Sum {
	s := d.Counter.Sum(int64(from/meter.Bin), int64(to/meter.Bin))
	if d.Capacity != nil {
		s.Capacity = d.Capacity(to) - d.Capacity(from)
	}
	return s
}

// directions are those that are shown.
func (p *printer) directions() (names []string) {
	seen := map[string]bool{}
	for _, g := range p.stage.Graphs {
		if !seen[g.Direction] {
			names = append(names, g.Direction)
		}
		seen[g.Direction] = true
	}
	return names
}

func (p *printer) shows(name, what string) bool {
	for _, g := range p.stage.Graphs {
		if g == (shown{name, what}) {
			return true
		}
	}
	return false
}

func (p *printer) write(at, from, to time.Duration) {
	text := fmt.Sprintf("%s: %.*f s", p.stage.Tool, max(0, decimalsOf(p.interval)), at.Seconds())
	all := map[string]any{"time_s": at.Seconds(), "tool": p.stage.Tool}
	for _, name := range p.directions() {
		d := p.stage.direction(name)
		s := p.of(d, from, to)
		l := line{Rate: perSecond(s.Departed, to-from)}
		text += "  " + name + " " + trace.Rate(l.Rate)
		if p.stage.Linked {
			in, ms := perSecond(s.Arrived, to-from), inMS(s.Delay)
			l.Arrivals, l.Dropped, l.Delay = &in, &s.Dropped, &ms
			if d.Capacity != nil {
				c := perSecond(s.Capacity, to-from)
				l.Capacity = &c
				text += " of " + trace.Rate(c)
			}
			if p.shows(name, meter.Delay) {
				text += fmt.Sprintf(", delay %.3g ms", ms)
			}
			if s.Dropped > 0 {
				text += fmt.Sprintf(", %d dropped", s.Dropped)
			}
		}
		all[name] = l
	}
	if p.Json {
		p.json(all)
	} else {
		fmt.Fprintln(p.to, text)
	}
}

func (p *printer) json(what any) {
	b, _ := json.Marshal(what)
	p.to.Write(append(b, '\n'))
}

// decimalsOf is how many decimals of a second an interval needs.
func decimalsOf(d time.Duration) (n int) {
	for ; d%time.Second != 0 && n < 3; n++ {
		d *= 10
	}
	return n
}

func perSecond(bytes uint64, within time.Duration) float64 {
	if within <= 0 {
		return 0
	}
	return 8 * float64(bytes) / within.Seconds()
}

const sparks = 60 // cells of the summary's picture, at most

// finish writes the summary: of the last ten minutes, if there were more.
func (p *printer) finish() {
	close(p.end)
	<-p.done
	lasted := meter.Clock() - p.stage.Since
	from := max(0, lasted-meter.Bins*meter.Bin)
	summary := map[string]any{"summary": true, "tool": p.stage.Tool, "time_s": lasted.Seconds()}
	for _, name := range p.directions() {
		d := p.stage.direction(name)
		n := int(min(sparks, max(1, (lasted-from)/(100*time.Millisecond))))
		width := (lasted - from) / time.Duration(n) / meter.Bin * meter.Bin
		var rates []float64
		var peak float64
		for k := range n {
			s := p.of(d, from+time.Duration(k)*width, from+time.Duration(k+1)*width)
			rates = append(rates, perSecond(s.Departed, width))
			peak = max(peak, rates[k])
		}
		total := p.of(d, from, lasted)
		mean := perSecond(total.Departed, lasted-from)
		if p.Json {
			summary[name] = map[string]any{"mean_bits_per_second": mean, "peak_bits_per_second": peak, "dropped_packets": total.Dropped}
			continue
		}
		lost := ""
		if p.stage.Linked && total.Dropped > 0 {
			lost = fmt.Sprintf(", %d dropped", total.Dropped)
		}
		fmt.Fprintf(p.to, "%s: %s: mean %s, peak %s%s %s\n", p.stage.Tool, name, trace.Rate(mean), trace.Rate(peak), lost, trace.Sparkline(rates))
	}
	if p.Json {
		p.json(summary)
	}
}

// watchAll watches the stages of all levels.
func watchAll(levels []*level, o *shell.Options) (stop func()) {
	var stops []func()
	rouse := new(atomic.Pointer[func()])
	o.Ready = func(f func()) { rouse.Store(&f) }
	for _, v := range levels {
		stops = append(stops, watchStage(v, o, rouse))
	}
	return func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
	}
}

// watchStage lets others see what a stage does: at its socket, and on the terminal if that is wanted. What it returns is to
// be called when the stage has ended.
func watchStage(v *level, o *shell.Options, rouse *atomic.Pointer[func()]) (stop func()) {
	t, stderr := v.Tool, v.stderr
	s := newStage(t, v.link, v.own, o.Argv, &v.up, &v.down, rouse)
	socket := ""
	c, err := control.Listen(s.Tool)
	if err == nil {
		socket = c.Path
		s.serve(c)
	} else if t.common().Verbose {
		fmt.Fprintf(stderr, "%s: no control socket: %v\n", s.Tool, err)
	}
	finish := func() {}
	if d, ok := t.(interface {
		draws() bool
		display() *Display
	}); ok && d.draws() {
		finish = d.display().show(s, socket, o, stderr)
	}
	return func() {
		finish()
		if c != nil {
			c.Close()
		}
	}
}
