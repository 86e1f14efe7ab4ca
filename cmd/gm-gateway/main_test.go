package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/gateway"
)

func TestParse(t *testing.T) {
	addr := netip.MustParseAddr
	addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	ports := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	none := map[netip.Addr]netip.AddrPort{}
	for _, row := range []struct {
		args string
		want gateway.Options
	}{
		{"--device=3 --control=4 --address=100.64.0.1", gateway.Options{Device: 3, Control: 4, Address: addr("100.64.0.1"),
			Resolvers: none, Linger: 5 * time.Second}},
		{"--device 5 --control 6 --address 100.64.0.1 --address6=fd00::1 --no-host-loopback --linger=0.5",
			gateway.Options{Device: 5, Control: 6, Address: addr("100.64.0.1"), Address6: addr("fd00::1"),
				NoHostLoopback: true, Resolvers: none, Linger: 500 * time.Millisecond}},
		{"--device=3 --control=4 --address=100.64.0.1 --resolver=100.64.0.3=127.0.0.1:5353 --resolver=fd00::3=[fe80::1%eth0]:53",
			gateway.Options{Device: 3, Control: 4, Address: addr("100.64.0.1"), Linger: 5 * time.Second,
				Resolvers: map[netip.Addr]netip.AddrPort{addr("100.64.0.3"): netip.MustParseAddrPort("127.0.0.1:5353"),
					addr("fd00::3"): netip.MustParseAddrPort("[fe80::1%eth0]:53")}}},
	} {
		t.Run(row.args, func(t *testing.T) {
			got, err := new(options).parse(strings.Fields(row.args))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, got, addrs, ports); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	const good = "--device=3 --control=4 --address=100.64.0.1 "
	for _, row := range []struct{ name, args, stderr string }{
		{"nothing", "", "--device, --control and --address are needed"},
		{"no control", "--device=3 --address=100.64.0.1", "--device, --control and --address are needed"},
		{"a command", good + "ls", `"ls" is no option`},
		{"an unknown option", good + "--bogus", "unknown flag --bogus"},
		{"no number", "--device=x", "expected a valid"},
		{"no address", "--device=3 --control=4 --address=here", `--address "here" is no IPv4 address`},
		{"the other family", "--device=3 --control=4 --address=fd00::1", `--address "fd00::1" is no IPv4 address`},
		{"the other family, too", good + "--address6=100.64.0.1", `--address6 "100.64.0.1" is no IPv6 address`},
		{"a mapped address", good + "--address6=::ffff:100.64.0.1", `--address6 "::ffff:100.64.0.1" is no IPv6 address`},
		{"half a resolver", good + "--resolver=100.64.0.3", `--resolver "100.64.0.3" is no pair`},
		{"a resolver without a port", good + "--resolver=100.64.0.3=127.0.0.1", `--resolver "100.64.0.3=127.0.0.1" is no pair`},
		{"no time", good + "--linger=soon", `--linger "soon" is not a duration`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := run(strings.Fields(row.args), &out, &errs); status != 2 {
				t.Errorf("exit status %d", status)
			}
			if !strings.HasPrefix(errs.String(), "gm-gateway: error: ") || !strings.Contains(errs.String(), row.stderr) || out.Len() > 0 {
				t.Errorf("says %q and %q, want %q", out.String(), errs.String(), row.stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for arg, want := range map[string]string{"--help": "Usage: gm-gateway --device=FD ", "-h": "Usage: ", "--version": "gm-gateway (gomahi) "} {
		var out, errs bytes.Buffer
		if status := run([]string{arg}, &out, &errs); status != 0 || !strings.HasPrefix(out.String(), want) || errs.Len() > 0 {
			t.Errorf("%s: exit status %d, %q, %q", arg, status, out.String(), errs.String())
		}
	}
}
