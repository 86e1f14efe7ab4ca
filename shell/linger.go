package shell

import (
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// States of a TCP socket whose process has closed it while the peer may not have all of it yet, the FIN included
// (include/net/tcp_states.h). An established one whose process died counts until the kernel has closed it.
var closing = map[uint8]bool{
	1:  true, // ESTABLISHED
	4:  true, // FIN_WAIT1
	8:  true, // CLOSE_WAIT
	9:  true, // LAST_ACK
	11: true, // CLOSING
}

// unacknowledged says whether TCP sockets that no process holds any more still have something to deliver in the
// namespace of the handle.
func unacknowledged(h *netlink.Handle) bool {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := h.SocketDiagTCP(family)
		if err != nil {
			continue // no such family
		}
		for _, s := range sockets {
			if s.INode == 0 && s.WQueue > 0 && closing[s.State] {
				return true
			}
		}
	}
	return false
}

// linger waits until what was sent from inside is delivered: the packets under way, and what TCP has yet to send or to
// see acknowledged, unless h is nil. It ends after the given time at the latest, or when a signal in enough arrives.
func linger(uplink *ferry, h *netlink.Handle, most time.Duration, enough <-chan struct{}) {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		select {
		case <-uplink.drain():
		case <-deadline.C:
			return
		case <-enough:
			return
		}
		if h == nil || !unacknowledged(h) {
			return
		}
		select {
		case <-time.After(pause):
		case <-deadline.C:
			return
		case <-enough:
			return
		}
	}
}
