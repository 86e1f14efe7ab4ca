package main

import (
	"net/netip"
	"strings"
	"time"

	"gomahi/gateway"
	"gomahi/internal/cli"
)

// options is the command line.
type options struct {
	Device         int      `default:"-1" placeholder:"FD" help:"Serve the TUN device at this descriptor."`
	Control        int      `default:"-1" placeholder:"FD" help:"Say here that it is served, and end when this ends."`
	Address        string   `placeholder:"ADDRESS" help:"The gateway's IPv4 address; behind it is the host's loopback."`
	Address6       string   `name:"address6" placeholder:"ADDRESS" help:"The gateway's IPv6 address; likewise."`
	Resolver       []string `sep:"none" placeholder:"INSIDE=OUTSIDE" help:"Port 53 of INSIDE is OUTSIDE, an address and port. May be repeated."`
	NoHostLoopback bool     `help:"Neither the host's loopback nor its other addresses can be reached."`
	Linger         string   `default:"5s" placeholder:"TIME" help:"At the end, deliver what the room has sent for at most TIME."`
	cli.Standard
}

const usage = "--device=FD --control=FD --address=ADDRESS [OPTION...]"

func (o *options) grammar() *cli.Grammar {
	return &cli.Grammar{
		Name: name, Usage: usage, Options: o,
		About: "The way out of containers that are started without privilege: a TCP/IP stack that serves their packet\n" +
			"device, and carries connections on through sockets. The other gm tools start it; you need not.",
		Examples: []string{"gm-gateway --device=3 --control=4 --address=100.64.0.1 --address6=fd00::1"},
		Own:      func(map[string]bool) int { return 0 },
	}
}

// parse fills in the options, and says what to serve.
func (o *options) parse(args []string) (s gateway.Options, err error) {
	_, rest, err := o.grammar().Parse(args)
	if err != nil || o.Asked() {
		return s, err
	}
	s = gateway.Options{Device: o.Device, Control: o.Control, NoHostLoopback: o.NoHostLoopback,
		Resolvers: map[netip.Addr]netip.AddrPort{}}
	switch {
	case len(rest) > 0:
		return s, cli.Usagef("usage: "+name+" "+usage, "%q is no option", rest[0])
	case o.Device < 0 || o.Control < 0 || o.Address == "":
		return s, cli.Usagef("usage: "+name+" "+usage, "--device, --control and --address are needed")
	}
	if s.Address, err = netip.ParseAddr(o.Address); err != nil || !s.Address.Is4() {
		return s, cli.Usagef("such as 100.64.0.1", "--address %q is no IPv4 address", o.Address)
	}
	if s.Address6, err = netip.ParseAddr(o.Address6); o.Address6 != "" && (err != nil || !s.Address6.Is6() || s.Address6.Is4In6()) {
		return s, cli.Usagef("such as fd00::1", "--address6 %q is no IPv6 address", o.Address6)
	}
	for _, r := range o.Resolver {
		inside, outside, _ := strings.Cut(r, "=")
		a, err := netip.ParseAddr(inside)
		b, err2 := netip.ParseAddrPort(outside)
		if err != nil || err2 != nil || a.Zone() != "" {
			return s, cli.Usagef("such as 100.64.0.3=127.0.0.1:5353", "--resolver %q is no pair of an address and one with a port", r)
		}
		s.Resolvers[a] = b
	}
	s.Linger, err = cli.Duration("--linger", o.Linger, time.Second)
	return s, err
}
