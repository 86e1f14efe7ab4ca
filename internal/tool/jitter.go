package tool

import (
	"time"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

// Jitter is gm-jitter.
type Jitter struct {
	Distribution string `placeholder:"NAME" words:"uniform,normal,pareto,FILE" default:"uniform" help:"Of the delays: uniform (the default), normal, pareto, or a FILE of numbers."`
	Order        string `placeholder:"ORDER" enum:"keep,free" default:"keep" help:"Whether packets keep their order (keep, the default) or overtake each other (free)."`
	Deciding
	Fusing
	Common
	spread time.Duration
}

func (o *Jitter) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-jitter",
		Usage: optionsUsage + "uplink|downlink|both SPREAD [COMMAND...]",
		About: "Run a command, or a shell, in a network that adds to each packet a delay of its own: SPREAD, in milliseconds or\n" +
			"with a unit, times a number from a distribution, by default one from 0 to 1. No packet overtakes another unless\n" +
			"--order=free.",
		Examples: []string{
			"gm-delay 40 gm-jitter both 10  # 40 to 50 ms each way",
			"gm-jitter downlink 5ms --distribution=pareto --order=free  # now and then a packet comes late",
			"gm-jitter both 1 --distribution=delays.txt ./test  # milliseconds, measured, one a line",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *Jitter) Set(args []string) (err error) {
	if err = o.set(args[0]); err != nil {
		return err
	}
	o.spread, err = cli.Duration("spread", args[1], time.Millisecond)
	return err
}

var distributions = map[string]effects.Distribution{"uniform": effects.Uniform, "normal": effects.Normal, "pareto": effects.Pareto}

func (o *Jitter) Link(l *Link) error {
	shape := distributions[o.Distribution]
	if shape == nil {
		numbers, err := load(o.Distribution, "a distribution is uniform, normal, pareto, or a file of numbers, one a line",
			effects.ParseNumbers)
		if err != nil {
			return err
		}
		shape = effects.Empirical(numbers)
		l.uses(o.Distribution)
	}
	err := o.link(l, "gm-jitter", func(direction string) effects.Decider { return effects.NewSpread(o.spread, shape, l.Random(direction)) },
		func(d effects.Decider, _ effects.Observer) effects.Stage {
			return effects.NewJitter(d, o.Order == "keep")
		})
	if err == nil {
		o.steer(l, scenario.State{Jitter: o.spread}, "jitter")
	}
	return err
}

func (o *Jitter) Prefix() string { return o.prefix("jitter", " "+milliseconds(o.spread)+" ms") }
