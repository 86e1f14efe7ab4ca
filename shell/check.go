package shell

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// check says what this process lacks to build containers.
func check() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return fmt.Errorf("asking for capabilities: %w", err)
	}
	var missing []string
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}} {
		if d[0].Effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	switch {
	case len(missing) == 2:
		return errors.New("cannot make network namespaces and devices: this process has neither CAP_NET_ADMIN nor " +
			"CAP_SYS_ADMIN\nhint: run it as root (sudo), or in a container started with " +
			"--cap-add NET_ADMIN --cap-add SYS_ADMIN --device /dev/net/tun")
	case len(missing) == 1:
		return fmt.Errorf("cannot make network namespaces and devices: this process lacks %s\nhint: start the "+
			"container with --cap-add %s", missing[0], missing[0][len("CAP_"):])
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return errors.New("cannot make packet devices: there is no /dev/net/tun\nhint: in a container, start it with " +
			"--device /dev/net/tun; elsewhere, \"modprobe tun\"")
	}
	return nil
}
