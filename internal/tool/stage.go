package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/control"
	"gomahi/meter"
)

// Variables that tools leave to those within them: the sockets of the outermost one, of the one that draws, and of
// the innermost.
const (
	runVar    = "GM_RUN"
	meterVar  = "GM_METER"
	withinVar = "GM_WITHIN"
)

// stage is what others can see of a running tool: what GET /v1/stage answers.
type stage struct {
	Tool    string        `json:"tool"`
	Title   string        `json:"title"` // the tool and its own arguments
	PID     int           `json:"pid"`
	Run     string        `json:"run"`    // the socket of the outermost tool around it, or its own
	Within  string        `json:"within"` // that of the one right around it, if there is one
	Command []string      `json:"command"`
	Since   time.Duration `json:"since_ns"` // CLOCK_MONOTONIC
	Linked  bool          `json:"linked"`   // arrivals and departures differ
	Graphs  []shown       `json:"graphs"`

	up, down *meter.Direction
	steering *steering
	guests   guests
}

// shown is one of a stage's graphs.
type shown struct {
	Direction string `json:"direction"`
	What      string `json:"what"`
}

// Graphs of a stage.
var (
	rates  = []shown{{"uplink", meter.Rate}, {"downlink", meter.Rate}}
	delays = []shown{{"uplink", meter.Delay}, {"downlink", meter.Delay}}
)

// newStage makes the stages of a link ones that can be changed, and counts what they do, once somebody wants to know.
func newStage(t Tool, l *Link, own, command []string, up, down *tally, rouse *atomic.Pointer[func()]) *stage {
	name := t.Grammar().Name
	s := &stage{Tool: name, Title: strings.Join(append([]string{name}, own...), " "), PID: os.Getpid(), Command: command,
		Since: meter.Clock() - time.Since(l.Start), Linked: true, Graphs: rates}
	if d, ok := t.(interface {
		shows() (all []shown, linked bool)
	}); ok {
		s.Graphs, s.Linked = d.shows()
	}
	uplink, downlink := newHelm(l.Uplink, &l.Up, up), newHelm(l.Downlink, &l.Down, down)
	l.Uplink, l.Downlink = uplink, downlink
	l.Finish = append([]func(time.Duration) error{uplink.finish, downlink.finish}, l.Finish...) // before the recorder's
	s.steering = newSteering(name, l, uplink, downlink, rouse)
	s.up, s.down = direct(&l.Up, up, s.Since), direct(&l.Down, down, s.Since)
	return s
}

func direct(m *measures, t *tally, zero time.Duration) *meter.Direction {
	t.counter = m.counter
	return &meter.Direction{Counter: m.counter, Zero: zero, Capacity: m.capacity}
}

func (s *stage) direction(name string) *meter.Direction {
	if name == "downlink" {
		return s.down
	}
	return s.up
}

// graphs makes those of a stage out of Sources.
func (s *stage) graphs(which []shown, source func(shown) meter.Source) (all []meter.Graph) {
	for _, g := range which {
		all = append(all, meter.Graph{Title: s.Title, Direction: g.Direction, What: g.What, Linked: s.Linked, Since: s.Since, Source: source(g)})
	}
	return all
}

// count begins to count.
func (s *stage) count() {
	s.up.Counter.SwitchOn()
	s.down.Counter.SwitchOn()
}

// columns are what GET /v1/columns answers: of each, bytes arrived and departed, packets dropped, delay in nanoseconds,
// bytes of capacity.
type columns struct {
	Columns [][5]int64 `json:"columns"`
	Settled int        `json:"settled"`
}

const mostColumns = 10_000

// serve answers at the tool's socket.
func (s *stage) serve(c *control.Server) {
	s.Run = c.Path
	for variable, to := range map[string]*string{runVar: &s.Run, withinVar: &s.Within} {
		if outer := os.Getenv(variable); outer != "" {
			if _, err := os.Stat(outer); err == nil {
				*to = outer
			}
		}
	}
	os.Setenv(runVar, s.Run)
	os.Setenv(withinVar, c.Path)
	s.steering.serve(c, s.Title)
	c.Handle("GET /v1/stage", func(*control.Request) (any, error) { return s, nil })
	c.Handle("GET /v1/columns", func(r *control.Request) (any, error) {
		q := r.Query
		width, err1 := strconv.ParseInt(q.Get("width_ms"), 10, 64)
		first, err2 := strconv.ParseInt(q.Get("first"), 10, 64)
		n, err3 := strconv.Atoi(q.Get("count"))
		direction := q.Get("direction")
		if errors.Join(err1, err2, err3) != nil || width < 1 || width > meter.Bins || first < 0 || first > 1<<62/int64(time.Millisecond)/width-mostColumns ||
			n < 1 || n > mostColumns || int64(n)*width > 2*meter.Bins ||
			direction != "uplink" && direction != "downlink" {
			return nil, &control.Refusal{Status: 400, Text: "direction is uplink or downlink, width_ms at most ten minutes, first a column's " +
				"number, count at most 10000 and twenty minutes"}
		}
		s.count()
		into := make([]meter.Sum, n)
		a := columns{Settled: s.direction(direction).Columns(time.Duration(width)*time.Millisecond, first, into)}
		for _, c := range into {
			a.Columns = append(a.Columns, [5]int64{int64(c.Arrived), int64(c.Departed), int64(c.Dropped), int64(c.Delay), int64(c.Capacity)})
		}
		return a, nil
	})
	c.Handle("POST /v1/guests", s.guests.answer)
	c.Serve()
}

// remote is a direction of another process's stage as a Source. It is asked in the background: a process may be stopped.
type remote struct {
	client    *control.Client
	direction string

	lock  sync.Mutex
	want  asked
	have  asked
	known []meter.Sum
	ready int // of these are settled
	gone  bool
}

type asked struct {
	width time.Duration
	first int64
	n     int
}

// every is how often a remote is asked.
const every = 100 * time.Millisecond

func newRemote(c *control.Client, direction string) *remote {
	r := &remote{client: c, direction: direction}
	go r.poll()
	return r
}

func (r *remote) poll() {
	for ; ; time.Sleep(every) {
		r.lock.Lock()
		want := r.want
		r.lock.Unlock()
		if want.n == 0 {
			continue
		}
		var a columns
		err := r.client.Get(fmt.Sprintf("/v1/columns?direction=%s&width_ms=%d&first=%d&count=%d", r.direction, want.width/time.Millisecond,
			want.first, want.n), &a)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
			r.lock.Lock()
			r.gone = true
			r.lock.Unlock()
			return
		}
		if err != nil {
			continue
		}
		known := make([]meter.Sum, len(a.Columns))
		for i, c := range a.Columns {
			known[i] = meter.Sum{Arrived: uint64(c[0]), Departed: uint64(c[1]), Dropped: uint64(c[2]), Delay: time.Duration(c[3]), Capacity: uint64(c[4])}
		}
		r.lock.Lock()
		r.have, r.known, r.ready = want, known, min(a.Settled, len(known))
		r.lock.Unlock()
	}
}

// Columns is the Source's.
func (r *remote) Columns(width time.Duration, first int64, into []meter.Sum) (settled int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.want = asked{width, max(0, first), min(len(into), mostColumns)}
	if r.have.width != width || r.have.first > first {
		return 0
	}
	skip := first - r.have.first
	if skip < int64(len(r.known)) {
		copy(into, r.known[skip:])
	}
	return int(min(max(0, int64(r.ready)-skip), int64(len(into))))
}

func (r *remote) over() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.gone
}

// guests are the stages within, which send their graphs up.
type guests struct {
	lock sync.Mutex
	all  []meter.Graph
}

// A guest says where its socket is.
type guest struct {
	Socket string `json:"socket"`
}

func (g *guests) answer(r *control.Request) (any, error) {
	var who guest
	if err := r.Read(&who); err != nil {
		return nil, &control.Refusal{Status: 400, Text: err.Error()}
	}
	graphs, err := remoteGraphs(control.Dial(who.Socket))
	if err != nil {
		return nil, &control.Refusal{Status: 400, Text: err.Error()}
	}
	g.lock.Lock()
	g.all = append(g.all, graphs...)
	g.lock.Unlock()
	return nil, nil
}

// graphs are those of the guests that are still there.
func (g *guests) graphs() []meter.Graph {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.all = slices.DeleteFunc(g.all, func(one meter.Graph) bool { return one.Source.(*remote).over() })
	return slices.Clone(g.all)
}

func remoteGraphs(c *control.Client) ([]meter.Graph, error) {
	var s stage
	if err := c.Get("/v1/stage", &s); err != nil {
		return nil, err
	}
	return s.graphs(s.Graphs, func(g shown) meter.Source { return newRemote(c, g.Direction) }), nil
}
