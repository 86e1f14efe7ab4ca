package webtool

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"time"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/internal/tool"
	"gomahi/shell"
	"gomahi/web"
	"gomahi/web/authority"
	"gomahi/web/match"
	"gomahi/web/replay"
)

// Replay is gm-webreplay.
type Replay struct {
	Match       string `placeholder:"HOW" enum:"strict,mahimahi,fuzzy" default:"fuzzy" help:"How much of a request must be as recorded: strict, mahimahi, or fuzzy (fuzzy)."`
	IgnoreQuery string `placeholder:"REGEXP" help:"Parameters of a query that say nothing, by name or as name=value."`
	HTTP3       string `name:"http3" placeholder:"WHERE" enum:"off,recorded,all" default:"recorded" help:"Who speaks HTTP/3: nobody (off), who offered it (recorded), or all (recorded)."`
	ThinkTime   string `placeholder:"TIME" default:"none" help:"How long servers wait before they answer: none, recorded, or a time (none)."`
	OriginDelay string `placeholder:"HOW" enum:"none,recorded" default:"none" help:"Round-trip times of the servers: none, or as seen while recording (none)."`
	Frozen      bool   `help:"Leave dates as recorded: they are moved to now unless given."`
	FailOnMiss  bool   `help:"Exit with 3, though the command succeeded, if a request had no answer."`
	Browser
	tool.Common

	dir     string
	all     []*web.Exchange
	handler replay.Handler
	ca      *authority.Authority
	warn    func(string)
}

// statusMissed is the exit status for --fail-on-miss.
const statusMissed = 3

// Grammar is the command line.
func (r *Replay) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-webreplay",
		Usage: "[OPTION...] DIRECTORY [COMMAND...]",
		About: "Run a command, or a shell, in a network without a way out in which the web servers of a recording are, each at its\n" +
			"own address, and answer as they did while it was recorded. Other gm-tools go between the two.",
		Examples: []string{
			"gm-webreplay site curl https://example.org/",
			"gm-webreplay site gm-delay 50 gm-link 10Mbps 10Mbps -- chromium https://example.org/",
			"gm-webreplay --origin-delay=recorded --think-time=recorded site ./test  # as slow as it was",
			"gm-webreplay --ignore-query='^(_|cb)$' --fail-on-miss site ./test",
		},
		Options: r,
		Own:     r.own,
	}
}

// Set takes the directory.
func (r *Replay) Set(args []string) (err error) {
	if r.Chromium {
		return nil
	}
	r.dir = args[0]
	if info, err := os.Stat(r.dir); err != nil || !info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%s is not a directory", r.dir)
		}
		return cli.Usagef("name a directory that gm-webrecord made", "%v", err)
	}
	switch r.ThinkTime {
	case "none":
	case "recorded":
		r.handler.Think.Recorded = true
	default:
		if r.handler.Think.Fixed, err = cli.Duration("think time", r.ThinkTime, time.Millisecond); err != nil {
			return cli.Usagef("give none, recorded, or a time: 20ms", "think time %q is none of these", r.ThinkTime)
		}
	}
	if r.IgnoreQuery != "" {
		if _, err := regexp.Compile(r.IgnoreQuery); err != nil {
			return cli.Usagef("see https://pkg.go.dev/regexp/syntax", "--ignore-query: %v", err)
		}
	}
	return nil
}

// Place puts the servers at the outer end of a link that leads no further.
func (r *Replay) Place(o *shell.Options) {
	o.Closed, o.Outer = true, r.serve
	var err error
	if r.ca, err = authority.New("gm-webreplay"); err == nil {
		err = r.trust(r.ca, o)
	}
	if err != nil {
		o.Outer = func(*shell.Outer) error { return err }
	}
}

// Link reads the recording, and makes a link without delay, or with the servers' own.
func (r *Replay) Link(l *tool.Link) (err error) {
	if r.all, err = web.Load(r.dir); err != nil {
		return err
	}
	rtts := replay.RoundTrips(r.all)
	var ignore *regexp.Regexp
	if r.IgnoreQuery != "" {
		ignore = regexp.MustCompile(r.IgnoreQuery)
	}
	h := &r.handler
	h.Index, h.Frozen, h.HTTP3, h.Start = match.New(r.all, match.Mode(r.Match), ignore), r.Frozen, replay.HTTP3(r.HTTP3), l.Start
	h.RoundTrips = rtts
	h.Miss = func(m replay.Miss) { cli.Say(l.Stderr, "gm-webreplay", "miss", m.String()) }
	r.warn = l.Warn
	l.Finish = append(l.Finish, func(time.Duration) error { return errors.Join(r.summarize(l.Stderr), r.forget()) })
	l.Uplink, l.Downlink = effects.NewDelay(0), effects.NewDelay(0)
	if r.OriginDelay == "recorded" {
		up, down := map[netip.Addr]time.Duration{}, map[netip.Addr]time.Duration{}
		for a, rtt := range rtts {
			up[a], down[a] = rtt/2, rtt-rtt/2
		}
		l.Uplink = effects.NewJitter(effects.NewByAddress(up, false), false)
		l.Downlink = effects.NewJitter(effects.NewByAddress(down, true), false)
	}
	return nil
}

// Prefix is for prompts.
func (r *Replay) Prefix() string { return "[replay] " }

// serve starts the servers at the outer end of the link.
func (r *Replay) serve(o *shell.Outer) error {
	log.SetOutput(io.Discard) // quic-go would tell of the size of its buffers
	unusable := func(a netip.Addr) bool {
		return a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == o.Addr4.Next() ||
			a.Is6() && !o.Addr6.IsValid()
	}
	addresses := replay.Addresses(r.all)
	for _, a := range addresses {
		if unusable(a) {
			r.warn(fmt.Sprintf("servers at %s are not replayed: this network cannot have that address", a))
		}
	}
	if err := o.Host(slices.DeleteFunc(addresses, unusable)); err != nil {
		return err
	}
	origins := slices.DeleteFunc(replay.Origins(r.all), func(o *replay.Origin) bool { return unusable(o.Addr()) })
	if _, err := replay.Serve(origins, &r.handler, r.ca, replay.Network{Listen: net.Listen, ListenPacket: net.ListenPacket}); err != nil {
		return err
	}
	names := replay.NameServer(replay.Names(r.all))
	for name, list := range names {
		names[name] = slices.DeleteFunc(list, unusable)
	}
	u, t, err := listenBoth(o.Addr4)
	if err != nil {
		return fmt.Errorf("serving names: %w", err)
	}
	names.Serve(u, t)
	o.Names(t.Addr().(*net.TCPAddr).Port)
	return nil
}

// listenBoth listens for UDP and TCP on one port.
func listenBoth(at netip.Addr) (u net.PacketConn, t net.Listener, err error) {
	for range 20 {
		if t, err = net.Listen("tcp", netip.AddrPortFrom(at, 0).String()); err != nil {
			break
		}
		if u, err = net.ListenPacket("udp", t.Addr().String()); err == nil {
			return u, t, nil
		}
		t.Close()
	}
	return nil, nil, err
}

// summarize says how many requests were answered.
func (r *Replay) summarize(w io.Writer) error {
	served, missed, different := r.handler.Counts()
	line := fmt.Sprintf("%d requests answered", served)
	if missed > 0 {
		line += fmt.Sprintf(", %d not (%d different)", missed, different)
	}
	fmt.Fprintf(w, "gm-webreplay: %s\n", line)
	if missed > 0 && r.FailOnMiss {
		return &shell.Exit{Status: statusMissed, Err: fmt.Errorf("%d requests had no answer in the recording", missed)}
	}
	return nil
}
