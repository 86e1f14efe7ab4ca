package tool

import (
	"gomahi/effects"
	"gomahi/internal/cli"
)

// Meter is gm-meter.
type Meter struct {
	MeterUplink   bool `help:"Draw the uplink: both directions, unless one is asked for."`
	MeterDownlink bool `help:"Likewise the downlink."`
	Attach        bool `help:"Draw the stages of a run that is already going: of process PID, or one from a list."`
	Display
	Common
}

func (m *Meter) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-meter",
		Usage: optionsUsage + "[COMMAND...]",
		About: "Run a command, or a shell, in a network whose packets pass untouched, and draw their rate on the terminal, above\n" +
			"the command. Ctrl-G ? shows the keys. Tools with meters within the command send their graphs here.",
		Examples: []string{
			"gm-meter iperf3 -c 192.0.2.1",
			"gm-meter gm-delay 20 gm-link --meter-all 12Mbps 12Mbps  # a shell, and six graphs",
			"gm-meter --plain ./test 2>rates.txt  # a line a second",
			"gm-meter --attach  # in another terminal",
		},
		Options: m,
		Own:     func(map[string]bool) int { return 0 },
	}
}

func (m *Meter) Set([]string) error {
	if !m.MeterUplink && !m.MeterDownlink {
		m.MeterUplink, m.MeterDownlink = true, true
	}
	return m.Display.set()
}

func (m *Meter) Link(l *Link) error {
	l.Uplink, l.Downlink = effects.NewDelay(0), effects.NewDelay(0)
	return nil
}

func (m *Meter) Prefix() string { return "[meter] " }

// shows says which graphs are drawn. What goes in comes out at once.
func (m *Meter) shows() (all []shown, linked bool) {
	for i, asked := range []bool{m.MeterUplink, m.MeterDownlink} {
		if asked {
			all = append(all, rates[i])
		}
	}
	return all, false
}

func (m *Meter) draws() bool { return true }
