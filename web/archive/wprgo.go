package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"gomahi/web"
)

// An archive of Catapult's Web Page Replay (web_page_replay_go/src/webpagereplay/archive.go): JSON in gzip.
type wprgo struct {
	Requests map[string]map[string][]struct { // by host and URL
		SerializedRequest  []byte
		SerializedResponse []byte // empty if the request failed
	}
	NegotiatedProtocol map[string]string // by host
}

// ImportWPRGo reads an archive of Catapult's Web Page Replay, and gives its exchanges to store. Those without a response
// are left out, and counted. It has no addresses and no times: addresses stand in for the hosts' own, and the order is by
// URL.
func ImportWPRGo(r io.Reader, store func(*web.Exchange) error) (stored, left int, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return 0, 0, fmt.Errorf("this is no archive of Web Page Replay: %w", err)
	}
	var a wprgo
	if err := json.NewDecoder(z).Decode(&a); err != nil {
		return 0, 0, fmt.Errorf("this is no archive of Web Page Replay: %w", err)
	}
	for _, host := range slices.Sorted(maps.Keys(a.Requests)) {
		for _, target := range slices.Sorted(maps.Keys(a.Requests[host])) {
			for _, q := range a.Requests[host][target] {
				x, err := serialized(target, q.SerializedRequest, q.SerializedResponse)
				if err != nil {
					return stored, left, fmt.Errorf("%s: %w", target, err)
				}
				if x == nil {
					left++
					continue
				}
				if x.Protocol = "HTTP/1.1"; a.NegotiatedProtocol[host] == "h2" {
					x.Protocol = "HTTP/2.0"
				}
				stored++
				x.Order = uint64(stored)
				if err := store(x); err != nil {
					return stored, left, err
				}
			}
		}
	}
	return stored, left, nil
}

// serialized makes an exchange of what net/http wrote; nil without a response.
func serialized(target string, request, response []byte) (*web.Exchange, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if len(response) == 0 || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, nil
	}
	q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	asked, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	s, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), q)
	if err != nil {
		return nil, fmt.Errorf("its response: %w", err)
	}
	answered, err := io.ReadAll(s.Body)
	if err != nil {
		return nil, fmt.Errorf("its response: %w", err)
	}
	x := &web.Exchange{Scheme: u.Scheme}
	if x.Server, err = server("", u); err != nil {
		return nil, err
	}
	q.Header.Del("Host")
	x.Request = web.Message{First: q.Method + " " + u.RequestURI() + " HTTP/1.1", Body: web.Bytes(asked),
		Header: append([]web.Field{{Name: "Host", Value: u.Host}}, web.Fields(q.Header)...)}
	x.Response = web.Message{First: "HTTP/1.1 " + s.Status, Header: web.Fields(s.Header), Body: web.Bytes(answered), Trailer: web.Fields(s.Trailer)}
	if s.ContentLength < 0 {
		x.Response.SetUnsized()
	}
	return x, nil
}
