package webtool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/internal/tool"
	"gomahi/shell"
	"gomahi/web"
	"gomahi/web/authority"
	"gomahi/web/record"
)

// Record is gm-webrecord.
type Record struct {
	Port     []int `placeholder:"PORT" help:"Record this TCP port too, beside 80 and 443; may be given several times."`
	Append   bool  `help:"Go on with a directory that is there."`
	Insecure bool  `help:"Do not verify the servers' certificates."`
	Browser
	tool.Common

	dir   string
	ports []uint16
	proxy record.Proxy
}

// Grammar is the command line.
func (r *Record) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-webrecord",
		Usage: "[OPTION...] DIRECTORY [COMMAND...]",
		About: "Run a command, or a shell, in a network of its own, and record in DIRECTORY what web servers answer to it, for\n" +
			"gm-webreplay. TLS is ended on the way, with certificates of an authority that the command is made to trust.",
		Examples: []string{
			"gm-webrecord site curl https://example.org/",
			"gm-webrecord site -- chromium https://example.org/",
			"gm-webrecord --append --port 8080 site ./test",
		},
		Options: r,
		Own:     r.own,
	}
}

// Set takes the directory.
func (r *Record) Set(args []string) error {
	if r.Chromium {
		return nil
	}
	r.dir, r.ports = args[0], []uint16{80, 443}
	for _, p := range r.Port {
		if p < 1 || p > 65535 {
			return cli.Usagef("give a number from 1 to 65535", "--port=%d", p)
		}
		if !slices.Contains(r.ports, uint16(p)) {
			r.ports = append(r.ports, uint16(p))
		}
	}
	if _, err := os.Lstat(r.dir); err == nil && !r.Append {
		return r.exists()
	}
	return nil
}

func (r *Record) exists() error {
	return cli.Usagef("name another directory, or give --append to go on with it", "%s: %v", r.dir, web.ErrExists)
}

// Place puts the proxy at the outer end of the link.
func (r *Record) Place(o *shell.Options) {
	o.Outer = r.serve
	var err error
	if r.proxy.Authority, err = authority.New("gm-webrecord"); err == nil {
		err = r.trust(r.proxy.Authority, o)
	}
	if err != nil {
		o.Outer = func(*shell.Outer) error { return err }
	}
}

// Link makes a link without delay.
func (r *Record) Link(l *tool.Link) (err error) {
	if r.proxy.Dir, err = web.Create(r.dir, r.Append); err != nil {
		if errors.Is(err, web.ErrExists) {
			return r.exists()
		}
		return cli.Usagef("name a directory that can be made and written", "%v", err)
	}
	r.proxy.Insecure, r.proxy.Warn = r.Insecure, l.Warn
	l.Uplink, l.Downlink = effects.NewDelay(0), effects.NewDelay(0)
	l.Finish = append(l.Finish, func(time.Duration) error { return errors.Join(r.summarize(l.Stderr), r.forget()) })
	return nil
}

// Prefix is for prompts.
func (r *Record) Prefix() string { return "[record] " }

// serve starts the proxy at the outer end of the link, and leads to it what is to be recorded.
func (r *Record) serve(o *shell.Outer) error {
	listeners, err := r.listen(o)
	if err != nil {
		return fmt.Errorf("starting the proxy: %w", err)
	}
	r.proxy.Dial = func(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
		return o.Dial(ctx, "tcp", server.String())
	}
	for _, l := range listeners {
		go r.accept(l)
	}
	return o.Redirect(r.ports, uint16(listeners[0].Addr().(*net.TCPAddr).Port))
}

// listen listens on one port of both families.
func (r *Record) listen(o *shell.Outer) (out []net.Listener, err error) {
	for range 20 {
		four, err := net.Listen("tcp", netip.AddrPortFrom(o.Addr4, 0).String())
		if err != nil {
			return nil, err
		}
		if !o.Addr6.IsValid() {
			return []net.Listener{four}, nil
		}
		port := uint16(four.Addr().(*net.TCPAddr).Port)
		six, err := net.Listen("tcp", netip.AddrPortFrom(o.Addr6, port).String())
		if err == nil {
			return []net.Listener{four, six}, nil
		}
		four.Close()
	}
	return nil, errors.New("no port is free")
}

// accept hands connections to the proxy. What was not on its way elsewhere is none of its business.
func (r *Record) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, say
			time.Sleep(10 * time.Millisecond)
			continue
		}
		server, err := shell.OriginalDestination(c.(*net.TCPConn))
		if err != nil || server.String() == l.Addr().String() {
			c.Close()
			continue
		}
		go r.proxy.Serve(c, server)
	}
}

// summarize says what was recorded, when that is all stored.
func (r *Record) summarize(w io.Writer) error {
	r.proxy.Close()
	n := r.proxy.Counts()
	parts := []string{fmt.Sprintf("%d exchanges of %d origins, %s, %d failures", n.Exchanges, n.Origins, humanize.Bytes(n.Bytes), n.Failures)}
	for _, more := range []struct {
		n    int
		what string
	}{{n.Relayed, "connections relayed that were no HTTP"}, {n.Unfinished, "exchanges not stored that the client gave up"},
		{n.Untrusted, "clients did not trust our certificates"}, {n.Unstored, "exchanges could not be stored"}} {
		if more.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", more.n, more.what))
		}
	}
	fmt.Fprintf(w, "gm-webrecord: %s\n", strings.Join(parts, "; "))
	if n.Unstored > 0 {
		return fmt.Errorf("%d exchanges could not be stored in %s", n.Unstored, r.dir)
	}
	return nil
}
