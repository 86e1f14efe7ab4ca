package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// HTTP/1.1 (RFC 9112) as far as a control socket needs it. With net/http, and the TLS that it brings, each tool would be
// half as large again, and start as much later.

// A Request is what a client asks for.
type Request struct {
	Method, Path string
	Query        url.Values
	body         []byte
	last         bool // the client wants no other answer on this connection
}

// Read reads the JSON that was posted, which has no fields that are not meant.
func (r *Request) Read(into any) error {
	if !json.Valid(r.body) { // which says it better than a decoder, and sees what follows
		return json.Unmarshal(r.body, into)
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Text is an answer that is not JSON: Prometheus' text format.
type Text string

// A Handler answers with what becomes JSON unless it is Text, nil for nothing, or with an error, which is a Refusal if it is
// the client's.
type Handler func(*Request) (any, error)

// A Refusal says what is wrong with a request.
type Refusal struct {
	Status int // 400 and more
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

const (
	mostHead = 64 << 10
	mostBody = 1 << 20
	idle     = 5 * time.Minute // a connection without a request is closed
)

// converse answers the requests of one connection.
func (s *Server) converse(c net.Conn) {
	defer c.Close()
	limit := &io.LimitedReader{R: c}
	in := bufio.NewReader(limit)
	for last := false; !last; {
		limit.N = mostHead + mostBody
		c.SetDeadline(time.Now().Add(idle))
		last, _ = s.turn(in, c)
	}
}

// turn answers one request, unless the client has gone, and says whether it is the last of its connection.
func (s *Server) turn(in *bufio.Reader, out io.Writer) (last, answered bool) {
	r, err := readRequest(in)
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		return true, false
	}
	// Starting a goroutine makes the scheduler wake another thread, which polls for the packets while this one is at work:
	// see sleeper in the shell.
	go func() {}()
	last = err != nil || r.last
	var what any
	if err == nil {
		what, err = s.answer(r)
	}
	err = respond(out, what, err, last)
	return last || err != nil, err == nil
}

func readRequest(in *bufio.Reader) (*Request, error) {
	t := textproto.NewReader(in)
	line, err := t.ReadLine()
	if err != nil {
		return nil, err
	}
	words := strings.Split(line, " ")
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return nil, &Refusal{400, fmt.Sprintf("%.100q is no request of HTTP/1.1", line)}
	}
	head, err := t.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	to, err := url.ParseRequestURI(words[1])
	if err != nil {
		return nil, &Refusal{400, err.Error()}
	}
	r := &Request{Method: words[0], Path: to.Path, Query: to.Query(),
		last: words[2] == "HTTP/1.0" || strings.EqualFold(head.Get("Connection"), "close")}
	if head.Get("Transfer-Encoding") != "" {
		return nil, &Refusal{411, "give the length of what is posted: Content-Length"}
	}
	if r.Method == "POST" && head.Get("Content-Length") == "" {
		return nil, &Refusal{411, "give the length of what is posted: Content-Length"}
	}
	r.body, err = readBody(in, head, mostBody)
	return r, err
}

func readBody(in io.Reader, head textproto.MIMEHeader, most int) ([]byte, error) {
	length := head.Get("Content-Length")
	if length == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > most {
		return nil, &Refusal{413, fmt.Sprintf("a content of %q bytes; at most %d are taken", length, most)}
	}
	b := make([]byte, n)
	_, err = io.ReadFull(in, b)
	return b, err
}

// answer finds the handler.
func (s *Server) answer(r *Request) (any, error) {
	if h := s.handlers[r.Method+" "+r.Path]; h != nil {
		return h(r)
	}
	for name := range s.handlers {
		if strings.HasSuffix(name, " "+r.Path) {
			return nil, &Refusal{405, r.Path + " does not take " + r.Method}
		}
	}
	return nil, &Refusal{404, "there is no " + r.Path}
}

var reasons = map[int]string{200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 411: "Length Required",
	413: "Content Too Large", 500: "Internal Server Error", 503: "Service Unavailable"}

func respond(c io.Writer, what any, err error, last bool) error {
	const plain = "text/plain; charset=utf-8"
	status, kind, body := 200, "application/json", []byte(nil)
	if text, ok := what.(Text); ok && err == nil {
		kind, body = "text/plain; version=0.0.4; charset=utf-8", []byte(text)
	} else if err == nil && what != nil {
		body, err = json.Marshal(what)
		body = append(body, '\n')
	}
	if err != nil {
		status, kind, body = 500, plain, []byte(err.Error()+"\n")
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			status = refusal.Status
		}
	}
	end := ""
	if last {
		end = "Connection: close\r\n"
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s", status, reasons[status], kind, len(body), end, body)
	return err
}

// mostAnswer is as much as a client takes.
const mostAnswer = 64 << 20

// ask is one request on a connection of its own.
func ask(c net.Conn, method, path string, body []byte, answer any) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	_, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: tool\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", method, path, len(body), body)
	if err != nil {
		return err
	}
	in := bufio.NewReader(c)
	t := textproto.NewReader(in)
	status, err := t.ReadLine()
	if err != nil {
		return err
	}
	head, err := t.ReadMIMEHeader()
	if err != nil {
		return err
	}
	b, err := readBody(in, head, mostAnswer)
	switch {
	case err != nil:
		return err
	case !strings.HasPrefix(status, "HTTP/1.1 200 "):
		words := append(strings.Fields(status), "", "")
		code, _ := strconv.Atoi(words[1])
		return &Refusal{code, strings.TrimSpace(string(b))}
	case answer != nil:
		return json.Unmarshal(b, answer)
	}
	return nil
}
