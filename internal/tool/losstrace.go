package tool

import (
	"bytes"

	"gomahi/effects"
	"gomahi/internal/cli"
)

// LossTrace is gm-losstrace.
type LossTrace struct {
	Once bool `help:"Lose nothing after the end of the trace, in place of repeating it."`
	Deciding
	Fusing
	Common
	file string
}

func (o *LossTrace) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-losstrace",
		Usage: optionsUsage + "uplink|downlink|both FILE [COMMAND...]",
		About: "Run a command, or a shell, in a network that loses packets as recorded: FILE has a 1 for each packet that is lost\n" +
			"and a 0 for each that is not. It is repeated.",
		Examples: []string{
			"gm-losstrace downlink train.loss  # a shell",
			"gm-losstrace both train.loss --once ./test",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *LossTrace) Set(args []string) error {
	o.file = args[1]
	return o.set(args[0])
}

func (o *LossTrace) Link(l *Link) error {
	lost, err := load(o.file, "give a file of 0 and 1, one for each packet", effects.ParseLossTrace)
	if err != nil {
		return err
	}
	l.uses(o.file)
	if !o.Once { // else nothing is lost any more when it has ended
		o.askLoss(l, float64(bytes.Count(lost, []byte{1}))/float64(len(lost)))
	}
	return o.link(l, "gm-losstrace", func(string) effects.Decider { return effects.NewLossTrace(lost, o.Once) },
		func(d effects.Decider, seen effects.Observer) effects.Stage {
			return effects.NewDecidedLoss(d, tracedReason, seen)
		})
}

func (o *LossTrace) Prefix() string { return o.prefix("losstrace", "") }
