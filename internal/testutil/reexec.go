package testutil

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideVar names the test that a process was started for by Reexec.
const insideVar = "GOMAHI_TEST_INSIDE"

// Reexec runs the calling test, which is no subtest, in a process of its own whose network and mount namespaces are
// new: for code whose goroutines run on any thread, or that reads files at fixed paths. It returns true in that
// process, where loopback is up and no mount reaches the host. Elsewhere it returns false when that process has ended,
// and the test with it.
func Reexec(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) == t.Name() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatalf("bringing up loopback: %v", err)
		}
		return true
	}
	NeedNamespaces(t)
	args := []string{"-test.run=^" + regexp.QuoteMeta(t.Name()) + "$", "-test.count=1", "-test.timeout=1m", "-test.v"}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), insideVar+"="+t.Name(),
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=10") // the race detector's default is a second
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(string(out), "\n--- SKIP: "+t.Name()):
		t.Skipf("%s", out)
	case err == nil && testing.Verbose():
		t.Logf("%s", out)
	case errors.As(err, &exit):
		t.Errorf("%v\n%s", err, out)
	case err != nil:
		t.Errorf("starting the test again: %v", err)
	}
	return false
}
