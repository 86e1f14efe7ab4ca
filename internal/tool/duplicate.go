package tool

import (
	"gomahi/effects"
	"gomahi/internal/cli"
)

// Duplicate is gm-duplicate.
type Duplicate struct {
	Deciding
	Fusing
	Common
	rate float64
}

func (o *Duplicate) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-duplicate",
		Usage: optionsUsage + "uplink|downlink|both RATE [COMMAND...]",
		About: "Run a command, or a shell, in a network that delivers each packet twice with probability RATE (0 to 1, or 5%),\n" +
			"the copy right behind the original.",
		Examples: []string{
			"gm-duplicate both 1%  # a shell",
			"gm-duplicate uplink 1 ./test  # every packet",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *Duplicate) Set(args []string) (err error) {
	o.rate, err = o.setRate("rate", args)
	return err
}

func (o *Duplicate) Link(l *Link) error {
	return o.link(l, "gm-duplicate", func(direction string) effects.Decider { return effects.NewChance(o.rate, 0, l.Random(direction)) },
		func(d effects.Decider, seen effects.Observer) effects.Stage { return effects.NewDuplicate(d, seen) })
}

func (o *Duplicate) Prefix() string { return o.prefix("duplicate", " "+decimals(o.rate)) }
