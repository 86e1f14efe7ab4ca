package tool

import (
	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/shell"
)

// Sandbox is gm-sandbox.
type Sandbox struct {
	NoContain bool `help:"What the command starts may outlive it."`
	NoNetwork bool `help:"No way out at all."`
	Common
}

func (s *Sandbox) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-sandbox",
		Usage: optionsUsage + "[COMMAND...]",
		About: "Run a command, or a shell, in a network of its own that is the outside to the gm-tools within it: servers in it\n" +
			"are reached at $GM_BASE, and TCP is end to end. Nothing is delayed or lost on its way out.",
		Examples: []string{
			"gm-sandbox sh -c 'iperf3 -s -D; gm-delay 20 iperf3 -c $GM_BASE'",
			"gm-sandbox --no-network  # a shell that reaches nothing",
		},
		Options: s,
		Own:     func(map[string]bool) int { return 0 },
	}
}

func (s *Sandbox) Set([]string) error {
	if s.Contain && s.NoContain {
		return cli.Usagef("--contain is the default", "both --contain and --no-contain")
	}
	s.Contain = !s.NoContain
	return nil
}

func (s *Sandbox) Link(l *Link) error {
	l.Uplink, l.Downlink = effects.NewDelay(0), effects.NewDelay(0)
	return nil
}

func (s *Sandbox) Prefix() string { return "[sandbox] " }

// Place makes the container a host.
func (s *Sandbox) Place(o *shell.Options) { o.Host, o.Closed = true, s.NoNetwork }
