package record

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gomahi/web"
	"gomahi/web/outbox"
)

// serveHTTP serves the client's connection, a *tls.Conn if it is to be HTTP/2, until it ends.
func (s *session) serveHTTP(client net.Conn) {
	t := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: s.alpn == "h2", DialContext: s.dial, DialTLSContext: s.dial,
		IdleConnTimeout: 2 * time.Minute}
	defer t.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{Rewrite: unchanged, Transport: &recorder{s, t}, FlushInterval: -1, BufferPool: buffers,
		ModifyResponse: challenged, ErrorLog: quiet, ErrorHandler: badGateway}
	var busy atomic.Int32
	var last atomic.Pointer[exchange]
	l := &single{conn: client, ended: make(chan struct{})}
	if s.alpn != "h2" {
		l.conn = &patient{Conn: client, over: s.over, busy: func() bool {
			x := last.Load() // a request that breaks off is not waiting for its answer
			return busy.Load() > 0 && !l.hijacked.Load() && (x == nil || x.heard.Load())
		}}
	}
	server := &http.Server{ErrorLog: quiet, ConnState: l.state, MaxHeaderBytes: 1 << 20, DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.handlers.Add(1)
			busy.Add(1)
			defer l.handlers.Done()
			defer busy.Add(-1)
			if r.Method == http.MethodConnect && r.ProtoMajor == 1 {
				s.tunnel(w, r)
				return
			}
			began := &exchange{session: s, Exchange: s.begin(r)}
			began.heard.Store(r.Body == http.NoBody)
			if r.ProtoMajor == 1 {
				last.Store(began)
				http.NewResponseController(w).EnableFullDuplex() // the origin may answer before it has heard all
			}
			defer func() {
				if began.asked != nil { // whatever happened to it, unless it has ended
					began.drop(unfinished)
				}
			}()
			proxy.ServeHTTP(plain{w, began}, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, began)))
		})}
	server.Serve(l)
	<-l.ended
	l.handlers.Wait() // what has become another protocol goes on
}

// plain has no Date and no Content-Type where the origin sends none.
type plain struct {
	http.ResponseWriter
	x *exchange
}

func (w plain) WriteHeader(status int) {
	for _, name := range []string{"Date", "Content-Type"} {
		if _, ok := w.Header()[name]; !ok {
			w.Header()[name] = nil
		}
	}
	if !w.x.heard.Load() && status >= 200 { // what is left of the request is no next one; HTTP/2 ignores this
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack keeps what the client said behind its request.
func (w plain) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &peekable{c, rw.Reader}, rw, nil
}

// Unwrap is for http.ResponseController.
func (w plain) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// tunnel passes a CONNECT, and what follows it, to the server on a connection of its own.
func (s *session) tunnel(w http.ResponseWriter, r *http.Request) {
	up, err := s.dial(r.Context(), "", "")
	if err != nil {
		badGateway(w, r, err)
		return
	}
	defer up.Close()
	client, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	s.count(func(c *Counts) { c.Relayed++ })
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // or it would get the library's
	}
	if r.Write(up) != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		copyHalf(up, &peekable{client, in.Reader})
		close(done)
	}()
	copyHalf(client, up)
	<-done
}

// quiet swallows what libraries would print.
var quiet = log.New(io.Discard, "", 0)

// unchanged keeps what ReverseProxy would change: what proxies before us said, and a path or query of unusual spelling.
func unchanged(p *httputil.ProxyRequest) {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
	u := &url.URL{Scheme: "http", Host: p.In.Host}
	if x, ok := p.In.Context().Value(exchangeKey{}).(*exchange); ok {
		u.Scheme = x.Scheme
		if u.Host == "" { // HTTP/1.0
			u.Host = x.Server.String()
		}
	}
	target := p.In.RequestURI
	if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") {
		var asks bool
		u.Opaque, u.RawQuery, asks = strings.Cut(target, "?")
		u.ForceQuery = asks && u.RawQuery == ""
	} else if _, rest, ok := strings.Cut(target, "://"); ok && p.In.ProtoMajor == 1 { // to a proxy
		u.Opaque = "//" + rest
		p.Out.Header["Proxy-Authorization"] = p.In.Header["Proxy-Authorization"]
	} else {
		u.Path, u.RawPath, u.RawQuery, u.ForceQuery = p.In.URL.Path, p.In.URL.RawPath, p.In.URL.RawQuery, p.In.URL.ForceQuery
	}
	p.Out.URL, p.Out.Host = u, p.In.Host
	p.Out.Trailer = p.In.Trailer // filled in when the body is over
}

// challenged keeps what a proxy behind us wants, which ReverseProxy takes for meant for itself.
func challenged(r *http.Response) error {
	if x, ok := r.Request.Context().Value(exchangeKey{}).(*exchange); ok && x.challenge != nil {
		r.Header["Proxy-Authenticate"] = x.challenge
	}
	return nil
}

// badGateway tells the client why there is no answer.
func badGateway(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusBadGateway)
	fmt.Fprintf(w, "gm-webrecord: %s did not answer: %s\n", r.Host, reason(err))
}

// dial is the transport's: the first connection is there already.
func (s *session) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	const fresh = 5 * time.Second // an HTTP/2 server that nobody talks to gives up soon
	if c, err := s.take(); err == nil {
		if s.alpn != "h2" || time.Since(s.since) < fresh {
			return c, nil
		}
		c.Close()
	} else if s.failure != nil {
		return nil, s.failure
	}
	c, err := s.reach(ctx, s.server)
	if err != nil {
		return nil, err
	}
	if s.scheme == "http" {
		return socket(c), nil
	}
	return s.handshake(socket(c), []string{s.alpn})
}

// begin describes a request, whose body is yet to come.
func (s *session) begin(r *http.Request) *web.Exchange {
	target := r.RequestURI
	x := &web.Exchange{Server: s.server, Scheme: s.scheme, ServerName: s.name, Order: s.order.Add(1), Start: time.Now(),
		Request: web.Message{First: r.Method + " " + target + " HTTP/1.1"}}
	if r.ProtoMajor == 1 {
		x.Request.First = r.Method + " " + target + " " + r.Proto
	}
	if r.Host != "" {
		x.Request.Header = append(x.Request.Header, web.Field{Name: "Host", Value: r.Host})
	}
	x.Request.Header = append(x.Request.Header, web.Fields(r.Header)...)
	s.mu.Lock()
	x.Connect, x.TLS = s.connect, s.shake
	s.connect, s.shake = 0, 0
	s.mu.Unlock()
	return x
}

// exchange is one under way.
type exchange struct {
	*web.Exchange
	*session
	answered  *web.Spool
	sent      time.Time
	once      sync.Once
	heard     atomic.Bool // all of the request
	challenge []string    // Proxy-Authenticate

	mu    sync.Mutex // a server may answer before it has heard all
	asked *web.Spool
	ended bool
}

type exchangeKey struct{}

// A recorder is the way to the origin, on which exchanges are kept.
type recorder struct {
	*session
	transport *http.Transport
}

// RoundTrip is http.RoundTripper's.
func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	x := r.Context().Value(exchangeKey{}).(*exchange)
	x.asked, x.answered = t.Dir.Spool(), t.Dir.Spool()
	t.storing.Add(1)
	x.sent = time.Now()
	unsized := r.ContentLength < 0
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &requestBody{r.Body, x, r.ContentLength, r.Trailer}
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { x.sent = time.Now() },
		GotFirstResponseByte: func() { x.FirstByte = time.Since(x.sent) },
	}))
	res, err := t.transport.RoundTrip(r)
	if err == nil && (res.StatusCode < 100 || res.StatusCode > 999) { // which the server of net/http does not send
		res.Body.Close()
		err = fmt.Errorf("its status is %d", res.StatusCode)
	}
	if err != nil {
		if r.Context().Err() != nil || x.over() {
			x.drop(unfinished)
		} else {
			x.end(err)
		}
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		x.drop(func(c *Counts) { c.Relayed++ })
		return res, nil
	}
	x.Protocol, x.challenge = res.Proto, res.Header["Proxy-Authenticate"]
	x.Request.Unsized = unsized
	x.Response = web.Message{First: "HTTP/1.1 " + res.Status, Header: web.Fields(res.Header)}
	if res.ProtoMajor == 1 {
		x.Response.First = res.Proto + " " + res.Status
	}
	if len(res.Trailer) > 0 { // those announced, which the library takes out of the header
		x.Response.Header = append(x.Response.Header, web.Field{Name: "Trailer", Value: strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", ")})
	}
	x.Response.Unsized = res.ContentLength < 0 && r.Method != http.MethodHead
	res.Body = &body{res.Body, x, res}
	return res, nil
}

// requestBody is a request's, which is also kept.
type requestBody struct {
	io.ReadCloser
	x       *exchange
	left    int64 // below 0 if it says itself when it ends
	trailer http.Header
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err == io.EOF || b.left == 0 {
		b.x.heard.Store(true)
	}
	b.x.mu.Lock()
	if !b.x.ended {
		b.x.asked.Write(p[:n])
		if err == io.EOF {
			b.x.Request.Trailer = web.Fields(b.trailer)
		}
	}
	b.x.mu.Unlock()
	return n, err
}

// body is a response's, which is stored at its end.
type body struct {
	io.ReadCloser
	x   *exchange
	res *http.Response
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.answered.Write(p[:n])
	if err == io.EOF {
		b.x.Response.Trailer = web.Fields(b.res.Trailer)
		b.x.end(nil)
	} else if err != nil && b.res.Request.Context().Err() == nil {
		b.x.end(err)
	}
	return n, err
}

// Close comes before the end if the client has gone.
func (b *body) Close() error {
	if strings.HasPrefix(b.res.Header.Get("Content-Type"), "text/event-stream") { // has no end but this
		b.x.end(nil)
	} else {
		b.x.drop(unfinished)
	}
	return b.ReadCloser.Close()
}

// unfinished counts an exchange that the client gave up.
func unfinished(c *Counts) { c.Unfinished++ }

// silence ends what is kept of the request's body.
func (x *exchange) silence() *web.Spool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	return x.asked
}

// close gives up what was kept of the bodies.
func (x *exchange) close() {
	x.silence().Close()
	x.answered.Close()
	x.storing.Done()
}

// drop ends an exchange that is not stored.
func (x *exchange) drop(why func(*Counts)) {
	x.once.Do(func() {
		x.count(why)
		x.close()
	})
}

// end stores the exchange, once, with why there is no response or not all of it.
func (x *exchange) end(failure error) {
	x.once.Do(func() {
		defer x.close()
		x.Duration = time.Since(x.sent)
		if err := x.bodies(); err != nil {
			x.refuse(err)
			return
		}
		if failure != nil {
			x.session.fail(x.Exchange, failure)
		} else {
			x.store(x.Exchange)
		}
	})
}

func (x *exchange) bodies() (err error) {
	if x.Request.Body, err = x.silence().Body(); err == nil {
		x.Response.Body, err = x.answered.Body()
	}
	for _, m := range []*web.Message{&x.Request, &x.Response} {
		if m.Unsized {
			m.SetUnsized()
		}
	}
	return err
}

// single is a listener of one connection.
type single struct {
	conn     net.Conn
	ended    chan struct{} // when the connection has, or another protocol has taken it over
	hijacked atomic.Bool   // which it has
	closing  sync.Once
	handlers sync.WaitGroup
}

func (l *single) Accept() (net.Conn, error) {
	c := l.conn
	l.conn = nil
	if c != nil {
		return c, nil
	}
	<-l.ended
	return nil, net.ErrClosed
}

func (l *single) Addr() net.Addr { return &net.TCPAddr{} }
func (l *single) Close() error   { return nil }

func (l *single) state(_ net.Conn, s http.ConnState) {
	if s == http.StateHijacked {
		l.hijacked.Store(true)
	}
	if s == http.StateClosed || s == http.StateHijacked {
		l.closing.Do(func() { close(l.ended) })
	}
}

// patient does not tell the end of what a client says while it waits for an answer, or only after a while: net/http takes
// it for gone, but it may have closed its own direction alone.
type patient struct {
	net.Conn
	busy  func() bool
	over  func() bool
	until atomic.Pointer[time.Time] // the deadline of reads
}

const (
	grace  = patience
	moment = 50 * time.Millisecond // in which a request that has been read is begun with
)

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 || err != io.EOF {
		return n, err
	}
	busy := p.busy()
	for start := time.Now(); !p.over() && time.Since(start) < grace; time.Sleep(5 * time.Millisecond) {
		if t := p.until.Load(); t != nil && !t.IsZero() && t.Before(time.Now()) {
			return 0, os.ErrDeadlineExceeded // the answer is made, and there may be another request
		}
		if busy = busy || p.busy(); !busy && time.Since(start) >= moment {
			break
		}
	}
	return n, err
}

func (p *patient) CloseWrite() error { return outbox.CloseWrite(p.Conn) }

func (p *patient) SetReadDeadline(t time.Time) error {
	p.until.Store(&t)
	return p.Conn.SetReadDeadline(t)
}

func (p *patient) SetDeadline(t time.Time) error {
	p.until.Store(&t)
	return p.Conn.SetDeadline(t)
}

// buffers are what bodies pass through.
var buffers httputil.BufferPool = &pool{sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p *pool) Put(b []byte) { p.Pool.Put(&b) }
