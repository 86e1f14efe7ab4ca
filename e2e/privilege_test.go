package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"gomahi/internal/testutil"
)

// Whoever may not build containers is told exactly what is missing.
func TestMissingPrivilege(t *testing.T) {
	c := exec.Command("gm-delay", "5", "true")
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := c.CombinedOutput()
	want := "gm-delay: error: cannot make network namespaces and devices: this process has neither CAP_NET_ADMIN nor CAP_SYS_ADMIN\n" +
		"gm-delay: hint: run it as root (sudo), or in a container started with --cap-add NET_ADMIN --cap-add SYS_ADMIN --device /dev/net/tun\n"
	if string(out) != want || c.ProcessState.ExitCode() != 125 {
		t.Errorf("%v, %s", err, out)
	}
}

// In a container that has NET_ADMIN and SYS_ADMIN, and little else, everything works; and without the device the error
// names it.
func TestFewPrivileges(t *testing.T) {
	testutil.NeedNamespaces(t)
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Log("setpriv is not installed: only the missing device is tested")
	} else {
		l := newLab(t)
		out := l.output("setpriv", "--bounding-set", "-all,+net_admin,+sys_admin,+net_raw,+net_bind_service,+setpcap", "--inh-caps", "-all",
			"gm-delay", "1", "gm-loss", "both", "0", "probe", "tcp", "-bytes", "100000", "-check", "192.0.2.1")
		if !strings.Contains(out, "hash right") {
			t.Error(out)
		}
		out = func() string {
			b, _ := l.host("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all", "gm-delay", "1", "true").CombinedOutput()
			return string(b)
		}()
		if !strings.Contains(out, "lacks CAP_SYS_ADMIN") || !strings.Contains(out, "--cap-add SYS_ADMIN") {
			t.Error(out)
		}
	}
	l := newLab(t)
	b, _ := l.host("sh", "-c", "mount -t tmpfs none /dev/net && gm-delay 1 true").CombinedOutput()
	if !strings.Contains(string(b), "there is no /dev/net/tun") {
		t.Errorf("%s", b)
	}
}
