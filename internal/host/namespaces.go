package host

import "fmt"

// namespaces says whether the trial got the namespaces that the tools need, for the way that this process would go.
func (m *Machine) namespaces(t Trial) Finding {
	err := t.Start
	if err == nil {
		err = t.Loopback
	}
	if !m.Privileged() {
		return m.UserNamespaces(err)
	}
	f := Finding{Name: "namespaces", Vital: true, OK: err == nil, Says: "network and mount namespaces can be made"}
	if err != nil {
		f.Means, f.Says = "cannot make namespaces", fmt.Sprintf("the kernel says %q", reason(err))
		f.Mend = "see the kernel's log for who forbids it: sudo dmesg"
		if m.status("Seccomp") == "2" {
			f.Says += "; there is a seccomp filter"
			f.Mend = "docker run --security-opt seccomp=unconfined ..."
		}
	}
	return f
}

// others says for root what ordinary users will meet.
func (m *Machine) others() Finding {
	f := m.UserNamespaces(nil)
	f.Vital = false
	if !f.OK {
		f.Means = "ordinary users cannot start the tools"
	}
	return f
}

// Mounts says what an error of mounting in a namespace of one's own means.
func Mounts(err error) Finding {
	f := Finding{Name: "mounts", Vital: true, OK: err == nil, Says: "a namespace may have its own /etc/resolv.conf"}
	if err != nil {
		f.Means = "cannot make mounts private"
		f.Says = fmt.Sprintf("a security module, as Docker's AppArmor profile, forbids it (%s)", reason(err))
		f.Mend = "docker run --security-opt apparmor=unconfined ..."
	}
	return f
}
