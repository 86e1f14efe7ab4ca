// Package testutil is what tests need of the kernel, and the only place where one may be skipped for the lack of it.
package testutil

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Skip skips a test that cannot run here, and fails it in CI, where everything must.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("in CI no test may be skipped: %s", why)
	}
	t.Skip(why)
}

// SocketDir is a directory for a test whose name leaves room for those of sockets, as that of t.TempDir may not.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// NeedNamespaces skips a test where network namespaces and TUN devices cannot be made.
func NeedNamespaces(t testing.TB) {
	t.Helper()
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	unix.Capget(&h, &d[0])
	const need = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN
	if d[0].Effective&need != need {
		Skip(t, "needs CAP_NET_ADMIN and CAP_SYS_ADMIN")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		Skip(t, "needs /dev/net/tun")
	}
}

// InNamespace runs f on a thread in a new network namespace, in which it may do anything. f must not call t.FailNow, so
// it returns what is wrong.
func InNamespace(t testing.TB, f func() error) {
	t.Helper()
	NeedNamespaces(t)
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		errs <- err
	}()
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
}
