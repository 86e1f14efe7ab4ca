package replay

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gomahi/web"
	"gomahi/web/match"
)

// A Think says how long a server waits before it answers.
type Think struct {
	Recorded bool // as long as it did while recording, without the way there and back
	Fixed    time.Duration
}

// A Handler answers requests from a recording.
type Handler struct {
	Index      *match.Index
	Frozen     bool // dates stay as they are
	Think      Think
	HTTP3      HTTP3
	RoundTrips map[netip.Addr]time.Duration // to each server, while recording
	Start      time.Time                    // of the replay
	Miss       func(Miss)                   // is told, once each, what could not be answered; several goroutines may call it at once
	answers    sync.Map                     // *web.Exchange: *answer
	served     atomic.Uint64                // requests answered
	mu         sync.Mutex                   // over missed
	missed     map[string]uint64            // requests without an answer, by method and URL
}

// A Miss is a request that nothing recorded answers.
type Miss struct {
	Method, URL string
	Closest     *web.Exchange // nil if nothing is like it
	Why         string        // it is not the answer
}

func (m Miss) String() string {
	s := fmt.Sprintf("nothing recorded answers %s %s", m.Method, m.URL)
	if m.Closest == nil {
		return s + ", and nothing is like it"
	}
	return s + fmt.Sprintf("; the closest is %s %s: %s", m.Closest.Method(), m.Closest.URL(), m.Why)
}

// Counts are how many requests were answered, and how many not, of which so many were different.
func (h *Handler) Counts() (served, missed uint64, different int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.missed {
		missed += n
	}
	return h.served.Load(), missed, len(h.missed)
}

// most of a request's body is looked at; of the rest, how long it is.
const most = 16 << 20

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	var body []byte
	var rest int64
	if r.ContentLength != 0 {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, most)); err == nil {
			rest, err = io.Copy(io.Discard, r.Body)
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	q := match.From(scheme, r, body)
	q.Rest = rest
	x := h.Index.Find(q)
	if x == nil {
		h.miss(w, q)
		return
	}
	h.served.Add(1)
	if !h.wait(r, x) {
		return
	}
	h.answer(w, r, x)
}

// wait waits as the server did, and says whether the client has too.
func (h *Handler) wait(r *http.Request, x *web.Exchange) bool {
	d := h.Think.Fixed
	if h.Think.Recorded {
		d = x.FirstByte - h.RoundTrips[x.Server.Addr()]
	}
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// An answer is what of a response is the same each time.
type answer struct {
	status int
	header http.Header // without what is about the connection; its values are shared
	made   time.Time
	empty  bool // has no body
}

// prepared is the answer that an exchange gives.
func (h *Handler) prepared(x *web.Exchange) *answer {
	if a, ok := h.answers.Load(x); ok {
		return a.(*answer)
	}
	a := &answer{status: x.Status(), header: http.Header{}, made: made(x)}
	a.empty = x.Method() == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified || a.status < 200
	for _, f := range x.Response.Sent() {
		if name := http.CanonicalHeaderKey(f.Name); !hop[name] {
			a.header[name] = append(a.header[name], f.Value)
		}
	}
	h.offer(a.header, x)
	for _, name := range []string{"Date", "Content-Type"} { // or the library would add them
		if _, ok := a.header[name]; !ok {
			a.header[name] = nil
		}
	}
	if !a.empty && x.Failure == "" && a.header.Get("Content-Length") != strconv.Itoa(len(x.Response.Body.Bytes())) {
		a.header.Del("Content-Length") // another program has changed the body
	}
	if a.status < 200 { // the connection became another protocol's, which is not recorded
		a.status = http.StatusNotImplemented
	}
	a.header = a.header.Clone() // whose values have no room: to append a trailer copies them
	h.answers.Store(x, a)
	return a
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, x *web.Exchange) {
	a, out := h.prepared(x), w.Header()
	maps.Copy(out, a.header)
	if !h.Frozen {
		shift(out, a.made, h.Start, time.Now())
	}
	w.WriteHeader(a.status)
	if a.empty || r.Method == http.MethodHead {
		return
	}
	if x.Response.Unsized {
		http.NewResponseController(w).Flush() // so that the library does not count
	}
	w.Write(x.Response.Body.Bytes())
	announced := strings.ToLower(strings.Join(out["Trailer"], ","))
	for _, f := range x.Response.Trailer {
		name := http.TrailerPrefix + f.Name
		if slices.ContainsFunc(strings.Split(announced, ","), func(s string) bool { return strings.TrimSpace(s) == strings.ToLower(f.Name) }) {
			name = f.Name
		}
		out.Add(name, f.Value)
	}
	if x.Failure != "" {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // as it was
	}
}

// offer makes a response's Alt-Svc that of the replay.
func (h *Handler) offer(out http.Header, x *web.Exchange) {
	switch h.HTTP3 {
	case Off:
		out["Alt-Svc"] = slices.DeleteFunc(out["Alt-Svc"], func(v string) bool { return strings.Contains(v, "h3") })
		if len(out["Alt-Svc"]) == 0 {
			out.Del("Alt-Svc")
		}
	case Everywhere:
		if x.Scheme == "https" {
			out.Set("Alt-Svc", fmt.Sprintf(`h3=":%d"; ma=86400`, x.Server.Port()))
		}
	}
}

func (h *Handler) miss(w http.ResponseWriter, q *match.Request) {
	m := Miss{Method: q.Method, URL: web.URL(q.Scheme, q.Host, q.Target)}
	m.Closest, m.Why = h.Index.Closest(q)
	h.mu.Lock()
	if h.missed == nil {
		h.missed = map[string]uint64{}
	}
	const many = 1 << 16 // different ones are told apart; a loop in a page can ask for more
	what := m.Method + " " + m.URL
	if len(h.missed) >= many {
		what = ""
	}
	h.missed[what]++
	first := h.missed[what] == 1
	h.mu.Unlock()
	if first && h.Miss != nil {
		h.Miss(m)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, "gm-webreplay: %v\n", m)
}
