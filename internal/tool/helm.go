package tool

import (
	"sync/atomic"
	"time"

	"gomahi/effects"
	"gomahi/internal/report"
	"gomahi/meter"
	"gomahi/packet"
	"gomahi/scenario"
	"gomahi/shell"
)

// knobs are what may be changed of a direction while it runs.
type knobs struct {
	steered effects.Steered                                       // nil: nothing, but that it may be down
	links   bool                                                  // it sees itself to what being down means
	now     scenario.State                                        // at the start
	holds   func(time.Duration) scenario.State                    // of a stage that changes by itself, and tells of it
	play    func(time.Duration, *scenario.Player, *effects.Clock) // plays another scenario
	tell    func(scenario.Change)                                 // is told of changes, beside the report
	takes   []string                                              // quantities
	refuses string                                                // why it takes no others that its tool has
	check   func(scenario.State) error
	queue   string // in words, until it is changed
	trace   string // the file that says when it may send
	buffer  float64
}

// steer says which quantities of a direction may be changed, and what they are.
func (m *measures) steer(s effects.Steered, now scenario.State, takes ...string) {
	m.knobs.steered, m.knobs.now, m.knobs.takes = s, now, takes
}

// A wish is what somebody wants of a direction: that it is changed, or just to know how it is.
type wish struct {
	request *request
	change  func(*scenario.State) // nil for none
	script  *scenario.Player      // to be played, if there is one,
	says    []copier              // and what it is about
	answer  view
	done    chan struct{} // closed when it is fulfilled, or will not be
}

// A request is the wishes for both directions: either all of them are fulfilled, or none.
type request struct {
	fate  atomic.Int32
	clock *effects.Clock // of the scripts
}

// What becomes of a request.
const (
	waiting = iota
	granted
	withdrawn
)

// grant says whether the wishes are to be fulfilled.
func (r *request) grant() bool {
	return r.fate.CompareAndSwap(waiting, granted) || r.fate.Load() == granted
}

// withdraw says that none of the wishes will be fulfilled, unless one was.
func (r *request) withdraw() bool { return r.fate.CompareAndSwap(waiting, withdrawn) }

// A view is what a direction's goroutine tells of it.
type view struct {
	at      time.Duration
	state   scenario.State
	in, out report.Count
	drops   counts
	others  counts
}

// A helm is where one direction of a level is changed and looked at: by the goroutine that carries its packets, between two of
// them, so that neither waits for the other and packets take no lock.
type helm struct {
	shell.Stage
	knobs
	measures *measures
	drops    *tally
	counter  *meter.Counter // of the meters, if the stage does not see to that itself
	wish     atomic.Pointer[wish]

	changed bool
	down    bool // where that is seen to here
	script
	in, out report.Count
}

func newHelm(stage shell.Stage, m *measures, drops *tally) *helm {
	h := &helm{Stage: stage, knobs: m.knobs, measures: m, drops: drops}
	if m.counter == nil {
		m.counter = meter.NewCounter(0)
		h.counter = m.counter
	}
	return h
}

// Push hands on a packet.
func (h *helm) Push(now time.Duration, p packet.Packet) {
	if h.more || h.wish.Load() != nil {
		h.advance(now)
	}
	h.in.Packets += uint64(p.Len())
	h.in.Bytes += uint64(p.Size)
	if h.counter != nil {
		h.counter.Arrive(now, p)
	}
	if h.down {
		for q := range p.Each {
			h.drops.Drop(now, q, "link down")
			q.Release()
		}
		return
	}
	h.Stage.Push(now, p)
}

// Pop is the stage's. What it lets go counts at the time at which it is due: when it was noticed is the machine's doing.
func (h *helm) Pop(now time.Duration) (p packet.Packet, ok bool) {
	if h.more || h.wish.Load() != nil {
		h.advance(now)
	}
	if p, ok = h.Stage.Pop(now); ok {
		h.out.Packets += uint64(p.Len())
		h.out.Bytes += uint64(p.Size)
		if h.counter != nil {
			h.counter.Depart(p.Due, p, -1)
		}
	}
	return p, ok
}

// Whole is the stage's.
func (h *helm) Whole() bool { return effects.Whole(h.Stage) }

// Done is the stage's.
func (h *helm) Done() bool {
	d, ok := h.Stage.(interface{ Done() bool })
	return ok && d.Done()
}

// advance does what is to be done between two packets.
func (h *helm) advance(now time.Duration) {
	if h.more {
		h.follow(now)
	}
	if w := h.wish.Load(); w != nil {
		h.fulfil(now, w)
	}
}

// finish notes the changes until the end, which no packet met.
func (h *helm) finish(at time.Duration) error {
	if h.more {
		h.follow(at)
	}
	return nil
}

// Next is the stage's, or when a script changes what packets wait for.
func (h *helm) Next() (time.Duration, bool) {
	at, ok := h.Stage.Next()
	if h.more && h.drops.undelivered(h.in.Packets, h.out.Packets) > 0 {
		if c := h.changes(); !ok || c < at {
			return c, true
		}
	}
	return at, ok
}

// fulfil does what is wanted from now on.
func (h *helm) fulfil(now time.Duration, w *wish) {
	if h.wish.CompareAndSwap(w, nil) && w.request.grant() {
		h.obey(now, w)
		h.look(now, &w.answer)
	}
	close(w.done)
}

func (h *helm) obey(now time.Duration, w *wish) {
	switch {
	case w.script != nil && h.play != nil:
		h.play(now, w.script, w.request.clock)
	case w.script != nil:
		h.begin(now, w)
	}
	if w.change == nil {
		return
	}
	if h.holds != nil {
		s := h.holds(now)
		w.change(&s)
		h.steered.Set(now, s)
		return
	}
	s := h.now
	w.change(&s)
	h.change(scenario.Change{At: now, State: s})
}

// change makes a state that of a stage that does not change by itself.
func (h *helm) change(c scenario.Change) {
	if !h.changed {
		h.changed = true
		h.measures.change(scenario.Change{State: h.now})
	}
	h.now = c.State
	if h.steered != nil {
		h.steered.Set(c.At, h.now)
	}
	h.down = h.now.Down && !h.links
	h.measures.change(c)
	if h.tell != nil {
		h.tell(c)
	}
}

func (h *helm) look(now time.Duration, v *view) {
	v.at, v.state, v.in, v.out = now, h.now, h.in, h.out
	if h.holds != nil {
		v.state = h.holds(now)
	}
	v.drops, v.others = append(v.drops[:0], h.drops.drops...), append(v.others[:0], h.drops.others...)
}
