package tool

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"gomahi/effects"
	"gomahi/internal/cli"
)

// outage is what gm-onoff and gm-intermittent share: a direction and two durations.
type outage struct {
	directed
	on, off time.Duration
}

func (o *outage) set(args []string) (err error) {
	if err = o.direct(args[0]); err != nil {
		return err
	}
	if o.on, err = cli.Duration("time on", args[1], time.Second); err != nil {
		return err
	}
	if o.off, err = cli.Duration("time off", args[2], time.Second); err != nil {
		return err
	}
	if o.on == 0 && o.off == 0 {
		return cli.Usagef("one of them must be more than 0", "both durations are 0")
	}
	return nil
}

// link puts outages where they belong; each call of schedule makes one for one direction.
func (o *outage) link(l *Link, schedule func(direction string) effects.Schedule) {
	o.directed.link(l, func(direction string, seen effects.Observer) effects.Stage {
		return effects.NewOutage(schedule(direction), seen)
	})
}

func (o *outage) prefix(name string) string {
	return fmt.Sprintf("[%s (%s) on=%ss off=%ss] ", name, strings.TrimSuffix(o.where, "link"), seconds(o.on), seconds(o.off))
}

// OnOff is gm-onoff.
type OnOff struct {
	Seeded
	Fusing
	Common
	outage
}

func (o *OnOff) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-onoff",
		Usage: optionsUsage + "uplink|downlink|both MEAN-ON MEAN-OFF [COMMAND...]",
		About: "Run a command, or a shell, in a network that is on and off in turn, for durations drawn from exponential\n" +
			"distributions with the given means: seconds, or with a unit (500ms). It starts on. Packets that meet it off are\n" +
			"dropped. With both, it is one outage for both directions.",
		Examples: []string{
			"gm-onoff both 10 0.5  # off for half a second, every ten or so",
			"gm-onoff uplink 1s 100ms --seed 3 ./test  # the same outages in every run",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 3 },
	}
}

func (o *OnOff) Set(args []string) error {
	if err := o.set(args); err != nil {
		return err
	}
	for i, mean := range []time.Duration{o.on, o.off} {
		if mean > 0 && mean < effects.MinMean {
			return cli.Usagef("give 0, or at least 100us", "mean duration %q is too short", args[1+i])
		}
	}
	return nil
}

func (o *OnOff) Link(l *Link) error {
	o.link(l, func(direction string) effects.Schedule {
		var r *rand.Rand
		if o.up && o.down {
			r = l.Random("outage") // the same for both
		} else {
			r = l.Random(direction)
		}
		return effects.NewExponential(o.on, o.off, r)
	})
	return nil
}

func (o *OnOff) Prefix() string { return o.prefix("onoff") }

// Intermittent is gm-intermittent.
type Intermittent struct {
	Fusing
	Common
	outage
}

func (o *Intermittent) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-intermittent",
		Usage: optionsUsage + "uplink|downlink|both ON OFF [COMMAND...]",
		About: "Run a command, or a shell, in a network that is on and off in turn, for fixed durations: seconds, or with a unit\n" +
			"(500ms). It starts on. Packets that meet it off are dropped.",
		Examples: []string{
			"gm-intermittent both 10 1  # off for one second of every eleven",
			"gm-intermittent downlink 200ms 50ms iperf3 -R -c 192.0.2.1",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 3 },
	}
}

func (o *Intermittent) Set(args []string) error { return o.set(args) }

func (o *Intermittent) Link(l *Link) error {
	o.link(l, func(string) effects.Schedule { return effects.Fixed{OnFor: o.on, OffFor: o.off} })
	return nil
}

func (o *Intermittent) Prefix() string { return o.prefix("intermittent") }
