package host

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestMain(m *testing.M) {
	if IsTrial() {
		os.Exit(RunTrial(os.Stdout))
	}
	os.Exit(m.Run())
}

// Where the tools work, all of a trial does, with a user namespace and without.
func TestTrial(t *testing.T) {
	testutil.NeedNamespaces(t)
	for _, row := range []struct {
		name         string
		unprivileged bool
	}{{"in network and mount namespaces", false}, {"in a user namespace too", true}} {
		t.Run(row.name, func(t *testing.T) {
			got := try(row.unprivileged)
			if got.Rmem < 4096 || got.Wmem < 4096 {
				t.Errorf("buffers of %d and %d bytes", got.Rmem, got.Wmem)
			}
			got.Rmem, got.Wmem = 0, 0
			if d := cmp.Diff(Trial{}, got, cmpopts.EquateErrors()); d != "" {
				t.Error(d)
			}
		})
	}
}

// What does not work is told apart: here there is no right to do anything, but to have buffers.
func TestTrialWithoutRights(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	runtime.LockOSThread()
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	RunTrial(&out)
	got := parseTrial(out.Bytes())
	same(t, true, got.Rmem > 0 && got.Wmem > 0)
	got.Rmem, got.Wmem = 0, 0
	want := Trial{Loopback: unix.EPERM, Mounts: unix.EPERM, Device: unix.EPERM, NFTables: unix.EPERM}
	if d := cmp.Diff(want, got, cmpopts.EquateErrors()); d != "" {
		t.Error(d)
	}
}

func TestParseTrial(t *testing.T) {
	got := parseTrial([]byte("loopback 0\nmounts 13\ndevice 1\nnftables 95\nrmem 6291456\nwmem 4194304\nmore\nnews 1\n"))
	want := Trial{Mounts: unix.EACCES, Device: unix.EPERM, NFTables: unix.EOPNOTSUPP, Rmem: 6291456, Wmem: 4194304}
	if d := cmp.Diff(want, got, cmpopts.EquateErrors()); d != "" {
		t.Error(d)
	}
}

// This machine is one on which the checks find something to say, and do not take long.
func TestHere(t *testing.T) {
	start := time.Now()
	for _, f := range Here().Findings(true) {
		if f.Name == "" || f.Says == "" || f.OK != (f.Mend == "") || f.Keep != "" && f.OK || strings.Contains(f.Mend, "\n") {
			t.Errorf("%+v", f)
		}
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The first that stops a way is said, and what only the other way needs is not.
func TestWhyNot(t *testing.T) {
	none := files{"/proc/sys/user/max_user_namespaces": "0\n"}
	for _, row := range []struct {
		name         string
		m            *Machine
		unprivileged bool
		tun          error
		want         string // the finding's name
	}{
		{"nothing", made(root, nil), false, nil, ""},
		{"nothing without privilege", made(0, nil), true, nil, ""},
		{"no privilege", made(0, nil), false, unix.ENOENT, "privilege"},
		{"no user namespaces", made(0, none), true, unix.ENOENT, "user namespaces"},
		{"none, which root does not need", made(root, none), false, nil, ""},
		{"no device", made(root, none), false, unix.ENOENT, "packet devices"},
		{"no device without privilege", made(0, nil), true, unix.ENOENT, "packet devices"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.m.OpenTun = func() error { return row.tun }
			got := ""
			if f := row.m.whyNot(row.unprivileged); f != nil {
				got = f.Name
			}
			same(t, row.want, got)
		})
	}
}

func TestOversleep(t *testing.T) {
	const n, each = 5, 2 * time.Millisecond
	late := oversleep(n, each)
	same(t, n, len(late))
	for _, l := range late {
		if l < 0 || l > time.Second {
			t.Errorf("%v late", l)
		}
	}
}
