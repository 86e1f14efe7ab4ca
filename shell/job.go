package shell

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A job is a child that stands for us: our signals go to it, and its stops and its end are ours.
type job struct {
	signals <-chan arrival
	heed    func(unix.Signal) bool // sees a signal first, and says whether it is not for the child
	pid     int
	told    chan event // what became of it
	late    bool       // its stops are told by another process, and may be known only when it goes on
	stopped bool
	own     bool   // it has a terminal of its own, which tells it nothing of what ours does
	pause   func() // stops this process until it is continued; nil if nothing else is to be done
	goesOn  int64  // when the job was last continued, as event.at
}

// event is a status of the child, or why there will be none.
type event struct {
	status unix.WaitStatus
	at     int64 // CLOCK_MONOTONIC, in nanoseconds
	err    error
}

func (j *job) tell(s unix.WaitStatus) { j.told <- event{status: s, at: monotonic()} }

// watch tells of a child that was just started.
func (j *job) watch(pid int) {
	j.pid = pid
	if os.Getpid() == 1 {
		pid = -1 // the first process of a container has orphans to reap
	}
	go func() {
		if err := await(pid, j.pid, j.tell); err != nil {
			j.told <- event{err: err}
		}
	}()
}

// signal passes a signal on to the child, unless the terminal has sent it there too.
func (j *job) signal(s arrival) {
	switch {
	case j.heed != nil && j.heed(s.signal):
	case s.signal == unix.SIGCONT:
		j.goesOn = monotonic()
		if j.stopped {
			j.stopped = false
			unix.Kill(j.pid, unix.SIGCONT)
		}
	case (!s.kernel || j.own) && j.pid != 0:
		unix.Kill(j.pid, s.signal)
	}
}

// interrupted is a signal that came before the command was there to get it.
type interrupted unix.Signal

func (i interrupted) Error() string { return unix.SignalName(unix.Signal(i)) }

func (j *job) interruption() error {
	for {
		select {
		case s := <-j.signals:
			if deadly(s.signal) {
				return interrupted(s.signal)
			}
			j.signal(s) // the one that ends MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL, say
		default:
			return nil
		}
	}
}

func deadly(s unix.Signal) bool {
	return s == unix.SIGHUP || s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGTERM
}

// stop makes the shell that started us see that its job has stopped, as without us. But a contained command's stop that
// came with our own, a SIGSTOP to all, is known to us only after the job goes on; the signal that says so may be late.
func (j *job) stop(at int64) {
	for wait := j.late; wait; {
		select {
		case s := <-j.signals:
			j.signal(s)
		case <-time.After(20 * time.Millisecond):
			wait = false
		}
	}
	if at > j.goesOn {
		j.stopped = true
		if j.pause == nil {
			unix.Kill(os.Getpid(), unix.SIGSTOP)
		} else {
			j.pause()
		}
	}
}

func monotonic() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}
