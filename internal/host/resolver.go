package host

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// resolver says whom /etc/resolv.conf names, and unless offline whether one of them answers within a second.
func (m *Machine) resolver(offline bool) Finding {
	const conf = "/etc/resolv.conf"
	f := Finding{Name: "resolver", OK: true}
	servers := m.nameservers()
	var named []string
	for _, s := range servers {
		named = append(named, s.String())
	}
	f.Says = conf + " names " + strings.Join(named, ", ")
	if servers == nil { // resolv.conf(5)
		f.Says = conf + " names none, so 127.0.0.1 is asked"
		servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	if offline {
		return f
	}
	if err := m.askAny(servers); err != nil {
		f.OK, f.Means = false, "names are not resolved inside either"
		why := "no answer within a second"
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			why = reason(err)
		}
		f.Says += ": " + why
		f.Mend = "name one that answers in " + conf + ": nameserver ADDRESS"
		return f
	}
	f.Says += ": answers"
	return f
}

func (m *Machine) nameservers() (out []netip.Addr) {
	for line := range strings.Lines(m.read("/etc/resolv.conf")) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// askAny asks all at once, and returns nil as soon as one has answered.
func (m *Machine) askAny(servers []netip.Addr) (err error) {
	answers := make(chan error, len(servers))
	for _, s := range servers {
		go func() { answers <- m.Ask(s) }()
	}
	for range servers {
		if err = <-answers; err == nil {
			return nil
		}
	}
	return err
}

// query asks for example.org's IPv4 address (RFC 1035, 4.1; the name is RFC 2606's).
const query = "gm\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"

func ask(server netip.Addr) error { return askAt(netip.AddrPortFrom(server, 53)) }

// askAt sends a name server a query, and waits a second for an answer, whatever that says.
func askAt(server netip.AddrPort) error {
	const patience = time.Second
	c, err := net.Dial("udp", server.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(query)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 4096))
	return err
}
