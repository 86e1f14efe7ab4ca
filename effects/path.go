package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/scenario"
)

// A PathObserver is also told how a path changes, its first state included.
type PathObserver interface {
	LinkObserver
	// Change says what holds from c.At on, which is since the container's start.
	Change(c scenario.Change)
}

// PathOptions are what a scenario does not say.
type PathOptions struct {
	Resize bool          // the queue's limit follows every change, not just one of the route or of the queue
	Pause  time.Duration // for how long nothing is sent or delivered after a change of route
	Shift  bool          // by how much what is then under way is delivered later, and not just after the pause

	LossFrom, JitterFrom *rand.Rand // for states that have any
	Seen                 PathObserver
	Beyond               Observer            // is told of random loss
	Flies                func(time.Duration) // is told how long what is not lost takes behind the link; may be nil
}

// Path is a path that changes: a droptail queue, a rate, random loss, a delay, in this order, as phantomlink has them. What
// happens at the very time of a change is still as before it, but for arrivals. A change loses nothing, and packets of one
// route never overtake each other; those that are sent on another overtake what is slower.
type Path struct {
	PathOptions
	scenario.State
	link  *Rated
	queue *queue.Droptail

	script *scenario.Player
	clock  *Clock
	next   scenario.Change // of the script, if there are
	more   bool
	said   scenario.State // by the script, last
	fresh  bool           // the script has said nothing yet
	now    time.Duration

	flying heap                     // sent, and not delivered
	gate   time.Duration            // before which nothing of that is
	landed line                     // delivered before the last pause, and not fetched yet
	last   time.Duration            // when the last packet of this route is delivered
	routes map[uint64]time.Duration // the same of the others
}

// NewPath makes a path that changes as the script says, when the clock has begun; until then its first state holds.
func NewPath(script *scenario.Player, clock *Clock, o PathOptions) *Path {
	p := &Path{PathOptions: o, script: script, clock: clock, routes: map[uint64]time.Duration{}}
	first, _ := script.Next()
	packets, bytes := first.Limits()
	p.queue = queue.NewDroptail(queue.Config{Seen: o.Seen}, packets, bytes)
	p.link = NewRated(first.Rate, p.queue, o.Seen)
	p.Route, p.State.Queue, p.said = first.Route, first.Queue, first.State
	p.change(first)
	p.next, p.more = script.Next()
	return p
}

// Set changes everything at once, from now on: each quantity until the script gives it another value.
func (p *Path) Set(now time.Duration, s scenario.State) {
	p.Advance(now)
	p.change(scenario.Change{At: now, State: s})
}

// Holds is what holds at a time.
func (p *Path) Holds(now time.Duration) scenario.State {
	p.Advance(now)
	return p.State
}

// Play follows another script, which begins now, or when the clock began.
func (p *Path) Play(now time.Duration, script *scenario.Player, clock *Clock) {
	p.Advance(now)
	clock.Begin(now)
	p.script, p.clock, p.fresh = script, clock, true
	p.next, p.more = script.Next()
	p.Advance(now)
}

// change is about what was not sent or delivered by then.
func (p *Path) change(c scenario.Change) {
	p.send(c.At)
	before := p.State
	p.State = c.State
	if p.Route != before.Route {
		p.reroute(c.At, before.Route)
	}
	if p.Resizes(&before, p.Resize) {
		p.queue.Resize(p.Limits())
	}
	ready := p.gate
	if p.Down {
		ready = never
	}
	p.link.Set(c.At, p.Rate, max(ready, c.At))
	p.Seen.Change(c)
}

func (p *Path) reroute(now time.Duration, before uint64) {
	p.routes[before] = p.last
	p.last = p.routes[p.Route]
	if p.Pause == 0 {
		return
	}
	for k, ok := p.land(now); ok; k, ok = p.land(now) {
		p.landed.add(k)
	}
	p.gate = now + p.Pause
	if !p.Shift {
		return
	}
	for i := range p.flying.items {
		p.flying.items[i].Due += p.Pause
	}
	for route := range p.routes {
		p.routes[route] += p.Pause
	}
	p.last += p.Pause
}

// changes is when the script's next change is.
func (p *Path) changes() time.Duration {
	if began, ok := p.clock.Began(); ok && p.more {
		return max(began+p.next.At, p.now) // the other direction may have started the clock a moment ago
	}
	return never
}

// Advance does what is due until now, whether anybody asks or not.
func (p *Path) Advance(now time.Duration) {
	for at := p.changes(); at <= now; at = p.changes() {
		p.next.At = at
		said := p.next.State
		if !p.fresh {
			p.next.State = said.Over(p.State, p.said)
		}
		p.said, p.fresh = said, false
		p.change(p.next)
		p.next, p.more = p.script.Next()
	}
	p.send(now)
	p.now = now
}

// send lets fly what has left the link by now.
func (p *Path) send(now time.Duration) {
	for k, ok := p.link.Pop(now); ok; k, ok = p.link.Pop(now) {
		if p.Loss > 0 && p.LossFrom.Float64() < p.Loss {
			drop(p.Beyond, k.Due, k, randomLoss)
			continue
		}
		left := k.Due
		k.Due += p.Delay
		if p.Jitter > 0 {
			k.Due += time.Duration(p.JitterFrom.Int64N(int64(p.Jitter) + 1))
		}
		k.Due = max(k.Due, p.last)
		p.last = k.Due
		fly(p.Flies, k.Due-left)
		p.flying.add(k)
	}
}

// land delivers a packet.
func (p *Path) land(now time.Duration) (packet.Packet, bool) {
	if now < p.gate {
		return packet.Packet{}, false
	}
	k, ok := p.flying.Pop(now)
	k.Due = max(k.Due, p.gate)
	return k, ok
}

// Push hands over a packet that arrived at now.
func (p *Path) Push(now time.Duration, k packet.Packet) {
	p.clock.see(now, k)
	p.Advance(now)
	if p.Down {
		p.Seen.Arrive(now, k)
		drop(p.Seen, now, k, linkDown)
		return
	}
	k.Due = now // the queue has no order but that
	p.link.Push(now, k)
}

// Pop returns the next packet whose time has come.
func (p *Path) Pop(now time.Duration) (packet.Packet, bool) {
	p.Advance(now)
	if k, ok := p.landed.Pop(now); ok {
		return k, true
	}
	return p.land(now)
}

// Next says when Pop may next have something.
func (p *Path) Next() (time.Duration, bool) {
	at := time.Duration(never)
	if t, ok := p.link.Next(); ok {
		at = t
	}
	if t, ok := p.flying.Next(); ok {
		at = min(at, max(t, p.gate))
	}
	if t, ok := p.landed.Next(); ok {
		at = min(at, t)
	}
	if p.link.busy || p.queue.Len() > 0 { // a change may let it leave earlier
		at = min(at, p.changes())
		if _, began := p.clock.Began(); !began && p.more {
			at = min(at, p.now+p.next.At) // no earlier than that, since it has not begun yet
		}
	}
	return at, at != never
}
