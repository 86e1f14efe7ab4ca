package host

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// openTun opens it for a moment, which makes no device.
func openTun() error {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// Tun says whether this process may make packet devices.
func (m *Machine) Tun() Finding {
	f := Finding{Name: "packet devices", Vital: true, Means: "cannot make packet devices"}
	err := m.OpenTun()
	in := m.container() != ""
	switch {
	case err == nil:
		f.OK, f.Means, f.Says = true, "", tunPath+" is open"
		if mode, _, ok := m.tunMode(); ok && mode&0o006 != 0o006 && m.UID == 0 {
			f.Says = fmt.Sprintf("%s is open, but not to ordinary users (mode %04o)", tunPath, mode)
		}
	case errors.Is(err, unix.ENOENT) && in:
		f.Says, f.Mend = "there is no "+tunPath, "start the container with --device "+tunPath
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		f.Says, f.Mend = "there is no "+tunPath, "sudo modprobe tun"
		if !errors.Is(err, unix.ENOENT) {
			f.Says = tunPath + " has no driver"
		}
		f.Keep = "echo tun | sudo tee /etc/modules-load.d/tun.conf"
	case errors.Is(err, unix.EACCES):
		mode, owner, _ := m.tunMode()
		f.Says = fmt.Sprintf("%s is not open to you (mode %04o%s)", tunPath, mode, owner)
		f.Mend = "sudo chmod 0666 " + tunPath
		f.Keep = `echo 'KERNEL=="tun", MODE="0666", OPTIONS+="static_node=net/tun"' | sudo tee /etc/udev/rules.d/60-tun.rules`
		if in {
			f.Keep = "do that on the host too: --device copies the mode"
		}
	case errors.Is(err, unix.EPERM): // the devices of a control group
		f.Says, f.Mend = tunPath+" is there, but the container may not use it", "start the container with --device "+tunPath
	default:
		f.Says, f.Mend = fmt.Sprintf("opening %s: %s", tunPath, reason(err)), "sudo dmesg (it may say why)"
	}
	return f
}

// tried is Tun's finding, and that of making a device, where that was tried.
func (m *Machine) tried(t Trial) Finding {
	f := m.Tun()
	if f.OK && t.inside() && t.Device != nil {
		f.OK, f.Means = false, "cannot make packet devices"
		f.Says, f.Mend = tunPath+" opens, but makes none: "+reason(t.Device), "sudo dmesg (it may say why)"
	}
	return f
}

// tunMode is the mode, and the owner in words where it is known here.
func (m *Machine) tunMode() (mode fs.FileMode, owner string, ok bool) {
	info, err := fs.Stat(m.Files, tunPath[1:])
	if err != nil {
		return 0, "", false
	}
	const nobody = 65534 // who is not mapped into this user namespace looks like it
	if s, is := info.Sys().(*syscall.Stat_t); is && s.Uid == 0 {
		owner = ", owner root"
	} else if is && s.Uid != nobody {
		owner = fmt.Sprintf(", owner %d", s.Uid)
	}
	return info.Mode().Perm(), owner, true
}
