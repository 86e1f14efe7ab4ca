package effects

import (
	"math"
	"sort"
	"time"

	"gomahi/effects/queue"
	"gomahi/packet"
	"gomahi/trace"
)

// What a link with a schedule counts, as mahimahi does: an opportunity carries 1504 bytes, and a packet is 4 bytes longer
// than its IP packet (the TUN header that the original leaves on), so one of 1500 bytes uses exactly one opportunity.
const (
	Opportunity = 1504
	Overhead    = 4
)

// A LinkObserver is told what a link does, in the order of time.
type LinkObserver interface {
	Observer
	// Arrive says that p has come to the link; what becomes of it is said later, also if it does not even enter the queue.
	Arrive(now time.Duration, p packet.Packet)
	// Depart says that p's last byte left at the given time: with a schedule, in the opportunity of that number, counted
	// from 0 and through all periods.
	Depart(at time.Duration, p packet.Packet, opportunity int64)
}

// Unobserved is for links that nobody watches.
type Unobserved struct{}

func (Unobserved) Arrive(time.Duration, packet.Packet)        {}
func (Unobserved) Depart(time.Duration, packet.Packet, int64) {}
func (Unobserved) Drop(time.Duration, packet.Packet, string)  {}

// Traced is a link that delivers by a schedule, as mahimahi's: small packets share an opportunity, a packet may begin in
// one and end in the next, and what is left of one when the queue is empty is lost. Before a packet is queued, all
// opportunities up to its arrival are used up on what is there.
type Traced struct {
	out      line
	queue    queue.Queue
	schedule *trace.Schedule
	once     bool
	seen     LinkObserver

	down   bool
	base   time.Duration // when the present period began
	i      int           // the next opportunity within it
	before int64         // opportunities of earlier periods
	under  packet.Packet // the packet under way, while
	left   int           // of its bytes, is not 0
}

// NewTraced makes a link whose schedule begins at time 0, and repeats unless once.
func NewTraced(s *trace.Schedule, once bool, q queue.Queue, seen LinkObserver) *Traced {
	return &Traced{schedule: s, once: once, queue: q, seen: seen}
}

const never = math.MaxInt64

// at is the time of the next opportunity.
func (l *Traced) at() time.Duration {
	if l.i == l.schedule.Len() {
		return never // only once
	}
	return l.base + l.schedule.At(l.i)
}

func (l *Traced) step() {
	l.i++
	if l.i == l.schedule.Len() && !l.once {
		l.base += l.schedule.Period()
		l.before += int64(l.i)
		l.i = 0
	}
}

// skip passes the opportunities up to now, which nobody uses.
func (l *Traced) skip(now time.Duration) {
	if l.at() > now {
		return
	}
	n, period := l.schedule.Len(), l.schedule.Period()
	if k := (now - l.base) / period; k > 0 && !l.once {
		l.base += k * period
		l.before += int64(k) * int64(n)
		l.i = 0
	}
	l.i = sort.Search(n, func(i int) bool { return l.base+l.schedule.At(i) > now })
	if l.i == n {
		l.i--
		l.step()
	}
}

// advance uses all opportunities up to now.
func (l *Traced) advance(now time.Duration) {
	for {
		if l.down || l.left == 0 && l.queue.Len() == 0 {
			l.skip(now)
			return
		}
		at, number := l.at(), l.before+int64(l.i)
		if at > now {
			return
		}
		l.step()
		for room := Opportunity; room > 0; {
			if l.left == 0 {
				p, ok := l.queue.Pop(at)
				if !ok {
					break
				}
				l.under, l.left = p, int(p.Size)+Overhead
			}
			n := min(room, l.left)
			room, l.left = room-n, l.left-n
			if l.left == 0 {
				l.under.Due = at
				l.seen.Depart(at, l.under, number)
				l.out.add(l.under)
			}
		}
	}
}

// Push hands over a packet that arrived at now.
func (l *Traced) Push(now time.Duration, p packet.Packet) {
	l.advance(now)
	l.seen.Arrive(now, p)
	l.queue.Push(now, p)
}

// Pop returns the next packet whose time has come.
func (l *Traced) Pop(now time.Duration) (packet.Packet, bool) {
	l.advance(now)
	return l.out.Pop(now)
}

// Next says when Pop may next have something, or the link will be done.
func (l *Traced) Next() (time.Duration, bool) {
	switch due, ok := l.out.Next(); {
	case ok:
		return due, true
	case l.Done():
		return 0, false
	case !l.down && (l.left > 0 || l.queue.Len() > 0):
		return l.at(), true
	case l.once:
		return l.schedule.Period(), true
	}
	return 0, false
}

// Set takes the link down from now on, if it is ready never, or up. While it is down, its opportunities pass unused, also for a
// packet under way. There is no rate to change.
func (l *Traced) Set(now time.Duration, _ int64, ready time.Duration) {
	l.advance(now)
	l.down = ready == never
}

// Done says that the schedule has ended, and with it the link.
func (l *Traced) Done() bool { return l.i == l.schedule.Len() }

// Rated is a link of a rate: a packet leaves when its last bit has, and counts as its IP length.
type Rated struct {
	out   line
	queue queue.Queue
	seen  LinkObserver

	rate  int64         // bit/s, or 0 for no limit
	ready time.Duration // nothing is sent before, or never

	busy  bool
	under packet.Packet // while busy
	at    time.Duration // from when on
	left  int64         // bits of it are to be sent, times 1e9
	next  time.Duration // when it has left, at the first whole nanosecond, or the next one begins
}

// NewRated makes a link of the given rate, in bit/s and above 0.
func NewRated(rate int64, q queue.Queue, seen LinkObserver) *Rated {
	return &Rated{rate: rate, queue: q, seen: seen, next: never}
}

// Set changes the rate, in bit/s or 0 for no limit, from now on: of a packet under way, for the bits that are left. Before
// the time ready nothing is sent. Nothing is lost by it.
func (l *Rated) Set(now time.Duration, rate int64, ready time.Duration) {
	l.advance(now)
	if l.busy && l.at < now {
		l.left -= int64(now-l.at) * l.rate // fewer than there were, or it would have left
	}
	l.rate, l.ready, l.at = rate, ready, max(now, ready)
	l.plan()
}

// begin starts to send the next packet at a time; over is what of its bits was sent before, times 1e9.
func (l *Rated) begin(at time.Duration, over int64) {
	if l.under, l.busy = l.queue.Pop(at); l.busy {
		l.at, l.left = at, int64(l.under.Size)*8*int64(time.Second)-over
	}
	l.plan()
}

// plan says what comes next.
func (l *Rated) plan() {
	switch {
	case l.ready == never || !l.busy && l.queue.Len() == 0:
		l.next = never
	case !l.busy:
		l.next = l.ready
	case l.rate == 0:
		l.next = l.at
	default:
		l.next = l.at + time.Duration((l.left+l.rate-1)/l.rate)
	}
}

func (l *Rated) advance(now time.Duration) {
	for l.next <= now {
		at, over := l.next, int64(0)
		if l.busy {
			over = max(0, int64(at-l.at)*l.rate-l.left)
			l.under.Due = at
			l.seen.Depart(at, l.under, -1)
			l.out.add(l.under)
		}
		l.begin(at, over)
	}
}

// Push hands over a packet that arrived at now.
func (l *Rated) Push(now time.Duration, p packet.Packet) {
	l.advance(now)
	l.seen.Arrive(now, p)
	l.queue.Push(now, p)
	switch {
	case l.busy:
	case l.ready <= now:
		l.begin(now, 0)
	default:
		l.plan()
	}
}

// Pop returns the next packet whose time has come.
func (l *Rated) Pop(now time.Duration) (packet.Packet, bool) {
	l.advance(now)
	return l.out.Pop(now)
}

// Next says when Pop will next have something, or may.
func (l *Rated) Next() (time.Duration, bool) {
	if due, ok := l.out.Next(); ok {
		return due, true
	}
	return l.next, l.next != never
}
