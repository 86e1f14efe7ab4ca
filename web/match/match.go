// Package match finds the recorded exchange whose response answers a request.
package match

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gomahi/web"
)

// A Mode is how much of a request must be as it was recorded. In all of them the scheme, host and path must.
type Mode string

const (
	// Fuzzy takes the best of what is left: see rank.
	Fuzzy Mode = "fuzzy"
	// Strict wants the method, query, body and what the response's Vary names to be equal too.
	Strict Mode = "strict"
	// Mahimahi does as the original: method and User-Agent must be equal, and the longest common prefix of the request
	// line wins, the first such one each time.
	Mahimahi Mode = "mahimahi"
)

// A Request is what came.
type Request struct {
	Scheme, Method string
	Host           string // with the port unless it is the scheme's own
	Target         string // path and query
	Header         http.Header
	Body           []byte
	Rest           int64 // the bytes of the body that come after Body, and were not kept
}

// An Index finds exchanges. It may be used by several goroutines.
type Index struct {
	mode   Mode
	ignore *regexp.Regexp // query parameters that say nothing
	byPath map[place][]*candidate
	byHost map[[2]string][]*candidate // scheme and host
	failed map[place]*web.Exchange    // without a response

	mu sync.Mutex // over served
}

type place struct{ scheme, host, path string }

type candidate struct {
	*web.Exchange
	method       string
	path, query  string
	significant  string // the query without what is ignored
	vary         []string
	served       bool
	header       http.Header
	cookies      []string
	conditionals [len(conditional)]string
}

// conditional are the headers by which a request asks for another response than the resource.
var conditional = [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Range"}

// New makes an index of exchanges in the order of their recording. Parameters of a query whose name or whole ("name=value")
// ignore matches count for nothing; it may be nil. Those without a response answer nothing.
func New(all []*web.Exchange, mode Mode, ignore *regexp.Regexp) *Index {
	ix := &Index{mode: mode, ignore: ignore, byPath: map[place][]*candidate{}, byHost: map[[2]string][]*candidate{},
		failed: map[place]*web.Exchange{}}
	for _, x := range all {
		if x.Method() == "" {
			continue
		}
		path, query := split(x.Target())
		if x.Status() == 0 {
			ix.failed[place{x.Scheme, x.Host(), path}] = x
			continue
		}
		c := &candidate{Exchange: x, method: x.Method(), path: path, query: query, significant: ix.strip(query),
			header: http.Header{}}
		for _, f := range x.Request.Header {
			c.header.Add(f.Name, f.Value)
		}
		c.cookies = cookies(c.header)
		for i, name := range conditional {
			c.conditionals[i] = c.header.Get(name)
		}
		for _, v := range x.Response.Values("Vary") {
			for name := range strings.SplitSeq(v, ",") {
				c.vary = append(c.vary, http.CanonicalHeaderKey(strings.TrimSpace(name)))
			}
		}
		at := place{x.Scheme, x.Host(), path}
		ix.byPath[at] = append(ix.byPath[at], c)
		host := [2]string{x.Scheme, x.Host()}
		ix.byHost[host] = append(ix.byHost[host], c)
	}
	return ix
}

func split(target string) (path, query string) {
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

// strip takes the ignored parameters out of a query.
func (ix *Index) strip(query string) string {
	if ix.ignore == nil || query == "" {
		return query
	}
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		return ix.ignore.MatchString(name) || ix.ignore.MatchString(p)
	})
	return strings.Join(kept, "&")
}

// rank is how well a candidate answers a request, the more important first; higher is better.
type rank [10]int

func (ix *Index) rank(r *Request, query, significant string, c *candidate) (k rank) {
	flag := func(ok bool) int {
		if ok {
			return 1
		}
		return 0
	}
	same := c.method == r.Method
	k[0] = 2 * flag(same)
	if !same && r.Method == http.MethodHead && c.method == http.MethodGet {
		k[0] = 1 // the same headers
	}
	k[1] = flag(significant == c.significant)
	k[2] = common(significant, c.significant)
	k[3] = flag(c.Request.Body.Size() == int64(len(r.Body))+r.Rest && bytes.HasPrefix(c.Request.Body.Bytes(), r.Body))
	for i, name := range conditional {
		same := sameCondition(name, r.Header.Get(name), c.conditionals[i])
		k[4] += flag(same || c.conditionals[i] == "") // the whole resource is better than another part
		k[5] += flag(same)
	}
	k[6] = 1
	for _, name := range c.vary {
		if name != "*" && name != "Host" && !slices.Equal(r.Header[name], c.header[name]) { // net/http keeps Host elsewhere
			k[6] = 0
		}
	}
	k[7] = flag(slices.Equal(cookies(r.Header), c.cookies))
	k[8] = flag(query == c.query)
	k[9] = common(query, c.query)
	return k
}

// sameCondition compares a header's values. All dates are the same: clients echo those that the replay has moved.
func sameCondition(name, a, b string) bool {
	if a == b || name != "If-Modified-Since" && name != "If-Range" {
		return a == b
	}
	_, aerr := http.ParseTime(a)
	_, berr := http.ParseTime(b)
	return aerr == nil && berr == nil
}

// cookies are the names of those that a request brings: who has none is often sent to get one. Their values change.
func cookies(h http.Header) (names []string) {
	for _, line := range h["Cookie"] {
		for c := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(c), "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// common is the length of the longest common prefix.
func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Find returns the exchange whose response answers a request, nil if none does. Of several that do so equally well, each
// is returned once, in the order of their recording, and then the last.
func (ix *Index) Find(r *Request) *web.Exchange {
	path, query := split(r.Target)
	significant := ix.strip(query)
	var best []*candidate
	var high rank
	for _, c := range ix.byPath[place{r.Scheme, r.Host, path}] {
		k := ix.rank(r, query, significant, c)
		if !ix.fits(r, k, c) {
			continue
		}
		if ix.mode == Mahimahi {
			k = rank{common(r.Target, c.Target())}
		}
		switch order := slices.Compare(k[:], high[:]); {
		case order > 0 || best == nil:
			best, high = append(best[:0], c), k
		case order == 0:
			best = append(best, c)
		}
	}
	if best == nil {
		return nil
	}
	if ix.mode == Mahimahi {
		return best[0].Exchange
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, c := range best {
		if !c.served {
			c.served = true
			return c.Exchange
		}
	}
	return best[len(best)-1].Exchange
}

// fits says whether the mode lets a candidate of that rank answer at all.
func (ix *Index) fits(r *Request, k rank, c *candidate) bool {
	switch ix.mode {
	case Strict:
		return k[0] == 2 && k[1] == 1 && k[3] == 1 && k[5] == len(conditional) && k[6] == 1
	case Mahimahi:
		return k[0] == 2 && slices.Equal(r.Header["User-Agent"], c.header["User-Agent"])
	}
	return k[0] > 0
}

// Closest returns the recorded exchange that is most like a request that none answers, and in which way it differs; nil
// if nothing is like it.
func (ix *Index) Closest(r *Request) (*web.Exchange, string) {
	path, query := split(r.Target)
	if same := ix.byPath[place{r.Scheme, r.Host, path}]; same != nil {
		significant := ix.strip(query)
		c := slices.MaxFunc(same, func(a, b *candidate) int {
			ka, kb := ix.rank(r, query, significant, a), ix.rank(r, query, significant, b)
			return slices.Compare(ka[:], kb[:])
		})
		return c.Exchange, difference(ix.rank(r, query, significant, c))
	}
	if x := ix.failed[place{r.Scheme, r.Host, path}]; x != nil {
		return x, "it failed when it was recorded: " + x.Failure
	}
	if host := ix.byHost[[2]string{r.Scheme, r.Host}]; host != nil {
		c := slices.MaxFunc(host, func(a, b *candidate) int { return common(r.Target, a.Target()) - common(r.Target, b.Target()) })
		return c.Exchange, "its path differs"
	}
	for at, c := range ix.byPath {
		if at.host == r.Host && at.path == path {
			return c[0].Exchange, "its scheme differs"
		}
	}
	return nil, ""
}

func difference(k rank) string {
	switch {
	case k[0] < 2:
		return "its method differs"
	case k[1] == 0:
		return "its query differs"
	case k[3] == 0:
		return "its body differs"
	case k[5] < len(conditional):
		return "its range or conditions differ"
	case k[6] == 0:
		return "headers differ that its Vary names"
	}
	return "its User-Agent differs"
}

// From makes a Request of one that a server got, whose body has been read.
func From(scheme string, r *http.Request, body []byte) *Request {
	return &Request{Scheme: scheme, Method: r.Method, Host: web.CanonicalHost(scheme, r.Host), Target: web.OriginForm(r.RequestURI), Header: r.Header, Body: body}
}
