package host

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUserNamespaces(t *testing.T) {
	ubuntu := func(label string, more ...string) files {
		f := files{restrictAppArmor: "1\n", "/proc/self/attr/apparmor/current": label + "\n"}
		for _, m := range more {
			f[m] = ""
		}
		return f
	}
	filtered := "Name:\tgm\nSeccomp:\t2\n"
	const allProgs = "or let all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	for _, row := range []struct {
		name       string
		more       files
		err        error
		says, mend string // part of it; no mend where it is fine
		keep       string
	}{
		{"fine", nil, nil, "the kernel allows 9000", "", ""},
		{"an old kernel's limits", files{"/proc/sys/user/max_user_namespaces": "gone"}, nil, "allows 0", "", ""},
		{"not built in", files{"/proc/self/ns/user": "gone"}, nil, "this kernel has none (CONFIG_USER_NS)", "as root", ""},
		{"not built in, the kernel says", nil, unix.EINVAL, "this kernel has none", "as root", ""},
		{"none allowed", files{"/proc/sys/user/max_user_namespaces": "0\n"}, nil, "user.max_user_namespaces is 0",
			"sudo sysctl -w user.max_user_namespaces=65536",
			`printf '%s\n' user.max_user_namespaces=65536 | sudo tee -a /etc/sysctl.d/60-gomahi.conf`},
		{"no network namespaces allowed", files{"/proc/sys/user/max_net_namespaces": "0\n"}, unix.ENOSPC,
			"user.max_net_namespaces is 0", "sudo sysctl -w user.max_net_namespaces=65536", "user.max_net_namespaces=65536"},
		{"no mount namespaces allowed", files{"/proc/sys/user/max_mnt_namespaces": "0\n"}, unix.ENOSPC,
			"user.max_mnt_namespaces is 0", "sudo sysctl -w user.max_mnt_namespaces=65536", "user.max_mnt_namespaces=65536"},
		{"all used", nil, &fs.PathError{Op: "fork/exec", Path: "x", Err: unix.ENOSPC}, "as many as the kernel allows (9000)",
			"sudo sysctl -w user.max_user_namespaces=65536", "user.max_user_namespaces=65536"},
		{"a great many used", files{"/proc/sys/user/max_user_namespaces": "90000\n"}, unix.ENOSPC, "(90000)",
			"sudo sysctl -w user.max_user_namespaces=180000", "180000"},
		{"Debian's switch", files{debianSwitch: "0\n"}, unix.EPERM, "kernel.unprivileged_userns_clone is 0",
			"sudo sysctl -w kernel.unprivileged_userns_clone=1", "kernel.unprivileged_userns_clone=1"},
		{"Debian's switch on", files{debianSwitch: "1\n"}, nil, "the kernel allows 9000", "", ""},
		{"Ubuntu", ubuntu("unconfined"), nil, "AppArmor lets only programs that have a profile use them",
			"sudo make install (it brings /etc/apparmor.d/gomahi)", allProgs},
		{"Ubuntu, inside", ubuntu("unprivileged_userns (enforce)"), unix.EPERM, "AppArmor lets only programs", "sudo make install", allProgs},
		{"Ubuntu with another's profile", ubuntu("unconfined", profile), nil,
			"and /etc/apparmor.d/gomahi is not for this one or not loaded", "sudo apparmor_parser -r /etc/apparmor.d/gomahi", allProgs},
		{"Ubuntu with our profile", ubuntu("gomahi (unconfined)", profile), nil, "the kernel allows 9000", "", ""},
		{"Ubuntu that does not restrict", files{restrictAppArmor: "0\n", "/proc/self/attr/current": "unconfined\n"}, nil,
			"the kernel allows 9000", "", ""},
		{"Ubuntu without AppArmor's own directory", files{restrictAppArmor: "1\n", "/proc/self/attr/current": "unconfined\n"}, nil,
			"AppArmor lets only programs", "sudo make install", allProgs},
		{"Docker", files{"/.dockerenv": "", "/proc/self/status": filtered}, unix.EPERM, "a seccomp filter, as Docker's, forbids them",
			"docker run --security-opt seccomp=unconfined ..., or as root with --cap-add NET_ADMIN --cap-add SYS_ADMIN", ""},
		{"a service", files{"/proc/self/status": filtered}, unix.EPERM, "a seccomp filter, as Docker's or a systemd service's",
			"RestrictNamespaces=no", ""},
		{"SELinux", files{"/sys/fs/selinux/enforce": "1\n"}, unix.EACCES, "SELinux forbids them", "sudo ausearch -m avc", ""},
		{"SELinux that only tells", files{"/sys/fs/selinux/enforce": "0\n"}, unix.EACCES, `the kernel says "permission denied"`, "dmesg", ""},
		{"a chroot", files{"/proc/self/mountinfo": "30 1 0:9 / /proc rw - proc proc rw\n"}, unix.EPERM, "in a chroot",
			"start it outside the chroot", ""},
		{"nobody knows", nil, fmt.Errorf("doing: %w", unix.EPERM), `the kernel says "operation not permitted"`, "sudo dmesg", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := made(0, row.more).UserNamespaces(row.err)
			if f.Name != "user namespaces" || !f.Vital || f.OK != (row.mend == "") || f.OK != (f.Means == "") {
				t.Errorf("%+v", f)
			}
			for _, part := range []struct{ got, want string }{{f.Says, row.says}, {f.Mend, row.mend}, {f.Keep, row.keep}} {
				if !strings.Contains(part.got, part.want) || part.want == "" && part.got != "" {
					t.Errorf("%q does not have %q", part.got, part.want)
				}
			}
		})
	}
}

// For root the namespaces of ordinary users are worth a word, and those of its own way are vital.
func TestNamespacesOfRoot(t *testing.T) {
	m := made(root, files{"/proc/sys/user/max_user_namespaces": "0\n"})
	same(t, Finding{Name: "user namespaces", Says: "user.max_user_namespaces is 0", Means: "ordinary users cannot start the tools",
		Mend: "sudo sysctl -w user.max_user_namespaces=65536",
		Keep: `printf '%s\n' user.max_user_namespaces=65536 | sudo tee -a /etc/sysctl.d/60-gomahi.conf`}, m.others())
	same(t, true, m.namespaces(Trial{}).OK)
	for _, row := range []struct {
		name, status string
		trial        Trial
		says, mend   string
	}{
		{"not made", "Seccomp:\t0\n", Trial{Start: unix.EPERM}, `the kernel says "operation not permitted"`,
			"see the kernel's log for who forbids it: sudo dmesg"},
		{"no rights inside", "Seccomp:\t0\n", Trial{Loopback: unix.EPERM}, `the kernel says "operation not permitted"`,
			"see the kernel's log for who forbids it: sudo dmesg"},
		{"filtered", "Seccomp:\t2\n", Trial{Start: unix.EPERM}, `the kernel says "operation not permitted"; there is a seccomp filter`,
			"docker run --security-opt seccomp=unconfined ..."},
	} {
		t.Run(row.name, func(t *testing.T) {
			same(t, Finding{Name: "namespaces", Vital: true, Says: row.says, Means: "cannot make namespaces", Mend: row.mend},
				made(root, files{"/proc/self/status": row.status}).namespaces(row.trial))
		})
	}
}

func TestInside(t *testing.T) {
	for _, row := range []struct {
		name       string
		f          Finding
		says, mend string
	}{
		{"mounts", Mounts(unix.EACCES), "a security module, as Docker's AppArmor profile, forbids it (permission denied)",
			"docker run --security-opt apparmor=unconfined ..."},
		{"nftables", NFTables(unix.ENOENT), "this kernel's nftables has not all that it takes (no such file or directory)",
			"sudo modprobe -a nf_tables nft_ct nft_chain_nat nft_masq"},
	} {
		t.Run(row.name, func(t *testing.T) {
			same(t, row.name, row.f.Name)
			same(t, true, row.f.stops())
			same(t, row.says, row.f.Says)
			same(t, row.mend, row.f.Mend)
		})
	}
	same(t, true, Mounts(nil).OK && NFTables(nil).OK)
}
