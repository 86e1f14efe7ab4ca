package tool

import (
	"fmt"
	"strconv"
	"time"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

// Delay is gm-delay.
type Delay struct {
	Uplink   *string `placeholder:"DELAY" help:"One-way delay out of the container, in place of DELAY."`
	Downlink *string `placeholder:"DELAY" help:"One-way delay into the container, in place of DELAY."`
	Fusing
	Common
	up, down time.Duration
}

func (d *Delay) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-delay",
		Usage: optionsUsage + "DELAY [COMMAND...]",
		About: "Run a command, or a shell, in a network whose packets take DELAY in each direction: milliseconds, or with a\n" +
			"unit (20ms, 0.2s, 250us). The round-trip time grows by twice that.",
		Examples: []string{
			"gm-delay 50  # a shell with 100 ms of round-trip time",
			"gm-delay 20ms sh -c 'ping -c 3 -n $GM_BASE'  # the outside",
			"gm-delay --uplink=10 --downlink=40 curl https://example.org",
			"gm-delay 50 gm-loss uplink 0.1 bash  # tools nest",
		},
		Options: d,
		Own: func(seen map[string]bool) int {
			if seen["uplink"] || seen["downlink"] {
				return 0
			}
			return 1
		},
	}
}

func (d *Delay) Set(args []string) (err error) {
	if len(args) == 1 && (d.Uplink != nil || d.Downlink != nil) {
		return cli.Usagef("give one DELAY for both directions, or --uplink and --downlink", "both DELAY %q and a direction's own", args[0])
	}
	if len(args) == 1 {
		d.up, err = cli.Duration("delay", args[0], time.Millisecond)
		d.down = d.up
		return err
	}
	for _, one := range []struct {
		what string
		arg  *string
		to   *time.Duration
	}{{"uplink delay", d.Uplink, &d.up}, {"downlink delay", d.Downlink, &d.down}} {
		if one.arg == nil {
			continue
		}
		if *one.to, err = cli.Duration(one.what, *one.arg, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delay) Link(l *Link) error {
	up, down := effects.NewDelay(d.up), effects.NewDelay(d.down)
	l.Uplink, l.Downlink = up, down
	l.Up.ask(askedDelay, inMS(d.up))
	l.Down.ask(askedDelay, inMS(d.down))
	l.Up.steer(up, scenario.State{Delay: d.up}, "delay")
	l.Down.steer(down, scenario.State{Delay: d.down}, "delay")
	return nil
}

func (d *Delay) Prefix() string {
	if d.up == d.down {
		return fmt.Sprintf("[delay %s ms] ", milliseconds(d.up))
	}
	return fmt.Sprintf("[delay up=%s ms down=%s ms] ", milliseconds(d.up), milliseconds(d.down))
}

func milliseconds(d time.Duration) string { return decimals(float64(d) / float64(time.Millisecond)) }
func seconds(d time.Duration) string      { return decimals(float64(d) / float64(time.Second)) } // Seconds rounds twice
func decimals(v float64) string           { return strconv.FormatFloat(v, 'f', -1, 64) }
