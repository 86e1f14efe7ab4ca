// Package replay serves recorded sites: servers at the recorded addresses, and the name service that leads to them.
package replay

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gomahi/web"
)

// An Origin is a recorded server.
type Origin struct {
	netip.AddrPort
	Scheme string
	H2     map[string]bool // by name, whether it spoke HTTP/2
	H3     bool            // it offered HTTP/3 at its own name and port
}

// Origins are the servers of a recording that answered at least once, by address and port. One that spoke TLS and answered
// HTTP without it, to say that it should be with, is one of TLS: net/http says the same.
func Origins(all []*web.Exchange) (out []*Origin) {
	byPlace := map[netip.AddrPort]*Origin{}
	for _, x := range all {
		if x.Status() == 0 {
			continue
		}
		o := byPlace[x.Server]
		if o == nil {
			o = &Origin{AddrPort: x.Server, Scheme: x.Scheme, H2: map[string]bool{}}
			byPlace[x.Server] = o
			out = append(out, o)
		}
		if x.Scheme == "https" {
			o.Scheme = x.Scheme
		}
		if x.Protocol == "HTTP/2.0" || x.Protocol == "HTTP/3.0" {
			o.H2[x.Name()] = true
		}
		for _, v := range x.Response.Values("Alt-Svc") {
			o.H3 = o.H3 || slices.Contains(offers(v), x.Server.Port())
		}
	}
	slices.SortFunc(out, func(a, b *Origin) int { return a.AddrPort.Compare(b.AddrPort) })
	return out
}

// Addresses are the recorded servers', each once, those included that never answered.
func Addresses(all []*web.Exchange) (out []netip.Addr) {
	for _, x := range all {
		out = append(out, x.Server.Addr())
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Names are the recorded names, in lower case, and their addresses in the order of their recording.
func Names(all []*web.Exchange) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, x := range all {
		for _, name := range []string{x.Name(), strings.ToLower(x.ServerName)} {
			if name == "" || net.ParseIP(name) != nil {
				continue
			}
			if !slices.Contains(out[name], x.Server.Addr()) {
				out[name] = append(out[name], x.Server.Addr())
			}
		}
	}
	return out
}

// RoundTrips are how long it took to each address and back while recording: the shortest time that a connection or an
// answer took.
func RoundTrips(all []*web.Exchange) map[netip.Addr]time.Duration {
	out := map[netip.Addr]time.Duration{}
	for _, x := range all {
		for _, took := range []time.Duration{x.Connect, x.FirstByte} {
			if least, ok := out[x.Server.Addr()]; took > 0 && (!ok || took < least) {
				out[x.Server.Addr()] = took
			}
		}
	}
	return out
}
