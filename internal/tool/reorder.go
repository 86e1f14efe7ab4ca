package tool

import (
	"time"

	"gomahi/effects"
	"gomahi/internal/cli"
)

// Reorder is gm-reorder.
type Reorder struct {
	By          string `placeholder:"TIME" default:"5ms" help:"How long the packets take that are overtaken (5ms)."`
	Gap         int    `placeholder:"N" default:"1" help:"Of N packets in a row at most one overtakes (1)."`
	Correlation string `placeholder:"C" default:"0" help:"Of the choice of one packet with that of the next, from 0 to below 1 (0)."`
	Deciding
	Fusing
	Common
	rate, correlation float64
	by                time.Duration
}

func (o *Reorder) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-reorder",
		Usage: optionsUsage + "uplink|downlink|both RATE [COMMAND...]",
		About: "Run a command, or a shell, in a network where each packet, with probability RATE (0 to 1, or 5%), overtakes those\n" +
			"of the last 5 ms: it leaves at once, while all others are delayed by that time.",
		Examples: []string{
			"gm-reorder downlink 1%  # one packet in a hundred comes 5 ms too early",
			"gm-reorder both 1 --gap=10 --by=20ms ./test  # every tenth",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *Reorder) Set(args []string) (err error) {
	if o.rate, err = o.setRate("rate", args); err != nil {
		return err
	}
	if o.by, err = cli.Duration("delay", o.By, time.Millisecond); err != nil {
		return err
	}
	if o.correlation, err = cli.Probability("correlation", o.Correlation); err != nil {
		return err
	}
	switch {
	case o.correlation == 1:
		return cli.Usagef("give one below 1", "with a correlation of 1 nothing ever changes")
	case o.Gap < 1:
		return cli.Usagef("give a number of packets, 1 or more", "gap %d is too small", o.Gap)
	}
	return nil
}

func (o *Reorder) Link(l *Link) error {
	draw := func(direction string) effects.Decider {
		return effects.NewSpaced(effects.NewChance(o.rate, o.correlation, l.Random(direction)), o.Gap)
	}
	return o.link(l, "gm-reorder", draw, func(d effects.Decider, seen effects.Observer) effects.Stage {
		return effects.NewReorder(d, o.by, seen)
	})
}

func (o *Reorder) Prefix() string { return o.prefix("reorder", " "+decimals(o.rate)) }
