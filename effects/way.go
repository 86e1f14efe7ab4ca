package effects

import (
	"math/rand/v2"
	"time"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/scenario"
)

// A Bottleneck is a link that a Way begins with: Rated or Traced.
type Bottleneck interface {
	Stage
	// Set changes the rate, where that is not a schedule's, and before what time nothing is sent.
	Set(now time.Duration, rate int64, ready time.Duration)
}

// A Way is a link with random loss and then a delay behind it. Each of them may change; packets keep their order.
type Way struct {
	WayOptions
	line // sent, and not delivered

	beyond bool // there is something behind the link, or was
	loss   float64
	delay  time.Duration
	down   bool
	last   time.Duration // when the last packet is delivered
}

// WayOptions are what a state does not say.
type WayOptions struct {
	Link   Bottleneck
	Queue  queue.Sized                               // the link's
	Limits func(scenario.State) (packets, bytes int) // of the queue in a state
	Random *rand.Rand                                // decides on losses
	Seen   LinkObserver                              // the link's
	Lost   Observer                                  // is told of random loss
	Flies  func(time.Duration)                       // is told how long what is not lost takes behind the link; may be nil
}

// NewWay makes a Way whose link is up, and has the queue and the rate of the state already.
func NewWay(s scenario.State, o WayOptions) *Way {
	return &Way{WayOptions: o, beyond: s.Loss > 0 || s.Delay > 0, loss: s.Loss, delay: s.Delay}
}

// Set changes everything at once.
func (w *Way) Set(now time.Duration, s scenario.State) {
	w.send(now) // what has left the link by now is as before
	w.beyond, w.loss, w.delay, w.down = true, s.Loss, s.Delay, s.Down
	w.Queue.Resize(w.Limits(s))
	ready := now
	if w.down {
		ready = never
	}
	w.Link.Set(now, s.Rate, ready)
}

// send lets go beyond the link what has left it by now.
func (w *Way) send(now time.Duration) {
	for k, ok := w.Link.Pop(now); ok; k, ok = w.Link.Pop(now) {
		if w.loss > 0 && w.Random.Float64() < w.loss {
			drop(w.Lost, k.Due, k, randomLoss)
			continue
		}
		w.last = max(k.Due+w.delay, w.last)
		fly(w.Flies, w.last-k.Due)
		k.Due = w.last
		w.add(k)
	}
}

func fly(told func(time.Duration), d time.Duration) {
	if told != nil {
		told(d)
	}
}

// Push hands over a packet that arrived at now.
func (w *Way) Push(now time.Duration, p packet.Packet) {
	if w.beyond {
		w.send(now)
	}
	if w.down {
		w.Seen.Arrive(now, p)
		drop(w.Seen, now, p, linkDown)
		return
	}
	w.Link.Push(now, p)
}

// Pop returns the next packet whose time has come.
func (w *Way) Pop(now time.Duration) (packet.Packet, bool) {
	if !w.beyond {
		return w.Link.Pop(now)
	}
	w.send(now)
	return w.line.Pop(now)
}

// Next says when Pop may next have something.
func (w *Way) Next() (time.Duration, bool) {
	at, ok := w.Link.Next()
	if due, flying := w.line.Next(); flying && (!ok || due < at) {
		return due, true
	}
	return at, ok
}

// Done says that the link has ended for good; behind it something may still be under way.
func (w *Way) Done() bool {
	d, ends := w.Link.(interface{ Done() bool })
	return ends && d.Done()
}
