package shell

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

func TestHold(t *testing.T) {
	c := new(container)
	c.heed = c.ownSignal
	s := c.hold(&script{delays: []time.Duration{10 * ms}})
	var pool packet.Pool
	push := func(now time.Duration, letter byte) {
		s.Push(now, tuntest.Frame(&pool, plain(letter)).Packet(0, now))
	}
	pop := func(now time.Duration) (out string) {
		for p, ok := s.Pop(now); ok; p, ok = s.Pop(now) {
			h := p.Frame.Headers()
			out += string(h[len(h)-1]) + " due " + p.Due.String() + " "
			p.Release()
		}
		return out
	}
	check := func(now time.Duration, want string, next time.Duration, waiting bool) {
		t.Helper()
		if d := cmp.Diff(want, pop(now)); d != "" {
			t.Errorf("at %v (-want +got):\n%s", now, d)
		}
		if n, ok := s.Next(); n != next || ok != waiting {
			t.Errorf("at %v Next is %v, %v; want %v, %v", now, n, ok, next, waiting)
		}
	}
	check(0, "", 0, false)
	push(0, 'a')
	push(1*ms, 'b')
	if next, ok := s.Next(); next != 0 || !ok {
		t.Errorf("Next is %v, %v with a packet that passes untouched", next, ok)
	}
	check(1*ms, "a due 0s b due 1ms ", 0, false)
	push(2*ms, 'c')
	c.signal(arrival{signal: unix.SIGUSR1, kernel: true})
	push(2*ms, 'd')
	push(3*ms, 'e')
	check(3*ms, "c due 2ms ", 12*ms, true) // what came before the signal is ahead of what it holds for
	check(12*ms-1, "", 12*ms, true)
	check(13*ms, "d due 12ms e due 13ms ", 0, false)
	if c.release != nil {
		t.Error("the next SIGUSR1 would not be the command's")
	}
}

func TestHoldReleasesBoth(t *testing.T) {
	c := new(container)
	c.heed = c.ownSignal
	up, down := c.hold(&script{}).(*held), c.hold(&script{}).(*held)
	if up.released.Load() || down.released.Load() {
		t.Error("released before the signal")
	}
	for _, s := range []unix.Signal{unix.SIGUSR2, unix.SIGTERM, unix.SIGCONT} {
		c.signal(arrival{signal: s, kernel: true})
		if up.released.Load() || down.released.Load() {
			t.Errorf("released by %v", s)
		}
	}
	c.signal(arrival{signal: unix.SIGUSR1, kernel: true})
	if !up.released.Load() || !down.released.Load() {
		t.Error("not released by SIGUSR1")
	}
}
