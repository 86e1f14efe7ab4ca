package shell

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun"
)

// A Stage is one direction of an emulated link. Times are offsets from the container's start on the monotonic clock and
// never decrease between calls. A Stage is used by one goroutine.
type Stage interface {
	// Push hands over a packet that arrived at now. What was due before now is settled first, so that a burst never
	// meets a queue that should already have drained. The stage owns p until it Pops or Releases it.
	Push(now time.Duration, p packet.Packet)
	// Pop returns the next packet whose time has come, with its Due.
	Pop(now time.Duration) (packet.Packet, bool)
	// Next says when Pop will next have something, if nothing more is pushed.
	Next() (time.Duration, bool)
}

// A Stage that has a method Whole() bool which says true does the same to all packets of a frame, and so is given them as
// one: see packet.Packet.More.
//
// A Stage that has a method Done() bool ends with its link: when that says true and nothing is due any more, so does the
// container.

// How many frames are taken in before what is due is put out: few, so that they are still in the cache then. Small ones are
// taken in as long as they are few bytes, since datagrams leave together.
const (
	batch      = 4
	smallBatch = 32
	smallBytes = 48 << 10
)

// keepAwake asks the kernel to let no CPU fall so deep asleep that waking takes time, as cyclictest does
// (Documentation/power/pm_qos_interface.rst): for as long as this process lives, and where it may.
func keepAwake() {
	if fd, err := unix.Open("/dev/cpu_dma_latency", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Write(fd, make([]byte, 4))
	}
}

// Traffic counts one direction. Sizes are those of IP packets.
type Traffic struct {
	PacketsIn, BytesIn   uint64
	PacketsOut, BytesOut uint64
	Reads, Writes        uint64
	Refused              uint64 // packets that the receiving kernel refused, since they make no sense or its device is down
	Unread               uint64 // frames that the device dropped since its queue was full
	Late                 Lateness
	Delay                Histogram // from arrival to writing
	Unseen               Histogram // how long a packet may have waited to be read, at most; not known while asleep
}

// Took adds what o says of reading.
func (t *Traffic) Took(o *Traffic) {
	t.Reads, t.Unread, t.Unseen = o.Reads, o.Unread, o.Unseen
}

// Passed adds what all stages let pass untouched: what o has taken in and the first of them has not.
func (t *Traffic) Passed(o, first *Traffic) {
	n, size := o.PacketsIn-first.PacketsIn, o.BytesIn-first.BytesIn
	t.PacketsIn, t.PacketsOut = t.PacketsIn+n, t.PacketsOut+n
	t.BytesIn, t.BytesOut = t.BytesIn+size, t.BytesOut+size
}

// Wrote adds what o says of writing.
func (t *Traffic) Wrote(o *Traffic) {
	t.Writes, t.Refused, t.Late = o.Writes, o.Refused, o.Late
}

// A ferry carries packets from one device through a stage to another.
type ferry struct {
	from, to tun.Device
	stage    Stage
	ending   interface{ Done() bool } // the stage, if it may end
	whole    bool                     // it does the same to all packets of a frame
	realtime func(string)             // warns if that is not allowed; nil if it is not wanted
	resumed  *atomic.Int64            // when the job was last continued, offset in nanoseconds

	*sleeper
	stop    atomic.Bool // at this and the next it looks when roused
	drained atomic.Pointer[chan struct{}]
	done    chan struct{}
	over    chan struct{} // closed when the stage is Done

	alike packet.Packet // with the times of those last accounted for
	n     int           // how many these are

	join tun.Joiner // nil where to cannot
	row  packet.Row
	due  [packet.MostJoined]packet.Packet // those of the row

	pool    packet.Pool
	Traffic // to be read when done
}

func newFerry(from, to tun.Device, stage Stage, clock func() time.Duration, resumed *atomic.Int64) (*ferry, error) {
	s, err := newSleeper(from.FD(), clock)
	if err != nil {
		return nil, err
	}
	f := &ferry{from: from, to: to, stage: stage, sleeper: s, resumed: resumed,
		done: make(chan struct{}), over: make(chan struct{})}
	if w, ok := stage.(interface{ Whole() bool }); ok {
		f.whole = w.Whole()
	}
	s.turn = f.carry
	if j, ok := to.(tun.Joiner); ok && j.Joins() {
		f.join = j
	}
	return f, nil
}

// run carries packets until the end.
func (f *ferry) run() {
	defer close(f.done)
	defer func() { f.Late.settle(f.clock()+prove, time.Duration(f.resumed.Load())) }()
	if f.realtime != nil {
		a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if err := unix.SchedSetAttr(0, &a, 0); err != nil {
			f.realtime(fmt.Sprintf("no real-time priority (SCHED_FIFO): %v\nhint: it takes root, or an rtprio limit above 0 "+
				"(limits.conf(5))", err))
		}
	}
	f.ending, _ = f.stage.(interface{ Done() bool })
	f.sleeper.run()
}

// carry takes in what has arrived, lets the stage decide, and puts out what is due.
func (f *ferry) carry() (next time.Duration, then wish) {
	if f.stop.Load() {
		return 0, never
	}
	drained := f.drained.Load() // before reading, so that whatever was sent before it was asked is read
	more, err := f.takeIn()
	if err != nil {
		f.lose() // the device is gone; what has arrived is still delivered
	}
	f.putOut()
	f.Late.settle(f.clock(), time.Duration(f.resumed.Load()))
	next, waiting := f.stage.Next()
	switch {
	case more:
		return 0, again
	case waiting:
		return next, later
	}
	if f.ending != nil && f.ending.Done() {
		close(f.over)
		f.ending = nil
	}
	if drained != nil && f.drained.CompareAndSwap(drained, nil) {
		close(*drained)
	}
	return 0, unless
}

// takeIn says whether there may be more. A device gives its packets no stamp, so they arrive when they are read, but for one
// that comes alone after a long sleep: before it is read, it has to wake the ferry, and its way through cold caches takes
// longer than any other's. Those that come together arrive as they are read, lest they be drawn apart.
func (f *ferry) takeIn() (more bool, err error) {
	came, read := f.came, time.Duration(0)
	f.came = 0
	var enough time.Duration // an exact one takes in no more when something else is due
	hurried := false
	if f.exact && came == 0 {
		enough, hurried = f.stage.Next()
	}
	var lonely *packet.Frame // the first to come after a while, until it is known whether it has come alone
	for n, size := 0, 0; n < batch || n < smallBatch && size < smallBytes; n++ {
		frame, err := f.from.Read(&f.pool)
		now := f.clock()
		if lonely != nil {
			if frame != nil {
				came = read
			}
			f.push(lonely, came)
		}
		if frame == nil {
			if err == nil {
				f.empty = now
			}
			return false, err
		}
		f.Unseen.Add(now-f.empty, frame.Len())
		if lonely = nil; came > 0 && n == 0 {
			lonely, read = frame, now
		} else {
			f.push(frame, now)
		}
		size += frame.Bytes()
		if hurried && now >= enough {
			break
		}
	}
	return true, nil
}

func (f *ferry) push(frame *packet.Frame, now time.Duration) {
	f.Reads++
	f.PacketsIn += uint64(frame.Len())
	if f.whole {
		p := frame.Whole(now)
		f.BytesIn += uint64(p.Size)
		f.stage.Push(now, p)
		return
	}
	for i := range frame.Len() {
		p := frame.Packet(i, now)
		f.BytesIn += uint64(p.Size)
		f.stage.Push(now, p)
	}
}

// putOut writes what is due. Neighbours of one frame, or datagrams of one flow, that leave at the same moment leave together,
// so no packet leaves early.
func (f *ferry) putOut() {
	now := f.clock()
	for first, ok := f.stage.Pop(now); ok; {
		f.account(first, now)
		if f.join != nil && first.Frame.Len() == 1 && f.row.Start(first.Frame) {
			first, ok = f.putRow(first, now)
		} else {
			first, ok = f.putRun(first, now)
		}
	}
	f.settleAlike(now)
}

// putRun writes a packet with those that follow it in its frame, and returns the next.
func (f *ferry) putRun(first packet.Packet, now time.Duration) (next packet.Packet, ok bool) {
	n := first.Len()
	for next, ok = f.stage.Pop(now); ok && next.Frame == first.Frame && int(next.Index) == int(first.Index)+n && first.Alike(next); {
		f.account(next, now)
		n += next.Len()
		next, ok = f.stage.Pop(now)
	}
	f.write(first, n)
	return next, ok
}

// putRow writes a datagram, with which the row has begun, with those that follow it in its flow, and returns the next.
func (f *ferry) putRow(first packet.Packet, now time.Duration) (next packet.Packet, ok bool) {
	f.due[0] = first
	for next, ok = f.stage.Pop(now); ok && next.Frame.Len() == 1 && f.row.Add(next.Frame); next, ok = f.stage.Pop(now) {
		f.account(next, now)
		f.due[f.row.Len()-1] = next
	}
	due := f.due[:f.row.Len()]
	if len(due) == 1 || f.join.WriteRow(&f.row) != nil { // for which one may be to blame
		for _, p := range due {
			f.write(p, 1)
		}
		return next, ok
	}
	f.Writes++
	for _, p := range due {
		p.Release()
	}
	return next, ok
}

// write writes a packet and the n-1 after it in its frame, and gives them up.
func (f *ferry) write(first packet.Packet, n int) {
	f.Writes++
	if err := f.to.Write(first.Frame, int(first.Index), int(first.Index)+n); err != nil {
		f.Refused += uint64(n)
	}
	first.More = uint16(n - 1)
	first.Release()
}

// account counts a packet that leaves now. Of one frame most have the same times, and these enter the histograms once.
func (f *ferry) account(p packet.Packet, now time.Duration) {
	f.PacketsOut += uint64(p.Len())
	f.BytesOut += uint64(p.Size)
	if p.Due != f.alike.Due || p.Arrival != f.alike.Arrival {
		f.settleAlike(now)
		f.alike.Due, f.alike.Arrival = p.Due, p.Arrival
	}
	f.n += p.Len()
}

func (f *ferry) settleAlike(now time.Duration) {
	if f.n > 0 {
		f.Late.note(f.alike.Due, now, f.n)
		f.Delay.Add(now-f.alike.Arrival, f.n)
		f.n = 0
	}
}

// drain returns a channel that is closed when, after the call, all that was sent has been delivered.
func (f *ferry) drain() <-chan struct{} {
	c := make(chan struct{})
	f.drained.Store(&c)
	f.rouse()
	return c
}

// end stops the ferry and waits for it.
func (f *ferry) end() {
	f.stop.Store(true)
	f.rouse()
	<-f.done
}
