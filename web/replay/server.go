package replay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/quic-go/quic-go/http3"

	"gomahi/web/authority"
	"gomahi/web/outbox"
)

// HTTP3 says which servers speak HTTP/3.
type HTTP3 string

const (
	Off        HTTP3 = "off"
	Recorded   HTTP3 = "recorded" // those that offered it
	Everywhere HTTP3 = "all"
)

// A Network is where the servers listen. Its functions are those of package net.
type Network struct {
	Listen       func(network, address string) (net.Listener, error)
	ListenPacket func(network, address string) (net.PacketConn, error)
}

// Servers are the recorded ones, serving.
type Servers struct {
	authority   *authority.Authority
	h2          map[string]bool // names that spoke it
	plain, tls  *http.Server
	h3          *http3.Server
	connections []net.PacketConn
}

// Serve starts a server for each origin. It returns when all of them listen.
func Serve(origins []*Origin, h *Handler, a *authority.Authority, n Network) (*Servers, error) {
	s := &Servers{authority: a, h2: map[string]bool{}}
	quiet := log.New(io.Discard, "", 0) // what clients do wrong is theirs to say
	plainOnly := new(http.Protocols)
	plainOnly.SetHTTP1(true)
	s.plain = &http.Server{Handler: h, ErrorLog: quiet, Protocols: plainOnly, DisableGeneralOptionsHandler: true}
	s.tls = &http.Server{Handler: h, ErrorLog: quiet, TLSConfig: &tls.Config{GetConfigForClient: s.config}, DisableGeneralOptionsHandler: true}
	s.h3 = &http3.Server{Handler: h, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{GetCertificate: s.certificate})}
	for _, o := range origins {
		for name := range o.H2 {
			s.h2[name] = true
		}
	}
	for _, o := range origins {
		if err := s.serve(o, h.HTTP3, n); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Servers) serve(o *Origin, h3 HTTP3, n Network) error {
	l, err := n.Listen("tcp", o.String())
	if err != nil {
		return fmt.Errorf("serving %s: %w", o, err)
	}
	if o.Scheme == "http" {
		go s.plain.Serve(outbox.Listener{Listener: l})
		return nil
	}
	go s.tls.ServeTLS(outbox.Listener{Listener: l}, "", "")
	if h3 == Everywhere || h3 == Recorded && o.H3 {
		u, err := n.ListenPacket("udp", o.String())
		if err != nil {
			return fmt.Errorf("serving HTTP/3 at %s: %w", o, err)
		}
		s.connections = append(s.connections, u)
		go s.h3.Serve(u)
	}
	return nil
}

// config offers what a name spoke.
func (s *Servers) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := &tls.Config{GetCertificate: s.certificate, NextProtos: []string{"http/1.1"}}
	if s.h2[strings.ToLower(hello.ServerName)] || hello.ServerName == "" && s.h2[host(hello.Conn.LocalAddr())] {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c, nil
}

func (s *Servers) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		if hello.Conn == nil {
			return nil, errors.New("no name")
		}
		name = host(hello.Conn.LocalAddr())
	}
	return s.authority.Certificate(name)
}

func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// Close ends the servers.
func (s *Servers) Close() error {
	s.plain.Close()
	s.tls.Close()
	s.h3.Close()
	for _, c := range s.connections {
		c.Close()
	}
	return nil
}
