package record

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"gomahi/web"
	"gomahi/web/outbox"
)

// patience is how long a server may take to accept a connection.
const patience = 30 * time.Second

// peekable is a connection of which the beginning can be looked at.
type peekable struct {
	net.Conn
	r *bufio.Reader
}

func peek(c net.Conn) *peekable { return &peekable{c, bufio.NewReader(c)} }

// socket is what comes from the network, in large pieces both ways: records of TLS are 16 kB.
func socket(c net.Conn) *peekable { return &peekable{outbox.New(c), bufio.NewReaderSize(c, 64<<10)} }

func (p *peekable) Read(b []byte) (int, error) { return p.r.Read(b) }

func (p *peekable) CloseWrite() error { return outbox.CloseWrite(p.Conn) }

// A session is one connection of a client's.
type session struct {
	*Proxy
	client *peekable
	server netip.AddrPort
	scheme string
	name   string // that the client asked for in TLS
	alpn   string // that the server chose

	mu      sync.Mutex
	ready   net.Conn      // the first connection to the server, until it is used
	since   time.Time     // when it was made
	failure error         // why there is none
	connect time.Duration // of the first, until it is stored
	shake   time.Duration
}

// Serve relays one connection, which a client made to the server, and returns when it has ended.
func (p *Proxy) Serve(client net.Conn, server netip.AddrPort) {
	if !p.track(client) {
		client.Close()
		return
	}
	s := &session{Proxy: p, client: socket(client), server: server, scheme: "http"}
	defer func() {
		s.client.Close()
		p.forget(client)
		if c, err := s.take(); err == nil {
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	start := time.Now()
	up, err := p.reach(ctx, server)
	cancel()
	s.connect, s.since = time.Since(start), time.Now()
	if err != nil {
		s.failure = err
	} else {
		q := socket(up)
		s.ready = q
		if !clientFirst(s.client, q) {
			s.relay(s.client)
			return
		}
	}
	first, err := s.client.r.Peek(1)
	switch {
	case err != nil:
	case first[0] == recordHandshake:
		s.serveTLS()
	case speaksHTTP(s.client.r) && understood(s.client.r):
		s.serveHTTP(s.client)
	default:
		s.relay(s.client)
	}
}

// take is the connection that is ready, once.
func (s *session) take() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.ready
	s.ready = nil
	if c == nil {
		return nil, errors.Join(s.failure, net.ErrClosed)
	}
	return c, nil
}

// clientFirst waits until the client says something, and returns false if the server does before. It looks at both, and
// takes nothing. If one ends the connection first, so does this.
func clientFirst(client, up *peekable) bool {
	asked, told := make(chan error, 1), make(chan error, 1)
	go func() { _, err := client.r.Peek(1); asked <- err }()
	go func() { _, err := up.r.Peek(1); told <- err }()
	interrupt := func(c net.Conn, done <-chan error) {
		c.SetReadDeadline(time.Unix(1, 0))
		<-done
		c.SetReadDeadline(time.Time{})
	}
	select {
	case <-asked:
		interrupt(up, told)
		return true
	case err := <-told:
		if err != nil {
			client.Close()
			<-asked
			return true
		}
		interrupt(client, asked)
		return false
	}
}

// speaksHTTP says whether what comes begins like a request of HTTP/1: a method in capitals and a space. CONNECT is left
// to those it is between.
func speaksHTTP(r *bufio.Reader) bool {
	const longest = 20 // RFC 9110 and its registry know none longer
	for n := 1; n <= longest; n++ {
		b, err := r.Peek(n)
		if err != nil {
			return false
		}
		switch c := b[n-1]; {
		case c == ' ' && n > 1:
			method := string(b[:n-1])
			return method != "CONNECT" && method != "PRI"
		case (c < 'A' || c > 'Z') && c != '-':
			return false
		}
	}
	return false
}

// understood says whether net/http takes a request whose head is there, or about to come. It would answer others itself.
func understood(r *bufio.Reader) bool {
	for n := 1; ; n = r.Buffered() + 1 {
		_, err := r.Peek(n)
		head, _ := r.Peek(r.Buffered())
		if line, _, whole := bytes.Cut(head, []byte("\n")); whole && !version.Match(line) {
			return false // like HTTP, IRC begins with capitals
		}
		if blank.Match(head) {
			q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
			return err == nil && (q.Host != "" || !q.ProtoAtLeast(1, 1))
		}
		if err != nil {
			return true // it is too long, or over
		}
	}
}

// version ends a request's first line.
var version = regexp.MustCompile(` HTTP/\d\.\d\r?$`)

// blank ends a request's head.
var blank = regexp.MustCompile(`\n\r?\n`)

// relay passes on both directions untouched.
func (s *session) relay(client net.Conn) {
	up, err := s.take()
	if err != nil {
		s.reset()
		return
	}
	defer up.Close()
	s.count(func(c *Counts) { c.Relayed++ })
	done := make(chan struct{})
	go func() {
		copyHalf(up, client)
		close(done)
	}()
	copyHalf(client, up)
	<-done
}

func copyHalf(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if c, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		c.CloseWrite()
		return
	}
	to.Close()
}

// reset ends the client's connection as one that broke.
func (s *session) reset() {
	c := s.client.Conn.(*outbox.Conn).Conn
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	c.Close()
}

// recordHandshake is how TLS begins (RFC 8446, 5.1).
const recordHandshake = 22

// serveTLS ends the client's TLS and begins one with the server, which chooses the protocol.
func (s *session) serveTLS() {
	s.scheme = "https"
	hello, said := clientHello(s.client)
	s.client.r = bufio.NewReader(io.MultiReader(bytes.NewReader(said), s.client.r))
	if hello == nil { // it only looked like TLS
		s.relay(s.client)
		return
	}
	s.name = hello.ServerName
	if s.failure == nil {
		c, err := s.take()
		if err == nil {
			c, err = s.handshake(c, hello.SupportedProtos)
		}
		s.ready, s.failure, s.since = c, err, time.Now()
	}
	if s.failure != nil {
		s.fail(&web.Exchange{Server: s.server, Scheme: s.scheme, ServerName: s.name}, s.failure)
		s.reset()
		return
	}
	s.alpn = s.ready.(*tls.Conn).ConnectionState().NegotiatedProtocol
	name := s.name
	if name == "" {
		name = s.server.Addr().String()
	}
	cert, err := s.Authority.Certificate(name)
	if err != nil {
		s.reset()
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{*cert}}
	if s.alpn != "" {
		config.NextProtos = []string{s.alpn}
	}
	c := tls.Server(s.client, config)
	s.client.SetDeadline(time.Now().Add(patience))
	err = c.Handshake()
	s.client.SetDeadline(time.Time{})
	switch {
	case err != nil:
		s.count(func(c *Counts) { c.Untrusted++ })
	case s.alpn == "h2":
		s.serveHTTP(c)
	case s.alpn == "" || s.alpn == "http/1.1" || s.alpn == "http/1.0":
		plain, up := peek(c), peek(s.ready)
		s.ready = up
		if clientFirst(plain, up) && speaksHTTP(plain.r) && understood(plain.r) {
			s.serveHTTP(plain)
		} else {
			s.relay(plain)
		}
	default:
		s.relay(c)
	}
}

// suites are those of TLS 1.2 that browsers still take: beside Go's own, those without ephemeral keys.
var suites = func() (out []uint16) {
	for _, c := range tls.CipherSuites() {
		out = append(out, c.ID)
	}
	return append(out, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA)
}()

// handshake begins TLS with the server as the client would: by its name, and with its protocols. A client that says no
// name wants whatever the server has.
func (s *session) handshake(c net.Conn, protocols []string) (net.Conn, error) {
	config := &tls.Config{ServerName: s.name, NextProtos: slices.Clone(protocols), RootCAs: s.Roots, InsecureSkipVerify: s.Insecure,
		CipherSuites: suites}
	if s.name == "" {
		config.ServerName = s.server.Addr().String()
	}
	start := time.Now()
	t := tls.Client(c, config)
	c.SetDeadline(start.Add(patience))
	err := t.Handshake()
	c.SetDeadline(time.Time{})
	if err != nil {
		c.Close()
		return nil, err
	}
	s.mu.Lock()
	s.shake = time.Since(start)
	s.mu.Unlock()
	return t, nil
}

// clientHello reads the beginning of a client's handshake, and what it read; nil if it is none.
func clientHello(c net.Conn) (hello *tls.ClientHelloInfo, said []byte) {
	ear := &listener{Conn: c}
	tls.Server(ear, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errors.New("that is all we wanted to know")
	}}).Handshake()
	return hello, ear.said
}

// listener is a connection that says nothing, and keeps what it hears.
type listener struct {
	net.Conn
	said []byte
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.said = append(l.said, b[:n]...)
	return n, err
}

func (l *listener) Write(b []byte) (int, error) { return len(b), nil }
func (l *listener) Close() error                { return nil }
