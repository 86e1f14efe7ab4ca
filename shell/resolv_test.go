package shell

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

func TestRewrite(t *testing.T) {
	const ours = "# made by gomahi: queries cross the emulated link\nnameserver 127.0.0.53\n"
	for _, row := range []struct{ name, conf, want string }{
		{"empty", "", ours},
		{"only a server", "nameserver 192.0.2.1\n", ours},
		{"several servers, IPv6 too", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ours},
		{"all that is kept", "domain example.org\nsearch example.org example.com\noptions ndots:2 edns0\n",
			ours + "domain example.org\nsearch example.org example.com\noptions ndots:2 edns0\n"},
		{"in between", "search a\nnameserver 192.0.2.1\noptions rotate\n", ours + "search a\noptions rotate\n"},
		{"without a last newline", "nameserver 192.0.2.1\nsearch a", ours + "search a\n"},
		{"comments", "# search x\n; search y\nsearch z # w\n", ours + "search z # w\n"},
		{"tabs", "search\ta\tb\n", ours + "search\ta\tb\n"},
		{"empty lines", "\n\n  \nsearch a\n\n", ours + "search a\n"},
		{"words that begin alike", "searching a\noption b\nnameservers c\n", ours},
		{"sortlist and others", "sortlist 192.0.2.0\nlookup file bind\n", ours},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, string(rewrite([]byte(row.conf)))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// putResolvConf gives this process, which has its own mount namespace, a resolv.conf.
func putResolvConf(t *testing.T, content string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file, resolvConf, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("covering %s: %v", resolvConf, err)
	}
	t.Cleanup(func() { unix.Unmount(resolvConf, unix.MNT_DETACH) })
	return file
}

func TestNameservers(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	for _, row := range []struct {
		name, conf string
		want       []string
	}{
		{"one", "nameserver 192.0.2.1\n", []string{"192.0.2.1"}},
		{"in their order", "nameserver 192.0.2.2\nnameserver 192.0.2.1\n", []string{"192.0.2.2", "192.0.2.1"}},
		{"IPv6", "nameserver 2001:db8::1\nnameserver fe80::1%lo\n", []string{"2001:db8::1", "fe80::1%lo"}},
		{"none", "search example.org\n", []string{"127.0.0.1"}},
		{"empty", "", []string{"127.0.0.1"}},
		{"among others", "# x\nsearch a\n\nnameserver\t192.0.2.1  # y\noptions rotate", []string{"192.0.2.1"}},
		{"without an address", "nameserver\nnameserver 192.0.2.1\n", []string{"192.0.2.1"}},
		{"with nonsense", "nameserver example.org\nnameserver 192.0.2.1\n", []string{"192.0.2.1"}},
		{"commented out", "#nameserver 192.0.2.2\n;nameserver 192.0.2.3\nnameserver 192.0.2.1\n", []string{"192.0.2.1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			putResolvConf(t, row.conf)
			var got []string
			for _, a := range nameservers() {
				got = append(got, a.String())
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The thread that asked sees our file and no door, all others what the host has.
func TestPrivateNames(t *testing.T) {
	if !testutil.Reexec(t) {
		return
	}
	if err := unix.Mount("test", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	const door = "/run/nscd/socket"
	if err := os.Mkdir(filepath.Dir(door), 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: door})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Umask(0o077)

	const host = "nameserver 192.0.2.1\nsearch example.org\n"
	// private runs privateNames on a thread of its own and returns what is at our two paths there.
	private := func(t *testing.T) (at netip.Addr, conf string, mode, doorMode os.FileMode) {
		t.Helper()
		var err error
		onThread(func() {
			if at, err = privateNames(); err != nil {
				return
			}
			b, _ := os.ReadFile(resolvConf)
			conf = string(b)
			if i, err := os.Stat(resolvConf); err == nil {
				mode = i.Mode()
			}
			var i os.FileInfo
			if i, err = os.Stat(door); err == nil {
				doorMode = i.Mode()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return at, conf, mode, doorMode
	}
	t.Run("with a file", func(t *testing.T) {
		putResolvConf(t, host)
		at, conf, mode, doorMode := private(t)
		if at.String() != "127.0.0.53" || conf != string(rewrite([]byte(host))) || mode != 0o644 {
			t.Errorf("names are served at %v; of mode %v there is\n%s", at, mode, conf)
		}
		if doorMode&os.ModeDevice == 0 {
			t.Errorf("the door is still there: %v", doorMode)
		}
		if b, err := os.ReadFile(resolvConf); string(b) != host {
			t.Errorf("outside there is %v\n%s", err, b)
		}
		if i, err := os.Stat(door); err != nil || i.Mode()&os.ModeSocket == 0 {
			t.Errorf("the door outside is gone: %v", err)
		}
	})
	t.Run("nested", func(t *testing.T) {
		putResolvConf(t, string(rewrite([]byte(host))))
		if at, conf, _, _ := private(t); at.String() != "127.0.0.53" || strings.Count(conf, "nameserver") != 1 {
			t.Errorf("names are served at %v with\n%s", at, conf)
		}
	})
	t.Run("with a symbolic link", func(t *testing.T) {
		etc(t)
		if err := os.WriteFile("/run/resolv.conf", []byte(host), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../run/resolv.conf", resolvConf); err != nil {
			t.Fatal(err)
		}
		if at, conf, _, _ := private(t); at.String() != "127.0.0.53" || conf != string(rewrite([]byte(host))) {
			t.Errorf("names are served at %v with\n%s", at, conf)
		}
		if b, err := os.ReadFile("/run/resolv.conf"); string(b) != host {
			t.Errorf("outside there is %v\n%s", err, b)
		}
	})
	t.Run("with a deleted file", func(t *testing.T) {
		file := putResolvConf(t, host)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		var err error
		onThread(func() { _, err = privateNames() })
		if err == nil || !strings.Contains(err.Error(), "\nhint: the file that is mounted there has been deleted") {
			t.Errorf("it says %v", err)
		}
	})
	t.Run("without a file", func(t *testing.T) {
		etc(t)
		if at, conf, _, _ := private(t); at.String() != "127.0.0.1" || conf != "" {
			t.Errorf("names are served at %v with\n%s", at, conf)
		}
	})
	t.Run("with a link that leads nowhere", func(t *testing.T) {
		etc(t)
		if err := os.Symlink("/run/nothing", resolvConf); err != nil {
			t.Fatal(err)
		}
		if at, conf, _, _ := private(t); at.String() != "127.0.0.1" || conf != "" {
			t.Errorf("names are served at %v with\n%s", at, conf)
		}
	})
}

// etc gives this process, which has its own mount namespace, an empty /etc.
func etc(t *testing.T) {
	t.Helper()
	if err := unix.Mount("test", "/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
}
