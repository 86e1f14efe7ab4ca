// Package record writes down what a link does: mahimahi's log, pcapng, and JSON lines; and what a random effect decides,
// so that it can be repeated. A Recorder notes events on the packet path, where it neither formats nor writes nor waits;
// a goroutine of its own does.
package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"gomahi/packet"
	"gomahi/scenario"
)

// kind of an event.
type kind uint8

const (
	arrival kind = iota
	departure
	loss
	decision
	change
)

// event is what is noted of a packet, or a change of the path.
type event struct {
	at      time.Duration
	arrived time.Duration
	number  int64 // of the opportunity in which it departed; or the decision, of
	hash    uint64
	size    int32 // of the IP packet
	packets int32 // that the link holds after it, the one under way included
	bytes   int32
	len     int32 // of what is in data
	kind    kind
	beyond  bool // it had left the link before it was lost
	reason  string
	change  *scenario.Change
}

// A batch is a piece of the record on its way to the writer.
type batch struct {
	events []event
	data   []byte // of the packets: a virtio header and the packet, one after the other
}

const (
	batchEvents = 512
	batchBytes  = 256 << 10
	handover    = 20 * time.Millisecond // how old an event may become on the packet path while others follow
)

// A sink makes something readable of events.
type sink interface {
	event(e *event, data []byte) error
	// end says that nothing happens any more before the given time, nor later.
	end(at time.Duration) error
}

// output is a sink and where it writes.
type output struct {
	sink
	name string
	w    *bufio.Writer
	to   io.WriteCloser
	err  error
}

// A Recorder notes what one direction of a link does. It is a LinkObserver of package effects.
type Recorder struct {
	outputs []*output
	most    int // bytes of a packet that somebody wants

	now            batch
	since          time.Duration
	full, empty    chan batch
	written        chan struct{}
	packets, bytes int32
	bufs           [][]byte
	room           [packet.HeaderRoom]byte
}

// New makes a Recorder without outputs.
func New() *Recorder {
	return &Recorder{full: make(chan batch, 256), empty: make(chan batch, 8), written: make(chan struct{}),
		bufs: make([][]byte, 0, packet.Parts)}
}

func (r *Recorder) add(name string, to io.WriteCloser, most int, make func(w *bufio.Writer) sink) {
	w := bufio.NewWriterSize(to, 64<<10)
	r.outputs = append(r.outputs, &output{sink: make(w), name: name, w: w, to: to})
	r.most = max(r.most, most)
}

// Start begins to write.
func (r *Recorder) Start() {
	r.now = fresh()
	go r.write()
}

func fresh() batch { return batch{events: make([]event, 0, batchEvents)} }

// Arrive notes that p has come to the link.
func (r *Recorder) Arrive(now time.Duration, p packet.Packet) {
	r.packets++
	r.bytes += p.Size
	r.note(event{at: now, size: p.Size, kind: arrival}, p)
}

// Depart notes that p has left the link.
func (r *Recorder) Depart(at time.Duration, p packet.Packet, opportunity int64) {
	r.packets--
	r.bytes -= p.Size
	r.note(event{at: at, arrived: p.Arrival, number: opportunity, size: p.Size, kind: departure}, p)
}

// Drop notes that the link has dropped p.
func (r *Recorder) Drop(now time.Duration, p packet.Packet, reason string) {
	r.packets--
	r.bytes -= p.Size
	r.note(event{at: now, arrived: p.Arrival, size: p.Size, kind: loss, reason: reason}, p)
}

// Change notes that the path has changed.
func (r *Recorder) Change(c scenario.Change) {
	r.note(event{at: c.At, kind: change, change: &c}, packet.Packet{})
}

// Beyond is the Recorder of what is lost after the link.
func (r *Recorder) Beyond() Beyond { return Beyond{r} }

// Beyond notes what is lost after the link.
type Beyond struct{ r *Recorder }

// Drop notes that p was lost after the link.
func (b Beyond) Drop(now time.Duration, p packet.Packet, reason string) {
	b.r.note(event{at: now, arrived: p.Arrival, size: p.Size, kind: loss, reason: reason, beyond: true}, p)
}

func (r *Recorder) note(e event, p packet.Packet) {
	e.packets, e.bytes = r.packets, r.bytes
	if r.most > 0 && e.kind != change {
		before := len(r.now.data)
		r.bufs = p.Frame.Run(r.bufs[:0], r.room[:], int(p.Index), int(p.Index)+1)
		for _, b := range r.bufs {
			b = b[:min(len(b), before+packet.VnetLen+r.most-len(r.now.data))]
			r.now.data = append(r.now.data, b...)
		}
		e.len = int32(len(r.now.data) - before)
	}
	if len(r.now.events) == 0 {
		r.since = e.at
	}
	r.now.events = append(r.now.events, e)
	if len(r.now.events) >= batchEvents || len(r.now.data) >= batchBytes || e.at-r.since > handover {
		r.hand()
	}
}

// hand gives the batch to the writer. If that is so far behind that it cannot take it, the batch grows on: no packet
// waits for a disk.
func (r *Recorder) hand() {
	select {
	case r.full <- r.now:
	default:
		return
	}
	select {
	case r.now = <-r.empty:
	default:
		r.now = fresh()
	}
}

func (r *Recorder) write() {
	defer close(r.written)
	for b := range r.full {
		at := 0
		for i := range b.events {
			e := &b.events[i]
			data := b.data[at : at+int(e.len)]
			at += int(e.len)
			for _, o := range r.outputs {
				if o.err == nil {
					o.err = o.event(e, data)
				}
			}
		}
		if len(r.full) == 0 {
			for _, o := range r.outputs {
				if o.err == nil {
					o.err = o.w.Flush()
				}
			}
		}
		if cap(b.events) <= 4*batchEvents {
			select {
			case r.empty <- batch{b.events[:0], b.data[:0]}:
			default:
			}
		}
	}
}

// Close writes what is left, when nothing more is noted: at is when the link ended. Errors name the file.
func (r *Recorder) Close(at time.Duration) (err error) {
	r.full <- r.now
	close(r.full)
	<-r.written
	for _, o := range r.outputs {
		if o.err == nil {
			o.err = o.end(at)
		}
		for _, last := range []func() error{o.w.Flush, o.to.Close} {
			if e := last(); o.err == nil {
				o.err = e
			}
		}
		if o.err != nil {
			err = errors.Join(err, fmt.Errorf("writing %s: %w", o.name, o.err))
		}
	}
	return err
}
