package tool

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gomahi/internal/cli"
	"gomahi/profiles"
)

// Profile is gm-profile.
type Profile struct {
	Recording
	Seeded
	Fusing
	Common
	name string
	link LinkTool
}

func (o *Profile) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-profile",
		Usage: optionsUsage + "NAME|FILE.toml [COMMAND...]",
		About: "Run a command, or a shell, in a network that somebody has named: with its rate, delay and loss in each direction.\n" +
			"gm-profile list shows the names, gm-profile show NAME the line of gm-link that is the same.",
		Examples: []string{
			"gm-profile list",
			"gm-profile show wpt/3g",
			"gm-profile lighthouse/mobile-slow-4g curl https://example.org",
			"gm-profile ours.toml ./test",
		},
		Options: o,
		First:   append([]string{"list", "show"}, profiles.Names()...),
		Own:     func(map[string]bool) int { return 1 },
	}
}

func (o *Profile) Set(args []string) error {
	o.name = args[0]
	if o.Tells() {
		return nil
	}
	return o.load(o.name)
}

// load makes a link of a profile.
func (o *Profile) load(name string) error {
	p, err := profiles.Load(name)
	if err != nil {
		return asUsage(err)
	}
	o.link = linkOf(p)
	o.link.Recording = o.Recording
	if err := o.link.Set([]string{p.Uplink.Rate, p.Downlink.Rate}); err != nil {
		return asUsage(fmt.Errorf("%s: %w", name, err))
	}
	if o.link.up.rate == 0 || o.link.down.rate == 0 {
		return cli.Usagef("a profile's rate is a number with a unit, such as 12Mbps", "%s: %q or %q is no rate", name, p.Uplink.Rate, p.Downlink.Rate)
	}
	return nil
}

func linkOf(p *profiles.Profile) LinkTool {
	return LinkTool{UplinkQueue: p.Uplink.Queue, UplinkQueueArgs: p.Uplink.QueueArgs, UplinkDelay: p.Uplink.Delay, UplinkLoss: p.Uplink.Loss,
		DownlinkQueue: p.Downlink.Queue, DownlinkQueueArgs: p.Downlink.QueueArgs, DownlinkDelay: p.Downlink.Delay, DownlinkLoss: p.Downlink.Loss}
}

func (o *Profile) Tells() bool { return o.name == "list" || o.name == "show" }

// tell does list and show.
func (o *Profile) Tell(w io.Writer, args []string) error {
	switch {
	case o.name == "list" && len(args) == 0:
		return list(w)
	case o.name == "list":
		return cli.Usagef("usage: gm-profile list", "list takes no arguments, and %q is one", args[0])
	case len(args) != 1:
		return cli.Usagef("usage: gm-profile show NAME", "show takes the name of one profile")
	}
	if err := o.load(args[0]); err != nil {
		return err
	}
	p, err := profiles.Load(args[0])
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, show(args[0], p))
	return err
}

// show is a profile as a line of gm-link, below its source.
func show(name string, p *profiles.Profile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s", name)
	if p.Called != "" {
		fmt.Fprintf(&b, " (%s)", p.Called)
	}
	if p.Source != "" {
		fmt.Fprintf(&b, ": %s", strings.Join(strings.Fields(p.Source), " "))
	}
	if !p.Read.IsZero() {
		fmt.Fprintf(&b, ", read %s", p.Read.Format("2006-01-02"))
	}
	if p.Uplink.Queue != "" && !strings.HasSuffix(name, ".toml") {
		fmt.Fprint(&b, "; the queues are our choice")
	}
	word := strings.NewReplacer(" ", "").Replace // as in $(gm-profile show ... | tail -n 1), where no quotes are undone
	fmt.Fprintf(&b, "\ngm-link %s %s", word(p.Uplink.Rate), word(p.Downlink.Rate))
	for _, d := range []struct {
		name string
		*profiles.Direction
	}{{"uplink", &p.Uplink}, {"downlink", &p.Downlink}} {
		for _, o := range []struct{ name, value string }{{"delay", d.Delay}, {"loss", d.Loss}, {"queue", d.Queue}, {"queue-args", d.QueueArgs}} {
			if o.value != "" {
				fmt.Fprintf(&b, " --%s-%s=%s", d.name, o.name, word(o.value))
			}
		}
	}
	return b.String() + "\n"
}

// list is a table of the profiles.
func list(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "profile\tdownlink\tuplink")
	for _, name := range profiles.Names() {
		p, err := profiles.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprint(t, name)
		for _, d := range []profiles.Direction{p.Downlink, p.Uplink} {
			fmt.Fprintf(t, "\t%s, %s", d.Rate, d.Delay)
			if d.Loss != "" {
				fmt.Fprintf(t, ", %s lost", d.Loss)
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func (o *Profile) Link(l *Link) error {
	l.uses(o.name)
	return o.link.Link(l)
}

func (o *Profile) Prefix() string { return "[" + o.name + "] " }
