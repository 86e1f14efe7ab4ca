package shell

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun"
	"gomahi/tun/tuntest"
)

const ms = time.Millisecond

// lost is the delay of a packet that does not arrive.
const lost = -1

// script is a stage that delays packets as it is told, one after the other, and from the last on all alike.
type script struct {
	delays []time.Duration
	queue  []packet.Packet // by Due
	head   int
}

func (s *script) Push(now time.Duration, p packet.Packet) {
	d := s.delays[0]
	if len(s.delays) > 1 {
		s.delays = s.delays[1:]
	}
	if d == lost {
		p.Release()
		return
	}
	p.Due = now + d
	s.queue = append(s.queue, p)
}

func (s *script) Pop(now time.Duration) (packet.Packet, bool) {
	if next, ok := s.Next(); !ok || next > now {
		return packet.Packet{}, false
	}
	p := s.queue[s.head]
	if s.head++; s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
	return p, true
}

func (s *script) Next() (time.Duration, bool) {
	if len(s.queue) == 0 {
		return 0, false
	}
	return s.queue[s.head].Due, true
}

// plain is a frame of one wire packet of 100 bytes, all of its payload the given one.
func plain(letter byte) []byte {
	b := make([]byte, packet.VnetLen+100)
	for i := packet.VnetLen + 20; i < len(b); i++ {
		b[i] = letter
	}
	return b
}

// run describes a written run: the virtio type, the size of a segment, the TCP sequence number, and a letter for each
// packet's payload.
func run(b []byte) string {
	ip := b[packet.VnetLen:]
	if ip[0] != 0x45 {
		return string(ip[len(ip)-1:])
	}
	text := ""
	for i := 40; i < len(ip); i += 1000 {
		text += string(ip[i])
	}
	return fmt.Sprintf("type %d size %d seq %d %s", b[1], binary.LittleEndian.Uint16(b[4:]),
		binary.BigEndian.Uint32(ip[24:]), text)
}

func runs(frames [][]byte) (out []string) {
	for _, b := range frames {
		out = append(out, run(b))
	}
	return out
}

// bench is a ferry between two devices without a thread, at a time that the test sets.
type bench struct {
	*ferry
	from, to *tuntest.Fake
	now      time.Duration
	resumed  atomic.Int64
}

func newBench(t *testing.T, delays ...time.Duration) *bench {
	t.Helper()
	return newBenchOf(t, &script{delays: delays})
}

func newBenchOf(t *testing.T, stage Stage) *bench {
	t.Helper()
	b := &bench{from: tuntest.New(), to: tuntest.New()}
	f, err := newFerry(b.from, b.to, stage, func() time.Duration { return b.now }, &b.resumed)
	if err != nil {
		t.Fatal(err)
	}
	b.ferry = f
	t.Cleanup(func() {
		f.release()
		b.from.Close()
		b.to.Close()
	})
	return b
}

func TestRuns(t *testing.T) {
	type at struct {
		now  time.Duration
		want []string
	}
	for _, row := range []struct {
		name   string
		frames [][]byte
		delays []time.Duration
		out    []at
	}{
		{"a whole frame goes as it came", [][]byte{tuntest.Segmented(4)}, []time.Duration{0},
			[]at{{0, []string{"type 1 size 1000 seq 0 abcd"}}}},
		{"nothing leaves early", [][]byte{tuntest.Segmented(4)}, []time.Duration{5 * ms},
			[]at{{0, nil}, {5*ms - 1, nil}, {5 * ms, []string{"type 1 size 1000 seq 0 abcd"}}, {time.Second, nil}}},
		{"what is due together leaves together", [][]byte{tuntest.Segmented(4)}, []time.Duration{0, 0, 20 * ms, 20 * ms},
			[]at{{0, []string{"type 1 size 1000 seq 0 ab"}}, {20*ms - 1, nil}, {20 * ms, []string{"type 1 size 1000 seq 2000 cd"}}}},
		{"one after the other", [][]byte{tuntest.Segmented(3)}, []time.Duration{1, 2, 3},
			[]at{{0, nil}, {1, []string{"type 0 size 0 seq 0 a"}}, {2, []string{"type 0 size 0 seq 1000 b"}},
				{3, []string{"type 0 size 0 seq 2000 c"}}}},
		{"late ones are due together", [][]byte{tuntest.Segmented(3)}, []time.Duration{1, 2, 3},
			[]at{{0, nil}, {2, []string{"type 1 size 1000 seq 0 ab"}}, {9, []string{"type 0 size 0 seq 2000 c"}}}},
		{"a gap", [][]byte{tuntest.Segmented(5)}, []time.Duration{0, 0, lost, 0, 0},
			[]at{{0, []string{"type 1 size 1000 seq 0 ab", "type 1 size 1000 seq 3000 de"}}}},
		{"the first is lost", [][]byte{tuntest.Segmented(3)}, []time.Duration{lost, 0},
			[]at{{0, []string{"type 1 size 1000 seq 1000 bc"}}}},
		{"the last is lost", [][]byte{tuntest.Segmented(3)}, []time.Duration{0, 0, lost},
			[]at{{0, []string{"type 1 size 1000 seq 0 ab"}}}},
		{"every other is lost", [][]byte{tuntest.Segmented(5)}, []time.Duration{lost, 0, lost, 0, lost},
			[]at{{0, []string{"type 0 size 0 seq 1000 b", "type 0 size 0 seq 3000 d"}}}},
		{"all are lost", [][]byte{tuntest.Segmented(5)}, []time.Duration{lost}, []at{{0, nil}, {time.Hour, nil}}},
		{"two frames are never one run", [][]byte{tuntest.Segmented(2), tuntest.Segmented(2)}, []time.Duration{0},
			[]at{{0, []string{"type 1 size 1000 seq 0 ab", "type 1 size 1000 seq 0 ab"}}}},
		{"single packets", [][]byte{plain('x'), plain('y'), plain('z')}, []time.Duration{1, lost, 1},
			[]at{{0, nil}, {1, []string{"x", "z"}}}},
		{"mixed", [][]byte{plain('x'), tuntest.Segmented(3), plain('y')}, []time.Duration{0, 0, lost, 0, 7},
			[]at{{0, []string{"x", "type 0 size 0 seq 0 a", "type 0 size 0 seq 2000 c"}}, {7, []string{"y"}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, row.delays...)
			for _, f := range row.frames {
				b.from.Deliver(f)
			}
			for _, at := range row.out {
				b.now = at.now
				if _, err := b.takeIn(); err != nil {
					t.Fatal(err)
				}
				b.putOut()
				if d := cmp.Diff(at.want, runs(b.to.Written())); d != "" {
					t.Errorf("at %v (-want +got):\n%s", at.now, d)
				}
			}
		})
	}
}

// Runs are byte for byte what packet.Frame makes of them.
func TestRunsAreFramesOwn(t *testing.T) {
	b := newBench(t, 0, 0, lost, 0, 0)
	b.from.Deliver(tuntest.Segmented(5))
	b.takeIn()
	b.putOut()
	var pool packet.Pool
	f := tuntest.Frame(&pool, tuntest.Segmented(5))
	if d := cmp.Diff([][]byte{tuntest.Run(f, 0, 2), tuntest.Run(f, 3, 5)}, b.to.Written()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTraffic(t *testing.T) {
	b := newBench(t, 0, 0, lost, 0, 0, ms)
	b.from.Deliver(tuntest.Segmented(5))
	b.from.Deliver(plain('x'))
	b.takeIn()
	b.putOut()
	want := Traffic{PacketsIn: 6, BytesIn: 5*1040 + 100, PacketsOut: 4, BytesOut: 4 * 1040, Reads: 2, Writes: 2}
	compare := cmp.Options{cmpopts.IgnoreUnexported(Lateness{}), cmpopts.IgnoreTypes(Histogram{})}
	if d := cmp.Diff(want, b.Traffic, compare); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	b.now = ms + 70_000
	b.putOut()
	want.PacketsOut, want.BytesOut, want.Writes, want.Late.Max = 5, 4*1040+100, 3, 70_000
	for q, late := range map[float64]time.Duration{0.8: 0, 0.95: 70_000} {
		if got := b.Late.Quantile(q); got < late || got > late*101/100 {
			t.Errorf("quantile %v of lateness is %v, want %v", q, got, late)
		}
	}
	if n, got := b.Delay.Count(), b.Delay.Quantile(1); n != 5 || got < ms+70_000 || got > 1010*(ms+70_000)/1000 {
		t.Errorf("delays: %d, at most %v", n, got)
	}
	if d := cmp.Diff(want, b.Traffic, compare); d != "" {
		t.Errorf("later (-want +got):\n%s", d)
	}
}

// whole is a script that does the same to all packets of a frame.
type whole struct{ script }

func (*whole) Whole() bool { return true }

// A stage that treats all packets of a frame alike gets them as one, and all of them count.
func TestWhole(t *testing.T) {
	stage := &whole{script{delays: []time.Duration{ms, 2 * ms}}}
	b := newBenchOf(t, stage)
	b.from.Deliver(tuntest.Segmented(5))
	b.from.Deliver(plain('x'))
	b.takeIn()
	if n := len(stage.queue); n != 2 {
		t.Errorf("%d pushes", n)
	}
	b.now = ms
	b.putOut()
	b.now = 2 * ms
	b.putOut()
	if d := cmp.Diff([]string{"type 1 size 1000 seq 0 abcde", "x"}, runs(b.to.Written())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want := Traffic{PacketsIn: 6, BytesIn: 5*1040 + 100, PacketsOut: 6, BytesOut: 5*1040 + 100, Reads: 2, Writes: 2}
	if d := cmp.Diff(want, b.Traffic, cmpopts.IgnoreUnexported(Lateness{}), cmpopts.IgnoreTypes(Histogram{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := b.Delay.Count(); n != 6 {
		t.Errorf("%d delays", n)
	}
}

// Of one frame, several that stand for more than one packet leave in one run too.
func TestWholeNeighbours(t *testing.T) {
	stage := &whole{script{delays: []time.Duration{0}}}
	b := newBenchOf(t, stage)
	b.from.Deliver(tuntest.Segmented(5))
	b.takeIn()
	one, rest := stage.queue[0], stage.queue[0]
	one.More, one.Size, rest.Index, rest.More, rest.Size = 1, 2*1040, 2, 2, 3*1040
	stage.queue = []packet.Packet{one, rest}
	b.putOut()
	if d := cmp.Diff([]string{"type 1 size 1000 seq 0 abcde"}, runs(b.to.Written())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if b.PacketsOut != 5 || b.BytesOut != 5*1040 || b.Writes != 1 {
		t.Errorf("%+v", b.Traffic)
	}
}

// What is read may have waited since the device was last seen empty.
func TestUnseen(t *testing.T) {
	b := newBench(t, 0)
	turn := func(now time.Duration, frames ...[]byte) {
		t.Helper()
		for _, f := range frames {
			b.from.Deliver(f)
		}
		b.now = now
		if _, err := b.takeIn(); err != nil {
			t.Fatal(err)
		}
		b.putOut()
	}
	turn(ms) // nothing is there
	turn(3*ms, tuntest.Segmented(4))
	turn(4 * ms)
	turn(4*ms+100, plain('x'))
	n, most, least := b.Unseen.Count(), b.Unseen.Quantile(1), b.Unseen.Quantile(0)
	if n != 5 || most < 2*ms || most > 2*ms*101/100 || least < 100 || least > 101 {
		t.Errorf("%d packets, from %v to %v; want 5, from 100ns to 2ms", n, least, most)
	}
}

// A packet that comes alone and wakes the ferry from a long sleep arrived when it did that, and a little before.
func TestArrival(t *testing.T) {
	for _, row := range []struct {
		name   string
		asleep time.Duration
		quick  time.Duration // as learned
		comes  int           // frames of one packet
		want   []time.Duration
	}{
		{"alone", 2 * ms, 40 * time.Microsecond, 1, []time.Duration{-20 * time.Microsecond}},
		{"alone, nothing learned", time.Second, 0, 1, []time.Duration{0}},
		{"soon", 2*ms - 1, 40 * time.Microsecond, 1, []time.Duration{2}},
		{"two", 2 * ms, 40 * time.Microsecond, 2, []time.Duration{2, 2}},
		{"many", 2 * ms, 40 * time.Microsecond, 40, slices.Repeat([]time.Duration{2}, smallBatch)},
		{"nothing", 2 * ms, 40 * time.Microsecond, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, ms)
			woken := time.Second + row.asleep
			b.since, b.quick, b.now = time.Second, row.quick, woken
			b.woken()
			for range row.comes {
				b.from.Deliver(plain('x'))
			}
			b.now += 2
			b.takeIn()
			var got []time.Duration
			for p, ok := b.stage.Pop(time.Hour); ok; p, ok = b.stage.Pop(time.Hour) {
				got = append(got, p.Arrival-woken)
				p.Release()
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("after waking: %v, want %v", got, row.want)
			}
			if b.PacketsIn != uint64(len(row.want)) {
				t.Errorf("%d packets in, want %d", b.PacketsIn, len(row.want))
			}
			b.from.Deliver(plain('x')) // asleep no more
			if b.takeIn(); row.comes < 40 {
				p, _ := b.stage.Pop(time.Hour)
				if p.Arrival != b.now {
					t.Errorf("the next came %v after waking, want 2ns", p.Arrival-woken)
				}
			}
		})
	}
}

// What is learned of waking is less than nine of ten times, and at most twice what is credited.
func TestQuick(t *testing.T) {
	for _, row := range []struct {
		name        string
		took        func(i int) time.Duration
		least, most time.Duration
	}{
		{"always 50 us", func(int) time.Duration { return 50 * time.Microsecond }, 40 * time.Microsecond, 51 * time.Microsecond},
		{"each third 20 us", func(i int) time.Duration { return time.Duration(20+30*(i%3)) * time.Microsecond }, 11 * time.Microsecond, 23 * time.Microsecond},
		{"slow", func(int) time.Duration { return ms }, 2 * mostCredit, 2 * mostCredit},
		{"at once", func(int) time.Duration { return 0 }, 0, time.Microsecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, 0)
			for i := range 1000 {
				b.now += ms
				b.since, b.until = b.now, b.now+b.lead+ms
				b.now += ms + row.took(i)
				b.woken()
				if i > 100 && (b.quick < row.least || b.quick > row.most) {
					t.Fatalf("after %d: %v, want %v to %v", i, b.quick, row.least, row.most)
				}
			}
		})
	}
}

// datagram is a frame of UDP over IPv4 of one byte of payload, with a port.
func datagram(port, letter byte) []byte {
	b := make([]byte, packet.VnetLen+29)
	b[0], b[6], b[8] = 1, 20, 6 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	ip := b[packet.VnetLen:]
	copy(ip, []byte{0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0x3a, 0xd1})
	ip[23], ip[25], ip[26], ip[28] = port, 9, 1, letter
	return b
}

// Datagrams that follow each other leave together, and are written one by one where the kernel does not take that.
func TestRows(t *testing.T) {
	frames := [][]byte{datagram(1, 'a'), datagram(1, 'b'), datagram(1, 'c'), datagram(2, 'd'), plain('x'), datagram(2, 'e'), datagram(2, 'f')}
	for _, row := range []struct {
		name   string
		delays []time.Duration
		fail   error
		want   []string // what is written, in letters
		writes uint64
	}{
		{"all at once", []time.Duration{0}, nil, []string{"abc", "d", "x", "ef"}, 4},
		{"one is lost", []time.Duration{0, lost, 0}, nil, []string{"ac", "d", "x", "ef"}, 4},
		{"one is not due", []time.Duration{0, 0, ms}, nil, []string{"ab"}, 1},
		{"the kernel refuses them", []time.Duration{0}, unix.EINVAL, nil, 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, row.delays...)
			for _, f := range frames {
				b.from.Deliver(f)
			}
			b.takeIn()
			b.to.Fail(row.fail)
			b.putOut()
			var got []string
			for _, w := range b.to.Written() {
				if n := len(w) - packet.VnetLen - 28; w[packet.VnetLen] != 0x45 {
					got = append(got, run(w))
				} else {
					got = append(got, string(w[len(w)-n:]))
				}
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if refused := b.Refused; b.Writes != row.writes || (row.fail != nil) != (refused == 7) {
				t.Errorf("%d writes, %d refused; want %d", b.Writes, refused, row.writes)
			}
		})
	}
}

// What the receiving kernel refuses is counted, and its frame is used again all the same.
func TestRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		delays []time.Duration
		want   uint64
	}{
		{"a whole frame", []time.Duration{0}, 5},
		{"two runs", []time.Duration{0, 0, lost, 0, 0}, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, row.delays...)
			b.to.Fail(unix.EIO)
			b.from.Deliver(tuntest.Segmented(5))
			b.takeIn()
			b.putOut()
			if b.Refused != row.want || b.PacketsOut != row.want {
				t.Errorf("%d refused of %d, want %d", b.Refused, b.PacketsOut, row.want)
			}
			b.to.Fail(nil)
			b.from.Deliver(plain('x'))
			b.takeIn()
			b.now = time.Second
			b.putOut()
			if len(b.to.Written()) != 1 || b.Refused != row.want {
				t.Error("it did not go on")
			}
		})
	}
}

// In one turn a ferry takes in no more than a batch.
func TestBatch(t *testing.T) {
	b := newBench(t, 0)
	for range batch + 1 {
		b.from.Deliver(tuntest.Segmented(20))
	}
	for _, row := range []struct {
		more  bool
		reads uint64
	}{{true, batch}, {false, batch + 1}, {false, batch + 1}} {
		if more, err := b.takeIn(); more != row.more || b.Reads != row.reads || err != nil {
			t.Errorf("%v after %d frames, %v; want %v after %d", more, b.Reads, err, row.more, row.reads)
		}
	}
}

// An exact ferry takes in no more once something that it already has is due.
func TestExactFirst(t *testing.T) {
	for _, row := range []struct {
		name  string
		exact bool
		now   time.Duration
		want  uint64 // packets in, of 1 and then 10
	}{
		{"something is due", true, 5 * ms, 2},
		{"nothing is due yet", true, 5*ms - 1, 11},
		{"not exact", false, 5 * ms, 11},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, 5*ms)
			b.exact = row.exact
			b.from.Deliver(plain('x'))
			b.takeIn()
			for range 10 {
				b.from.Deliver(plain('x'))
			}
			b.now = row.now
			more, _ := b.takeIn()
			if b.PacketsIn != row.want || more != (row.want < 11) {
				t.Errorf("%d packets in, more is %t; want %d", b.PacketsIn, more, row.want)
			}
		})
	}
}

// loop is a device that delivers one frame again and again, and forgets what is written to it.
type loop struct {
	tun.Device
	frame []byte
	left  int
	bufs  [][]byte
	room  [packet.HeaderRoom]byte
}

func (d *loop) Read(pool *packet.Pool) (*packet.Frame, error) {
	if d.left == 0 {
		return nil, nil
	}
	d.left--
	f := pool.Get()
	n := 0
	d.bufs = f.Buffers(d.bufs[:0], 0)
	for _, b := range d.bufs {
		n += copy(b, d.frame[n:])
	}
	f.Filled(n)
	return f, nil
}

func (d *loop) Write(f *packet.Frame, i, j int) error {
	d.bufs = f.Run(d.bufs[:0], d.room[:], i, j)
	return nil
}

// turning makes a ferry, without a kernel, of which each turn carries a batch of frames of 40 packets.
func turning(t testing.TB) (turn func()) {
	from, to := &loop{Device: tuntest.New(), frame: tuntest.Segmented(40)}, &loop{}
	now := time.Duration(0)
	var resumed atomic.Int64
	s := &alternate{}
	f, err := newFerry(from, to, s, func() time.Duration { return now }, &resumed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.release()
		from.Close()
	})
	turn = func() {
		from.left = batch
		if more, err := f.takeIn(); !more || err != nil {
			t.Fatal(more, err)
		}
		now += 10 * time.Microsecond
		f.putOut()
		f.Late.settle(now, 0)
		f.doze(1, 0, later)
	}
	for range 100 {
		turn()
	}
	return turn
}

func TestFerryAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(200, turning(t)); n != 0 {
		t.Errorf("%v allocations for %d packets", n, 40*batch)
	}
}

func BenchmarkFerry(b *testing.B) {
	b.ReportAllocs()
	turn := turning(b)
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*40*batch), "ns/packet")
}

// alternate is a stage that drops every seventh packet and delays the others by 5 µs.
type alternate struct {
	script
	n int
}

func (s *alternate) Push(now time.Duration, p packet.Packet) {
	if s.n++; s.n%7 == 0 {
		p.Release()
		return
	}
	p.Due = now + 5*time.Microsecond
	s.queue = append(s.queue, p)
}

// timed is a device that keeps the time of every write.
type timed struct {
	*tuntest.Fake
	clock func() time.Duration
	mu    sync.Mutex
	times []time.Duration
}

func (d *timed) Write(f *packet.Frame, i, j int) error {
	now := d.clock() // before it can have been seen by anybody
	d.mu.Lock()
	defer d.mu.Unlock()
	d.times = append(d.times, now)
	return d.Fake.Write(f, i, j)
}

// voyage is a ferry under way between two devices.
type voyage struct {
	*ferry
	from  *tuntest.Fake
	to    *timed
	start time.Time
}

func (v *voyage) now() time.Duration { return time.Since(v.start) }

// How a ferry sails.
type manner int

const (
	usual manner = iota
	exact
	still
)

// sail starts a ferry; it ends with the test.
func sail(t *testing.T, how manner, delays ...time.Duration) *voyage {
	t.Helper()
	v := &voyage{from: tuntest.New(), start: time.Now().Add(-time.Minute)} // the container is not new
	v.to = &timed{Fake: tuntest.New(), clock: v.now}
	var err error
	if v.ferry, err = newFerry(v.from, v.to, &script{delays: delays}, v.now, new(atomic.Int64)); err != nil {
		t.Fatal(err)
	}
	v.exact, v.still = how == exact, how == still
	if v.still {
		go freshThread(v.run)
	} else {
		go v.run()
	}
	t.Cleanup(func() {
		v.end()
		v.release()
		v.from.Close()
		v.to.Close()
	})
	return v
}

// soon fails the test where c is not closed in good time.
func soon(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: not in 5 s", what)
	}
}

func TestNeverEarly(t *testing.T) {
	for _, row := range []struct {
		name  string
		how   manner
		delay time.Duration
		n     int
		apart time.Duration
	}{
		{"short", usual, 50 * time.Microsecond, 100, 0},
		{"longer", usual, 5 * ms, 100, 0},
		{"lonely", usual, 500 * time.Microsecond, 50, 3 * ms},
		{"following each other", usual, 500 * time.Microsecond, 500, 50 * time.Microsecond},
		{"exact", exact, 2 * ms, 50, 0},
		{"exact, lonely", exact, ms, 20, 3 * ms},
		{"exact within the last stretch", exact, 100 * time.Microsecond, 50, 0},
		{"still", still, 5 * ms, 100, 0},
		{"still, lonely", still, 500 * time.Microsecond, 20, 3 * ms},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := sail(t, row.how, row.delay)
			var sent []time.Duration
			for i := range row.n {
				sent = append(sent, v.now())
				v.from.Deliver(plain(byte(i)))
				time.Sleep(row.apart)
			}
			soon(t, "drain", v.drain())
			v.to.mu.Lock()
			defer v.to.mu.Unlock()
			if len(v.to.times) != row.n {
				t.Fatalf("%d packets arrived, want %d", len(v.to.times), row.n)
			}
			for i, at := range v.to.times {
				least := row.delay
				if i == 0 || sent[i]-sent[i-1] > lull-mostCredit { // it may have come alone, after a long sleep
					least -= mostCredit
				}
				if at < sent[i]+least {
					t.Errorf("packet %d took %v, less than %v", i, at-sent[i], least)
				}
			}
			for i, b := range v.to.Written() {
				if b[len(b)-1] != byte(i) {
					t.Fatalf("packet %d came at place %d", b[len(b)-1], i)
				}
			}
		})
	}
}

// A drain is over as soon as all that was sent before it has been written, and not before.
func TestDrain(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		v := sail(t, usual, 0)
		for range 100 {
			soon(t, "drain", v.drain())
		}
	})
	t.Run("with packets", func(t *testing.T) {
		for range 20 {
			v := sail(t, usual, 3*ms)
			const n = 3 * batch
			for i := range n {
				v.from.Deliver(plain(byte(i)))
			}
			soon(t, "drain", v.drain())
			if got := len(v.to.Written()); got != n {
				t.Fatalf("drained when %d of %d packets were written", got, n)
			}
		}
	})
	t.Run("with packets that are lost", func(t *testing.T) {
		v := sail(t, usual, lost)
		v.from.Deliver(tuntest.Segmented(5))
		soon(t, "drain", v.drain())
		v.end()
		if v.PacketsIn != 5 || v.PacketsOut != 0 {
			t.Errorf("%d in, %d out", v.PacketsIn, v.PacketsOut)
		}
	})
	t.Run("not while one waits", func(t *testing.T) {
		v := sail(t, usual, time.Hour)
		v.from.Deliver(plain('x'))
		drained := v.drain()
		v.rouse()
		select {
		case <-drained:
			t.Error("drained with a packet under way")
		case <-time.After(20 * ms):
		}
	})
}

func TestEnd(t *testing.T) {
	for _, row := range []struct {
		name  string
		how   manner
		delay time.Duration
	}{{"idle", usual, 0}, {"with a packet under way", usual, time.Hour}, {"exact", exact, time.Hour},
		{"still and idle", still, 0}, {"still", still, time.Hour}} {
		t.Run(row.name, func(t *testing.T) {
			v := sail(t, row.how, row.delay)
			if row.delay > 0 {
				v.from.Deliver(plain('x'))
			}
			ended := make(chan struct{})
			go func() {
				v.end()
				close(ended)
			}()
			soon(t, "end", ended)
			v.end() // again is no harm
			v.from.Deliver(plain('x'))
			if n := len(v.to.Written()); n != 0 {
				t.Errorf("%d packets were written", n)
			}
		})
	}
}

// What left late just before the end counts.
func TestLateAtTheEnd(t *testing.T) {
	v := sail(t, usual, -50*ms) // due 50 ms before it was read: as on a machine that cannot keep up
	v.from.Deliver(plain('x'))
	soon(t, "drain", v.drain())
	v.end()
	if v.Late.Packets != 1 || v.Late.Max < 50*ms {
		t.Errorf("%d packets late, at most %v", v.Late.Packets, v.Late.Max)
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A device that fails costs no time, and what has come from it before is still delivered.
func TestFailingDevice(t *testing.T) {
	for _, row := range []struct {
		name     string
		from, to error
	}{
		{"reading EBADF", unix.EBADF, nil},
		{"reading EIO", unix.EIO, nil},
		{"writing EBADF", nil, unix.EBADF},
		{"both EIO", unix.EIO, unix.EIO},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := sail(t, usual, 50*ms)
			v.from.Deliver(plain('x'))
			for len(v.pending()) > 0 {
				time.Sleep(100 * time.Microsecond)
			}
			if row.from != nil {
				v.from.Fail(row.from)
			}
			if row.to != nil {
				v.to.Fail(row.to)
			}
			before := processorTime()
			time.Sleep(200 * ms)
			if used := processorTime() - before; used > 50*ms {
				t.Errorf("%v of processor time in 200 ms", used)
			}
			soon(t, "drain", v.drain())
			v.end()
			refused := uint64(0)
			if row.to != nil {
				refused = 1
			}
			if v.PacketsOut != 1 || v.Refused != refused {
				t.Errorf("%d packets out, %d refused; want 1, %d", v.PacketsOut, v.Refused, refused)
			}
		})
	}
}

// pending says what the ferry has yet to read.
func (v *voyage) pending() []unix.PollFd {
	fds := []unix.PollFd{{Fd: int32(v.from.FD()), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, 0); n == 0 {
		return nil
	}
	return fds
}

// An idle ferry sleeps, with packets under way or none.
func TestIdle(t *testing.T) {
	v := sail(t, usual, time.Hour)
	v.from.Deliver(plain('x'))
	time.Sleep(20 * ms)
	before := processorTime()
	time.Sleep(200 * ms)
	if used := processorTime() - before; used > 20*ms {
		t.Errorf("%v of processor time in 200 ms", used)
	}
}
