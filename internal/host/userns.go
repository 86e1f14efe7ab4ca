package host

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	profile          = "/etc/apparmor.d/gomahi" // that "make install" brings
	restrictAppArmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	debianSwitch     = "/proc/sys/kernel/unprivileged_userns_clone"
)

// UserNamespaces says whether an ordinary user may make the namespaces that the tools start in. The error is that of
// trying it, or of the first act inside that needs a right there; nil if it was not tried, or worked. The errors are
// those of clone(2) and user_namespaces(7).
func (m *Machine) UserNamespaces(err error) Finding {
	f := Finding{Name: "user namespaces", Vital: true, Means: "cannot make user namespaces"}
	switch {
	case !m.exists("/proc/self/ns/user"):
		f.Says, f.Mend = "this kernel has none (CONFIG_USER_NS)", "use the tools as root, or a kernel with CONFIG_USER_NS=y"
	case m.forbiddenByLimit(&f, err):
	case m.read(debianSwitch) == "0":
		f.Says = "kernel.unprivileged_userns_clone is 0: only root may"
		f.setting("kernel.unprivileged_userns_clone=1")
	case m.read(restrictAppArmor) == "1" && m.restrictedLabel():
		m.forbiddenByAppArmor(&f)
	case err != nil:
		m.forbidden(&f, err)
	default:
		n, _ := m.number("/proc/sys/user/max_user_namespaces")
		f.OK, f.Means, f.Says = true, "", fmt.Sprintf("the kernel allows %d", n)
	}
	return f
}

// forbiddenByLimit finds the sysctl of namespaces(7) that is 0, or was reached.
func (m *Machine) forbiddenByLimit(f *Finding, err error) bool {
	const enough = 65536
	for _, kind := range []string{"user", "net", "mnt"} {
		name := "max_" + kind + "_namespaces"
		if n, ok := m.number("/proc/sys/user/" + name); ok && n == 0 {
			f.Says = "user." + name + " is 0"
			f.setting(fmt.Sprintf("user.%s=%d", name, enough))
			return true
		}
	}
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EUSERS) {
		return false
	}
	n, _ := m.number("/proc/sys/user/max_user_namespaces")
	f.Says = fmt.Sprintf("this user has as many as the kernel allows (%d), or they are nested more than 32 deep", n)
	f.setting(fmt.Sprintf("user.max_user_namespaces=%d", max(enough, 2*n)))
	return true
}

// restrictedLabel says whether this process has no profile of AppArmor's, or the one that takes all rights in user
// namespaces.
func (m *Machine) restrictedLabel() bool {
	label := m.read("/proc/self/attr/apparmor/current")
	if label == "" {
		label = m.read("/proc/self/attr/current")
	}
	return label == "unconfined" || strings.Contains(label, "unprivileged_userns")
}

func (m *Machine) forbiddenByAppArmor(f *Finding) {
	f.Says = "AppArmor lets only programs that have a profile use them"
	f.Mend = "sudo make install (it brings " + profile + ")"
	if m.exists(profile) {
		f.Says += ", and " + profile + " is not for this one or not loaded"
		f.Mend = "use the installed programs, or sudo apparmor_parser -r " + profile
	}
	f.Keep = "or let all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
}

// forbidden tells who forbade it, as well as that can be known.
func (m *Machine) forbidden(f *Finding, err error) {
	const noFilter = "docker run --security-opt seccomp=unconfined ..., or as root with --cap-add NET_ADMIN --cap-add SYS_ADMIN"
	seccomp := m.status("Seccomp")
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		f.Says, f.Mend = "this kernel has none (CONFIG_USER_NS)", "use the tools as root, or a kernel with CONFIG_USER_NS=y"
	case errors.Is(err, unix.EACCES) && m.read("/sys/fs/selinux/enforce") == "1":
		f.Says, f.Mend = "SELinux forbids them", "sudo ausearch -m avc -ts recent (it shows the rule that is missing)"
	case errors.Is(err, unix.EPERM) && m.chrooted():
		f.Says, f.Mend = "the kernel makes none for a program in a chroot", "start it outside the chroot"
	case errors.Is(err, unix.EPERM) && seccomp == "2" && m.container() != "":
		f.Says, f.Mend = "a seccomp filter, as Docker's, forbids them", noFilter
	case errors.Is(err, unix.EPERM) && seccomp == "2":
		f.Says = "a seccomp filter, as Docker's or a systemd service's, forbids them"
		f.Mend = noFilter + ", or in the service RestrictNamespaces=no"
	default:
		f.Says, f.Mend = fmt.Sprintf("the kernel says %q", reason(err)), "see the kernel's log for who forbids it: sudo dmesg"
	}
}

// chrooted says whether / is none of the mounts that this process sees.
func (m *Machine) chrooted() bool {
	mounts := m.read("/proc/self/mountinfo")
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" { // proc_pid_mountinfo(5)
			return false
		}
	}
	return mounts != ""
}

// reason is an error without what was being done.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
