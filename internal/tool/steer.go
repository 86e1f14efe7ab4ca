package tool

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gomahi/internal/cli"
	"gomahi/internal/control"
	"gomahi/internal/report"
)

// How long the goroutines of both directions may take to answer: they do so at once unless the link has not begun, or ended.
const (
	lookFor = 300 * time.Millisecond
	setFor  = 2 * time.Second
)

// steering is how a level is changed and looked at, from its socket.
type steering struct {
	tool  string
	link  *Link
	sides [2]*side
	rouse *atomic.Pointer[func()] // wakes who carries the packets

	lock sync.Mutex // of one request at a time
}

// side is one direction of a steering.
type side struct {
	name string
	*helm
	last view
}

func newSteering(tool string, l *Link, up, down *helm, rouse *atomic.Pointer[func()]) *steering {
	s := &steering{tool: tool, link: l, rouse: rouse, sides: [2]*side{{name: "uplink", helm: up}, {name: "downlink", helm: down}}}
	for i := range s.sides {
		s.sides[i].last.state = s.sides[i].helm.knobs.now
	}
	return s
}

// ask has wishes fulfilled, of a request for both directions. Errors are for who asked.
func (s *steering) ask(r *request, wishes [2]*wish, within time.Duration) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	take := func() { // back
		for i := range s.sides {
			s.sides[i].wish.CompareAndSwap(wishes[i], nil)
		}
	}
	for i := range s.sides {
		w := wishes[i]
		w.request, w.done = r, make(chan struct{})
		if !s.sides[i].wish.CompareAndSwap(nil, w) { // one that was late
			r.withdraw()
			take()
			return &control.Refusal{Status: 503, Text: "the change before is not in effect yet\nhint: it will be when the link carries packets"}
		}
	}
	if rouse := s.rouse.Load(); rouse != nil {
		(*rouse)()
	}
	late := time.After(within)
	for i := range s.sides {
		select {
		case <-wishes[i].done:
			s.sides[i].last = wishes[i].answer
		case <-late:
			if !r.withdraw() {
				return &control.Refusal{Status: 503, Text: "the change is in effect in one direction, and not yet in the other\nhint: it will be when that carries packets"}
			}
			take()
			return &control.Refusal{Status: 503, Text: "nothing was changed: the link has not begun to carry packets, or has ended"}
		}
	}
	return nil
}

// sideState is a direction as GET /v1/state has it. Of the quantities, those are there that the level has.
type sideState struct {
	At      int64                   `json:"at_ns"` // since the start
	Takes   []string                `json:"takes"` // what may be set
	Delay   *float64                `json:"delay_ms,omitempty"`
	Rate    *int64                  `json:"rate_bits_per_second,omitempty"` // 0 is no limit
	Trace   string                  `json:"trace,omitempty"`                // in place of a rate
	Loss    *float64                `json:"loss,omitempty"`
	Jitter  *float64                `json:"jitter_ms,omitempty"`
	Queue   string                  `json:"queue,omitempty"`
	Link    string                  `json:"link"` // "up" or "down"
	In      report.Count            `json:"in"`
	Added   uint64                  `json:"added,omitempty"` // packets that were duplicated
	Out     report.Count            `json:"out"`
	Dropped map[string]report.Count `json:"dropped"` // by reason
	Held    uint64                  `json:"held"`    // packets that are in the link
}

// state is what GET /v1/state answers.
type state struct {
	Tool     string    `json:"tool"`
	Title    string    `json:"title"` // the tool and its own arguments
	PID      int       `json:"pid"`
	Replays  bool      `json:"replays"` // it can play a scenario
	Uplink   sideState `json:"uplink"`
	Downlink sideState `json:"downlink"`
}

func (d *side) state() sideState {
	v := d.last // by itself, since the next may come meanwhile
	s := sideState{At: int64(v.at), Takes: append(slices.Clone(d.takes), "link"), Trace: d.trace, Link: v.state.Link(), In: v.in, Out: v.out,
		Dropped: map[string]report.Count{}}
	for _, what := range d.takes {
		switch what {
		case "delay":
			s.Delay = new(inMS(v.state.Delay))
		case "rate":
			s.Rate = &v.state.Rate
		case "loss":
			s.Loss = &v.state.Loss
		case "jitter":
			s.Jitter = new(inMS(v.state.Jitter))
		}
	}
	if s.Queue = v.state.Queue.String(); s.Queue == "" || d.queue != "" && v.state.Queue.Unit == "" {
		s.Queue = d.queue
	}
	t := tally{drops: v.drops, others: v.others}
	for _, c := range v.drops {
		s.Dropped[c.name] = report.Count{Packets: c.n, Bytes: c.bytes}
	}
	s.Added, s.Held = t.copies(), t.undelivered(v.in.Packets, v.out.Packets)
	return s
}

// look is the state of both directions at this moment: or, before the link begins and after its end, the last.
func (s *steering) look() (up, down sideState) {
	s.ask(new(request), [2]*wish{new(wish), new(wish)}, lookFor)
	return s.known()
}

func (s *steering) known() (up, down sideState) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.sides[0].state(), s.sides[1].state()
}

// refused makes of a user's error what the socket answers.
func refused(err error) error {
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		return &control.Refusal{Status: 400, Text: err.Error()}
	}
	return err
}

// serve answers at the socket.
func (s *steering) serve(c *control.Server, title string) {
	answer := func(err error) (any, error) {
		if err != nil {
			return nil, refused(err)
		}
		up, down := s.known()
		return &state{s.tool, title, os.Getpid(), s.replays(), up, down}, nil
	}
	c.Handle("GET /v1/", func(*control.Request) (any, error) { return c.Names(), nil })
	c.Handle("GET /v1/state", func(*control.Request) (any, error) {
		s.look()
		return answer(nil)
	})
	c.Handle("POST /v1/set", func(r *control.Request) (any, error) {
		all, err := settings(r.Read)
		if err == nil {
			err = s.set(all)
		}
		return answer(err)
	})
	c.Handle("POST /v1/replay", func(r *control.Request) (any, error) {
		var p replay
		err := r.Read(&p)
		if err != nil {
			err = cli.Usagef(`post an object: {"scenario": "Time[ms],Delay[ms]\n0,20\n"}`, "%v", err)
		} else {
			err = s.replay(&p)
		}
		return answer(err)
	})
	c.Handle("GET /metrics", func(*control.Request) (any, error) {
		up, down := s.look()
		return metrics(s.tool, title, up, down), nil
	})
}
