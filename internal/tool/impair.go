package tool

import (
	"fmt"
	"io"
	"os"
	"time"

	"gomahi/effects"
	"gomahi/effects/record"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

// directed is the first argument of the tools that impair one direction or both.
type directed struct {
	where    string
	up, down bool
}

func (d *directed) direct(where string) (err error) {
	d.where = where
	d.up, d.down, err = cli.Directions(where)
	return err
}

// link makes a stage for each direction that is meant, by itself. The other passes everything.
func (d *directed) link(l *Link, stage func(direction string, seen effects.Observer) effects.Stage) {
	l.Uplink, l.Downlink = effects.NewDelay(0), effects.NewDelay(0)
	if d.up {
		l.Uplink = stage("uplink", l.UpDrops)
	}
	if d.down {
		l.Downlink = stage("downlink", l.DownDrops)
	}
}

// steer lets something be changed of the directions that are meant, and returns these.
func (d *directed) steer(l *Link, now scenario.State, takes ...string) (all []*measures) {
	if d.up {
		l.Up.steer(l.Uplink.(effects.Steered), now, takes...)
		all = append(all, &l.Up)
	}
	if d.down {
		l.Down.steer(l.Downlink.(effects.Steered), now, takes...)
		all = append(all, &l.Down)
	}
	return all
}

// askLoss says what part of the packets of the directions that are meant is to be lost.
func (d *directed) askLoss(l *Link, rate float64) {
	for m, meant := range map[*measures]bool{&l.Up: d.up, &l.Down: d.down} {
		if meant {
			m.ask(askedLoss, rate)
		}
	}
}

func (d *directed) prefix(name, what string) string { return "[" + name + " " + d.where + what + "] " }

// Deciding are the options of tools that decide on each packet by itself, mostly at random.
type Deciding struct {
	Seeded
	Record   string `placeholder:"FILE" help:"Write each decision to FILE."`
	Repeat   string `placeholder:"FILE" help:"Decide as in the run that wrote FILE."`
	RepeatBy string `placeholder:"KEY" words:"number,hash" help:"Find a packet's decision in it by the packet's number (the default) or hash."`
	directed
}

// set takes the direction.
func (o *Deciding) set(direction string) error {
	if err := o.direct(direction); err != nil {
		return err
	}
	switch {
	case o.RepeatBy != "" && o.RepeatBy != "number" && o.RepeatBy != "hash":
		return cli.Usagef("give number or hash", "packets cannot be found by %q", o.RepeatBy)
	case o.RepeatBy != "" && o.Repeat == "":
		return cli.Usagef("name the record as well: --repeat=FILE", "--repeat-by without --repeat")
	}
	return nil
}

// setRate takes the direction and a rate.
func (o *Deciding) setRate(what string, args []string) (rate float64, err error) {
	if err = o.set(args[0]); err == nil {
		rate, err = cli.Probability(what, args[1])
	}
	return rate, err
}

// load parses a file, which may be a pipe, so that only the process that uses it may read it: in Link, not in Set. What is
// wrong with it is wrong usage.
func load[T any](file, hint string, parse func(name string, r io.Reader) (T, error)) (v T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return v, cli.Usagef(hint, "%v", err)
	}
	defer f.Close()
	if v, err = parse(file, f); err != nil {
		return v, asUsage(err)
	}
	return v, nil
}

// link makes the stages of deciders: of draw's, or of those that repeat a record.
func (o *Deciding) link(l *Link, tool string, draw func(direction string) effects.Decider,
	stage func(effects.Decider, effects.Observer) effects.Stage) error {
	repeats, err := o.loadRepeats(tool)
	if err != nil {
		return err
	}
	l.uses(o.Repeat)
	out, err := l.create(o.Record)
	if err != nil {
		return err
	}
	if o.Record != "" {
		out[o.Record].WriteString(record.DecisionsHead(tool, o.where)) // if the disk is full, that is seen at the end
	}
	o.directed.link(l, func(direction string, seen effects.Observer) effects.Stage {
		var d effects.Decider
		if r := repeats[direction]; r != nil {
			d = o.repeat(l, direction, r)
		} else {
			d = draw(direction)
		}
		if o.Record != "" {
			r := record.New()
			out[o.Record].users++
			r.Decisions(o.Record, direction, out[o.Record])
			r.Start()
			l.Finish = append(l.Finish, r.Close)
			d = effects.Logged{Decider: d, Log: r}
		}
		return stage(d, seen)
	})
	return nil
}

// steer lets what is drawn be changed, but not what is repeated.
func (o *Deciding) steer(l *Link, now scenario.State, what string) {
	if o.Repeat == "" {
		o.directed.steer(l, now, what)
		return
	}
	l.Up.knobs.refuses, l.Down.knobs.refuses = "it does what "+o.Repeat+" says", "it does what "+o.Repeat+" says"
}

func (o *Deciding) loadRepeats(tool string) (map[string]*record.Repeat, error) {
	if o.Repeat == "" {
		return nil, nil
	}
	r, err := load(o.Repeat, "give a file that --record wrote", func(name string, from io.Reader) (map[string]*record.Repeat, error) {
		return record.ParseDecisions(name, tool, from)
	})
	switch {
	case err != nil:
	case o.up && r["uplink"] == nil:
		err = cli.Usagef("record both directions", "%s is not of the uplink", o.Repeat)
	case o.down && r["downlink"] == nil:
		err = cli.Usagef("record both directions", "%s is not of the downlink", o.Repeat)
	}
	return r, err
}

func (o *Deciding) repeat(l *Link, direction string, r *record.Repeat) effects.Decider {
	if o.RepeatBy == "hash" {
		r.ByHash()
	}
	l.Finish = append(l.Finish, func(time.Duration) error {
		if r.Missing > 0 {
			l.Warn(fmt.Sprintf("%d packets of the %s were not in %s; nothing was done to them", r.Missing, direction, o.Repeat))
		}
		return nil
	})
	return r
}
