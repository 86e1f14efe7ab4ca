package tun

import (
	"fmt"
	"os"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"gomahi/packet"
)

// OpenPlain creates the device name in the calling thread's network namespace without offloads: every read is one wire
// packet with its checksum complete, as for the original. It is about ten times slower.
func OpenPlain(name string) (Device, error) {
	if len(name) >= unix.IFNAMSIZ { // the library would cut it off
		return nil, fmt.Errorf("creating the TUN device %s: %w", name, unix.EINVAL)
	}
	w, err := water.New(water.Config{
		DeviceType:             water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name},
	})
	if err != nil {
		return nil, fmt.Errorf("creating the TUN device %s: %w", name, err)
	}
	// The library's own Read waits in Go's poller, which the ferry's clock cannot, and its descriptor would pass to the
	// command. So the device is read through a duplicate that neither holds for.
	defer w.Close()
	raw, err := w.ReadWriteCloser.(*os.File).SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dup error
	if err := raw.Control(func(f uintptr) { fd, dup = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dup != nil {
		return nil, fmt.Errorf("duplicating a descriptor: %w", dup)
	}
	return newDevice(name, fd, packet.VnetLen), nil
}
