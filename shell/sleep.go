package shell

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sleeper waits for a device to have something and for moments to come, in one of two ways. Neither is a system call of
// which Go's scheduler is told: at the end of each of those the runtime's monitor wakes too, looks around for 10 ms before
// it sleeps again, and has the scheduler's places handed from thread to thread, which takes more time than all the rest of
// a lonely packet's crossing.
//
// As long as little happens, it is parked in the runtime's poller, like a goroutine that reads from a socket: one thread
// wakes, carries the packet, and polls again.
//
// While packets follow each other closely it dozes in ppoll(2), which is quicker, but keeps one of the scheduler's places.
//
// The poller is everybody's: a goroutine that it has woken may keep its thread until the next system call. So whoever then
// has much to do starts another goroutine first (see callPoller); one that was sent something was preceded by that.
//
// With real-time priority, which is a thread's, the sleeper is still: on a thread of its own, which the scheduler is told of
// when it rests.
type sleeper struct {
	clock func() time.Duration
	turn  func() (next time.Duration, then wish)
	lead  time.Duration // how long before a moment to wake
	exact bool          // lead is as it is, and spun through
	still bool          // never parked

	device, wake, timer, poll int
	file                      *os.File // of poll, which has the other three
	in                        syscall.RawConn

	fds    [2]unix.PollFd // of wake and device
	minded [2]unix.PollFd // of the peer
	brisk  bool           // dozing
	close  int            // how many packets in a row have come closely
	since  time.Duration  // when it last went to sleep
	until  time.Duration  // the moment it then had in mind; 0 is none
	empty  time.Duration  // when the device was last seen to have nothing, or told of something
	quick  time.Duration  // what waking takes at least, nine of ten times
	came   time.Duration  // when that came which has just woken it from a long sleep; 0 is not known
	parked atomic.Bool
	peer   *sleeper // that of the other direction, whose wake-up may depend on this thread
}

// A wish is what is wanted after a turn.
type wish int

const (
	again  wish = iota // another at once
	later              // one at next
	unless             // none, unless something comes
	never
)

// A sleeper wakes before a moment by about as long as waking takes, and spins through what is left: mostly nothing.
const (
	mostLead = 200 * time.Microsecond // no more than this
	spin     = 300 * time.Microsecond // for an exact one, always
)

// A packet that wakes a sleeper came before that by as long as waking takes, which the timer teaches. To be rather late
// than early it is credited with half of the least of that; and only after a long sleep, since a processor that has just
// become idle wakes faster.
const mostCredit = 30 * time.Microsecond

// When it is worth while to doze: when it has been woken again so soon, so many times in a row; and not beyond so long a
// lull.
const (
	shortly = 300 * time.Microsecond
	often   = 4
	lull    = 2 * time.Millisecond
)

func newSleeper(device int, clock func() time.Duration) (s *sleeper, err error) {
	s = &sleeper{clock: clock, device: device, wake: -1, timer: -1, poll: -1}
	defer func() {
		if err != nil {
			err = fmt.Errorf("preparing to wait for packets: %w", err)
			s.release()
		}
	}()
	if s.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return s, err
	}
	if s.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return s, err
	}
	if s.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return s, err
	}
	for _, fd := range []int{s.wake, s.timer, s.device} {
		if err = s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return s, err
		}
	}
	if err = unix.SetNonblock(s.poll, true); err != nil { // else the runtime does not take it
		return s, err
	}
	s.fds = [2]unix.PollFd{{Fd: int32(s.wake), Events: unix.POLLIN}, {Fd: int32(s.device), Events: unix.POLLIN}}
	s.file = os.NewFile(uintptr(s.poll), "poll")
	s.in, err = s.file.SyscallConn()
	return s, err
}

func (s *sleeper) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(s.poll, op, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd)})
}

func (s *sleeper) release() {
	for _, fd := range []int{s.wake, s.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if s.file != nil {
		s.file.Close()
	} else if s.poll >= 0 {
		unix.Close(s.poll)
	}
}

// run takes turns until one wishes for no other.
func (s *sleeper) run() {
	if s.exact {
		s.lead = spin
	}
	if s.still {
		s.watch(unix.EPOLL_CTL_MOD, s.device, 0)
		s.slacken(1)
	}
	// Having said no, the function is called again when the poller has seen something.
	if err := s.in.Read(func(uintptr) bool {
		s.woken()
		return s.turns()
	}); err != nil {
		panic(err) // only a file of a kind that no poller takes
	}
}

// turns takes turns until one wishes for no other, or the next can wait.
func (s *sleeper) turns() (done bool) {
	for {
		next, then := s.turn()
		now := s.clock()
		switch {
		case then == never:
			return true
		case then == again:
			s.hurry()
		case then == later && next-now <= s.lead:
			s.mind()
		case s.brisk:
			s.doze(next, now, then)
		case s.still:
			s.rest(next, now, then)
		default:
			s.park(next, now, then)
			return false
		}
	}
}

// park makes ready for the poller.
func (s *sleeper) park(next, now time.Duration, then wish) {
	if then == later {
		s.set(next - s.lead - now)
		s.until = next
	} else if s.until > now {
		s.set(0)
		s.until = 0
	}
	s.since = now
	s.parked.Store(true)
}

// set makes the timer expire after d, or never if that is 0.
func (s *sleeper) set(d time.Duration) {
	t := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(s.timer), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
}

func (s *sleeper) woken() {
	now := s.clock()
	s.parked.Store(false)
	s.empty, s.came = now, 0
	switch {
	case s.until > 0 && now >= s.until-s.lead:
		took := now - (s.until - s.lead)
		s.learn(took)
		if took >= s.quick {
			s.quick = min(s.quick+time.Microsecond, 2*mostCredit)
		} else {
			s.quick = max(s.quick-9*time.Microsecond, 0)
		}
		s.until = 0
		if !s.still {
			s.set(0) // else it remains readable, and the peer minds
		}
	case now-s.since >= lull:
		s.came = now - s.quick/2
	}
	if s.close++; now-s.since >= shortly {
		s.close = 0
	} else if s.close >= often {
		s.hurry()
	}
}

// learn takes note of how long waking took. The lead comes to be what three of four wake-ups do not exceed, whatever the
// fourth took: what a hypervisor takes now and then is no measure.
func (s *sleeper) learn(took time.Duration) {
	switch {
	case s.exact:
	case took > s.lead:
		s.lead = min(s.lead+6*time.Microsecond, mostLead)
	default:
		s.lead = max(s.lead-2*time.Microsecond, 0)
	}
}

// hurry begins to doze instead of parking.
func (s *sleeper) hurry() {
	if s.brisk {
		return
	}
	s.brisk = true
	if !s.still {
		s.watch(unix.EPOLL_CTL_MOD, s.device, 0) // or each packet would wake a thread in the poller as well
		s.slacken(1)
		s.callPoller()
	}
}

// slacken sets by how much the calling thread, and no other, wakes late. The default of 50 µs, which is 0 here, would make
// every departure as much late.
func (s *sleeper) slacken(ns uintptr) { unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, ns, 0) }

// calm is the end of haste.
func (s *sleeper) calm() {
	s.brisk, s.close = false, 0
	if !s.still {
		s.slacken(0)
		s.watch(unix.EPOLL_CTL_MOD, s.device, unix.EPOLLIN)
	}
}

// callPoller has another thread wait in the poller for everybody else, as long as this one is busy: the scheduler wakes one
// when there is something to run.
func (s *sleeper) callPoller() { go func() {}() }

// mind is for while this thread spins: nobody else may be in the poller.
func (s *sleeper) mind() {
	if s.brisk || s.peer == nil || !s.peer.parked.Load() {
		return
	}
	s.minded = [2]unix.PollFd{{Fd: int32(s.peer.device), Events: unix.POLLIN}, {Fd: int32(s.peer.timer), Events: unix.POLLIN}}
	if n, _ := ppoll(s.minded[:], &unix.Timespec{}); n > 0 {
		s.callPoller()
	}
}

func (s *sleeper) doze(next, now time.Duration, then wish) {
	length, timed := lull, then == later && next-s.lead-now <= lull
	if timed {
		length = next - s.lead - now
	}
	timeout := unix.NsecToTimespec(int64(length))
	n, err := ppoll(s.fds[:], &timeout)
	s.empty = s.clock()
	switch {
	case n > 0:
		s.heed()
	case err == nil && timed:
		s.learn(s.empty - (next - s.lead))
	case err == nil:
		s.calm()
	}
}

// rest is for one that is still and not brisk.
func (s *sleeper) rest(next, now time.Duration, then wish) {
	s.since, s.until = now, 0
	var timeout *unix.Timespec
	if then == later {
		t := unix.NsecToTimespec(int64(next - s.lead - now))
		timeout, s.until = &t, next
	}
	if n, _ := unix.Ppoll(s.fds[:], timeout, nil); n > 0 {
		s.heed()
	}
	s.woken()
}

// heed takes note of having been roused.
func (s *sleeper) heed() {
	if s.fds[0].Revents != 0 {
		var b [8]byte
		unix.Read(s.wake, b[:])
	}
}

// ppoll is ppoll(2) without telling the scheduler, so for short times only. To stop the world the runtime interrupts it.
func ppoll(fds []unix.PollFd, timeout *unix.Timespec) (n int, err error) {
	k, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)),
		uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(k), nil
}

// rouse wakes it if it sleeps.
func (s *sleeper) rouse() { unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// lose is told that the device has nothing more, ever.
func (s *sleeper) lose() { s.fds[1].Fd = -1 }
