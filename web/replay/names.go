package replay

import (
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ttl is how long clients may keep an answer, in seconds.
const ttl = 60

// A NameServer answers with the recorded names' addresses. Others do not exist.
type NameServer map[string][]netip.Addr

// ServeDNS answers a query.
func (s NameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	defer func() { w.WriteMsg(m) }()
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		m.Rcode = dns.RcodeNotImplemented
		return
	}
	asked := q.Question[0]
	addresses, found := s[strings.TrimSuffix(strings.ToLower(asked.Name), ".")]
	if !found {
		m.Rcode = dns.RcodeNameError
		return
	}
	for _, a := range addresses {
		head := dns.RR_Header{Name: asked.Name, Rrtype: asked.Qtype, Class: dns.ClassINET, Ttl: ttl}
		switch {
		case a.Is4() && asked.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case a.Is6() && asked.Qtype == dns.TypeAAAA:
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	size := dns.MinMsgSize
	if o := q.IsEdns0(); o != nil {
		size = int(o.UDPSize())
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(size)
	}
}

// Serve answers on both sockets until they are closed.
func (s NameServer) Serve(u net.PacketConn, t net.Listener) {
	go (&dns.Server{PacketConn: u, Handler: s}).ActivateAndServe()
	go (&dns.Server{Listener: t, Handler: s}).ActivateAndServe()
}
