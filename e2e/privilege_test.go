package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"gomahi/internal/testutil"
)

// Whoever may not build containers and asks for that way all the same is told exactly what is missing.
func TestMissingPrivilege(t *testing.T) {
	c := exec.Command("probe", "as", strconv.Itoa(user), "gm-delay", "--outside=nat", "5", "true")
	if os.Geteuid() != 0 {
		c = exec.Command(c.Args[3], c.Args[4:]...)
	}
	out, err := c.CombinedOutput()
	want := "gm-delay: error: cannot make network namespaces and devices: this process has neither CAP_NET_ADMIN nor CAP_SYS_ADMIN\n" +
		"gm-delay: hint: run it as root (sudo), or in a container started with --cap-add NET_ADMIN --cap-add SYS_ADMIN --device /dev/net/tun; gm-doctor tells more\n"
	if string(out) != want || c.ProcessState.ExitCode() != 125 {
		t.Errorf("%v, %s", err, out)
	}
}

// An ordinary user to whom the packet device is closed is told what opens it, as gm-doctor does.
func TestClosedDevice(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct{ do, says, mend string }{
		{"mount -t tmpfs none /dev/net && mknod -m 600 /dev/net/tun c 10 200", "/dev/net/tun is not open to you (mode 0600, owner root)", "chmod 0666 /dev/net/tun"},
		{"mount -t tmpfs none /dev/net", "there is no /dev/net/tun", "tun"},
	} {
		if out, err := l.host("sh", "-c", c.do).CombinedOutput(); err != nil {
			testutil.Skip(t, fmt.Sprintf("in a user namespace the device is not ours: %s", out))
		}
		for _, tool := range []string{"gm-delay 1 true", "gm-doctor --quick"} {
			args := append([]string{"probe", "as", "12345"}, strings.Fields(tool)...)
			b, _ := l.host(args...).CombinedOutput()
			if !strings.Contains(string(b), c.says) || !strings.Contains(string(b), c.mend) {
				t.Errorf("%s, after %s: %s", tool, c.do, b)
			}
		}
	}
}

// In a container that has NET_ADMIN and SYS_ADMIN, and little else, everything works; and without the device the error
// names it.
func TestFewPrivileges(t *testing.T) {
	testutil.NeedNamespaces(t)
	if asUser {
		return // it is about root
	}
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
			b, _ := l.host("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all", "gm-delay", "--outside=nat", "1", "true").CombinedOutput()
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
