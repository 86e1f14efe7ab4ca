package tool

import (
	"fmt"
	"strconv"

	"gomahi/effects"
	"gomahi/internal/cli"
)

// Burst is gm-burst.
type Burst struct {
	Loss  string `placeholder:"RATE" help:"Mean loss, below 1."`
	Burst string `placeholder:"PACKETS" help:"Mean length of the bursts of lost packets, 1 or more."`
	P     string `placeholder:"P" help:"In place of these: probability of going from the good state to the bad one,"`
	R     string `placeholder:"P" help:"of going back,"`
	H     string `placeholder:"P" help:"of surviving in the bad state (0), and"`
	K     string `placeholder:"P" help:"of surviving in the good one (1)."`
	Deciding
	Fusing
	Common
	model effects.Gilbert
}

func (o *Burst) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-burst",
		Usage: optionsUsage + "uplink|downlink|both --loss=RATE --burst=PACKETS [COMMAND...]",
		About: "Run a command, or a shell, in a network that loses packets in bursts (the model of Gilbert and Elliott): RATE\n" +
			"(0 to 1, or 5%) of all packets, and PACKETS in a row on average.",
		Examples: []string{
			"gm-burst downlink --loss=1% --burst=5  # a shell",
			"gm-burst both --p=0.01 --r=0.2 --h=0.3 --k=0.999 ./test",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 1 },
	}
}

func (o *Burst) Set(args []string) (err error) {
	if err = o.set(args[0]); err != nil {
		return err
	}
	const hint = "give --loss=1% --burst=5, or the model's probabilities: --p=0.01 --r=0.2"
	four, simple := o.P+o.R+o.H+o.K != "", o.Loss+o.Burst != ""
	switch {
	case four && simple:
		return cli.Usagef(hint, "both a mean loss and the model's probabilities")
	case simple && (o.Loss == "" || o.Burst == ""):
		return cli.Usagef(hint, "--loss and --burst go together")
	case simple:
		return o.setMeans()
	case o.P == "" || o.R == "":
		return cli.Usagef(hint, "nothing says how many packets are lost")
	}
	o.model.K = 1
	for _, one := range []struct {
		name, arg string
		to        *float64
	}{{"p", o.P, &o.model.P}, {"r", o.R, &o.model.R}, {"h", o.H, &o.model.H}, {"k", o.K, &o.model.K}} {
		if one.arg == "" {
			continue
		}
		if *one.to, err = cli.Probability(one.name, one.arg); err != nil {
			return err
		}
	}
	if o.model.R == 0 {
		return cli.Usagef("give one above 0", "with an r of 0 the bad state never ends")
	}
	return nil
}

func (o *Burst) setMeans() error {
	loss, err := cli.Probability("loss", o.Loss)
	if err != nil {
		return err
	}
	burst, err := strconv.ParseFloat(o.Burst, 64)
	if err != nil || !(burst >= 1 && burst <= 1e9) {
		return cli.Usagef("give a number of packets from 1 to 1e9, which may have decimals", "%q is no mean length of bursts", o.Burst)
	}
	o.model = effects.SimpleGilbert(loss, burst)
	switch {
	case loss == 1:
		return cli.Usagef("for that there is gm-loss", "a loss of 1 has no bursts")
	case o.model.P > 1:
		return cli.Usagef(fmt.Sprintf("give --burst=%.3g or more, since at least one packet passes between two", loss/(1-loss)),
			"bursts of %s are too short for a loss of %s", o.Burst, o.Loss)
	}
	return nil
}

func (o *Burst) Link(l *Link) error {
	o.askLoss(l, o.model.Loss())
	return o.link(l, "gm-burst", func(direction string) effects.Decider { return effects.NewBurst(o.model, l.Random(direction)) },
		func(d effects.Decider, seen effects.Observer) effects.Stage {
			return effects.NewDecidedLoss(d, burstReason, seen)
		})
}

func (o *Burst) Prefix() string {
	if o.Loss != "" {
		return o.prefix("burst", " loss="+o.Loss+" burst="+o.Burst)
	}
	m := o.model
	return o.prefix("burst", fmt.Sprintf(" p=%s r=%s h=%s k=%s", decimals(m.P), decimals(m.R), decimals(m.H), decimals(m.K)))
}
