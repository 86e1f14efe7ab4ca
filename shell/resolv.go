package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const resolvConf = "/etc/resolv.conf"

// stubAddress is where the name service inside listens, unless there is no resolv.conf: then libraries ask 127.0.0.1
// (resolv.conf(5)), and so that is where it is.
var stubAddress = netip.MustParseAddr("127.0.0.53")

// otherDoors are sockets of resolver daemons: nss-resolve, nscd and mdns would ask these past the link.
var otherDoors = []string{"/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/var/run/nscd/socket",
	"/run/avahi-daemon/socket"}

// upstream are the name servers of a room, in place of resolv.conf's.
var upstream []netip.Addr

// nameservers returns what a resolv.conf names, in its order; the local host where it names none.
func nameservers() []netip.Addr {
	if upstream != nil {
		return upstream
	}
	b, _ := os.ReadFile(resolvConf)
	var out []netip.Addr
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, a)
		}
	}
	if out == nil {
		out = append(out, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return out
}

// privateNames gives the calling thread, and what is started from it, a mount namespace in which resolv.conf names only
// the forwarder at the returned address and no daemon's socket leads around it. What the host mounts later appears
// there too, and nothing of it outside.
func privateNames() (netip.Addr, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return netip.Addr{}, fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return netip.Addr{}, fmt.Errorf("making mounts private: %w\nhint: a security module forbids it; for Docker's, "+
			"start the container with --security-opt apparmor=unconfined", err)
	}
	for _, door := range otherDoors {
		if _, err := os.Stat(door); err == nil {
			if err := unix.Mount("/dev/null", door, "", unix.MS_BIND, ""); err != nil {
				return netip.Addr{}, fmt.Errorf("hiding %s: %w", door, err)
			}
		}
	}
	old, err := os.ReadFile(resolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil {
		return netip.Addr{}, err
	}
	err = cover(resolvConf, rewrite(old))
	if errors.Is(err, unix.ENOENT) { // it could be read
		err = fmt.Errorf("%w\nhint: the file that is mounted there has been deleted since, and Linux mounts nothing over such; "+
			"umount %s, or mount a file that exists", err, resolvConf)
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("putting our %s over the host's: %w", resolvConf, err)
	}
	return stubAddress, nil
}

// rewrite names our forwarder as the only name server, and keeps the rest.
func rewrite(conf []byte) []byte {
	out := []byte("# made by gomahi: queries cross the emulated link\nnameserver " + stubAddress.String() + "\n")
	for line := range bytes.Lines(conf) {
		if f := bytes.Fields(line); len(f) > 0 && (string(f[0]) == "search" || string(f[0]) == "domain" || string(f[0]) == "options") {
			out = append(append(out, bytes.TrimRight(line, "\n")...), '\n')
		}
	}
	return out
}

// cover mounts a file with the given content over another. It lives in memory, in a file system that nothing else
// reaches: for the moment it takes, that stands at /etc, which only this thread sees.
func cover(path string, content []byte) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0) // follows symbolic links, as libraries will
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	size := fmt.Sprintf("mode=755,size=%d", len(content)+64<<10)
	if err := unix.Mount("gomahi", "/etc", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, size); err != nil {
		return err
	}
	defer unix.Unmount("/etc", unix.MNT_DETACH)
	if err := os.WriteFile("/etc/resolv.conf", content, 0o644); err != nil {
		return err
	}
	if err := os.Chmod("/etc/resolv.conf", 0o644); err != nil { // whatever the umask
		return err
	}
	return unix.Mount("/etc/resolv.conf", fmt.Sprintf("/proc/thread-self/fd/%d", fd), "", unix.MS_BIND, "")
}

// ownConfigs puts the user's copies over parts of ssh's configuration that belong to root: in a user namespace these
// seem to be nobody's, and ssh refuses to read them.
func ownConfigs() error {
	files, _ := filepath.Glob("/etc/ssh/ssh_config.d/*")
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			continue // not for this user
		}
		if err := cover(f, content); err != nil {
			return fmt.Errorf("putting a copy over %s: %w", f, err)
		}
	}
	return nil
}
