package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"gomahi/internal/host"
)

// The hidden first arguments of this program's own processes: one measures in a room that gm-sandbox makes, where it is
// the server; those that it starts behind the tools are the clients.
const (
	measureWord = "--measure"
	probeWord   = "--probe"
)

// measureInRoom measures where nothing of the host is touched.
func measureInRoom() []host.Finding {
	self, err := os.Executable()
	if err != nil {
		return []host.Finding{broken("gm-sandbox", err)}
	}
	out, err := start(8*time.Second, "gm-sandbox", "--no-network", self, measureWord)
	if err != nil {
		return []host.Finding{broken("gm-sandbox", err)}
	}
	var all []host.Finding
	if err := json.Unmarshal(out, &all); err != nil {
		return []host.Finding{broken("gm-sandbox", fmt.Errorf("reading what was measured: %w", err))}
	}
	return all
}

// measureAll measures at $GM_BASE and writes the findings as JSON.
func measureAll(w io.Writer) error {
	base, err := netip.ParseAddr(os.Getenv("GM_BASE"))
	if err != nil {
		return errors.New("GM_BASE is not set\nhint: this is for gm-sandbox --no-network")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m := meter{base, func(probe []string, tool ...string) ([]byte, error) {
		return start(4*time.Second, tool[0], append(append(tool[1:len(tool):len(tool)], self, probeWord), probe...)...)
	}}
	var all []host.Finding
	for _, measure := range []func() host.Finding{m.delay, m.loss, m.rate, m.goodput} {
		all = append(all, measure())
	}
	return json.NewEncoder(w).Encode(all)
}

// start runs a program of ours and returns its output. Its error is the program's own words, if it had any.
func start(within time.Duration, program string, args ...string) ([]byte, error) {
	path, err := locate(program)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.WaitDelay = time.Second
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	switch said := strings.TrimSpace(errs.String()); {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it did not end within %v", within)
	case said != "":
		return nil, errors.New(said)
	}
	return nil, err
}

// broken is the finding that a tool does not work: in its own words, with its hint as what mends it.
func broken(tool string, err error) host.Finding {
	f := host.Finding{Name: tool, Vital: true}
	var says []string
	for line := range strings.Lines(err.Error()) {
		_, hint, is := strings.Cut(line, ": hint: ")
		if line = strings.TrimSpace(line); is {
			f.Mend = strings.TrimSpace(hint)
		} else {
			says = append(says, strings.TrimPrefix(line, tool+": error: "))
		}
	}
	f.Says = strings.Join(says, "; ")
	return f
}

// meter measures tools against a server of its own.
type meter struct {
	base netip.Addr
	// run has a tool run a probe, and returns what that wrote.
	run func(probe []string, tool ...string) ([]byte, error)
}

// datagrams listens at the base for UDP, with room for what arrives while nobody reads.
func (m meter) datagrams() (*net.UDPConn, error) {
	const room = 4 << 20 // bytes; the kernel gives at most net.core.rmem_max
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(m.base, 0)))
	if err == nil {
		c.SetReadBuffer(room)
	}
	return c, err
}
