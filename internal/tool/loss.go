package tool

import (
	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

// Loss is gm-loss.
type Loss struct {
	Deciding
	Fusing
	Common
	rate float64
}

func (o *Seeded) seed() *uint64 { return o.Seed }

func (o *Loss) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-loss",
		Usage: optionsUsage + "uplink|downlink|both RATE [COMMAND...]",
		About: "Run a command, or a shell, in a network that drops each packet with probability RATE (0 to 1, or 5%), each\n" +
			"independently of the others. Uplink is out of the container, downlink into it.",
		Examples: []string{
			"gm-loss uplink 0.1  # a shell that loses a tenth of what it sends",
			"gm-loss both 1% --seed 7 ./test  # the same packets in every run",
			"gm-delay 50 gm-loss downlink 5% curl https://example.org",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

func (o *Loss) Set(args []string) (err error) {
	o.rate, err = o.setRate("loss rate", args)
	return err
}

func (o *Loss) Link(l *Link) error {
	o.askLoss(l, o.rate)
	err := o.link(l, "gm-loss", func(direction string) effects.Decider { return effects.NewChance(o.rate, 0, l.Random(direction)) },
		func(d effects.Decider, seen effects.Observer) effects.Stage {
			return effects.NewDecidedLoss(d, lossReason, seen)
		})
	if err == nil {
		o.steer(l, scenario.State{Loss: o.rate}, "loss")
	}
	return err
}

func (o *Loss) Prefix() string {
	s := "[loss"
	if o.up {
		s += " up=" + decimals(o.rate)
	}
	if o.down {
		s += " down=" + decimals(o.rate)
	}
	return s + "] "
}
