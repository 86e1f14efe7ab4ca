package tool

import (
	"gomahi/effects"
	"gomahi/internal/cli"
)

// Corrupt is gm-corrupt.
type Corrupt struct {
	Ber         string `placeholder:"RATE" help:"In place of RATE: flip each bit with this probability."`
	PayloadOnly bool   `help:"Spare the headers."`
	Deciding
	Fusing
	Common
	rate float64
}

func (o *Corrupt) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-corrupt",
		Usage: optionsUsage + "uplink|downlink|both RATE [COMMAND...]",
		About: "Run a command, or a shell, in a network that flips one bit of each packet with probability RATE (0 to 1, or 5%).\n" +
			"Checksums are not corrected, so that the receiver notices, as with a bad wire.",
		Examples: []string{
			"gm-corrupt downlink 1%  # a shell",
			"gm-corrupt both --ber=1e-6 --payload-only ./test  # of 1500 bytes, one packet in 84",
		},
		Options: o,
		Own: func(seen map[string]bool) int {
			if seen["ber"] {
				return 1
			}
			return 2
		},
	}
}

// worstBER is where no packet of 1500 bytes passes any more.
const worstBER = 0.01

func (o *Corrupt) Set(args []string) (err error) {
	if len(args) == 2 && o.Ber != "" {
		return cli.Usagef("give one of them", "both RATE %q and --ber", args[1])
	}
	if len(args) == 2 {
		o.rate, err = o.setRate("rate", args)
		return err
	}
	if err = o.set(args[0]); err != nil {
		return err
	}
	if o.rate, err = cli.Probability("bit error rate", o.Ber); err == nil && o.rate > worstBER {
		err = cli.Usagef("at most 0.01, at which none of 1500 bytes passes", "bit error rate %q is too high", o.Ber)
	}
	return err
}

func (o *Corrupt) Link(l *Link) error {
	region := effects.Region{PayloadOnly: o.PayloadOnly}
	draw := func(direction string) effects.Decider {
		if o.Ber != "" {
			return effects.NewBitErrors(o.rate, region, l.Random(direction))
		}
		return effects.NewFlips(o.rate, region, l.Random(direction))
	}
	return o.link(l, "gm-corrupt", draw, func(d effects.Decider, seen effects.Observer) effects.Stage {
		return effects.NewCorrupt(d, region, seen)
	})
}

func (o *Corrupt) Prefix() string {
	if o.Ber != "" {
		return o.prefix("corrupt", " ber="+decimals(o.rate))
	}
	return o.prefix("corrupt", " "+decimals(o.rate))
}
