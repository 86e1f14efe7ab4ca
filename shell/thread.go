package shell

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own and returns when f has; the thread then stays asleep as long as the process
// lives, since children started from it get a signal when it exits. It is not the process's first thread, whose
// namespaces are what others see in /proc.
func onThread(f func()) {
	done := make(chan struct{})
	go freshThread(func() {
		f()
		close(done)
		select {}
	})
	<-done
}

// ownNamespace is a descriptor of the calling thread's network namespace.
func ownNamespace() (int, error) {
	return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// within runs f on a thread in the network namespace that fd refers to. Sockets made there stay there.
func within(fd int, f func()) (err error) {
	done := make(chan struct{})
	go freshThread(func() {
		defer close(done)
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	<-done
	return err
}

// freshThread runs f locked to a thread other than the first, which ends with it.
func freshThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		freshThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}
