package host

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What the buffers are judged by: one TCP flow.
const (
	wantedRate = 1e9 // bit/s
	wantedRTT  = 100 * time.Millisecond
)

// A buffer holds packets with what the kernel adds to each, so that not all of it is data in flight: measured on Linux
// 6.18 over gm-delay 50, 0.65 of tcp_rmem's limit and 0.65 to 0.85 of tcp_wmem's. Before 6.6 a receiver counts on half
// (tcp_adv_win_scale in ip-sysctl.rst).
const dataPart = 0.65

// buffers says how fast one flow can be over a long path. A new network namespace starts with the limits of the machine's
// first (tcp_sk_init in net/ipv4/tcp_ipv4.c), whatever its parent's are; the other end of a flow may be here.
func (m *Machine) buffers(t Trial) Finding {
	const rmem, wmem = "/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"
	f := Finding{Name: "TCP buffers", OK: true}
	r, w := m.greatest(rmem), m.greatest(wmem)
	elsewhere := min(t.Rmem, t.Wmem) > 0 && (t.Rmem < r || t.Wmem < w)
	if elsewhere {
		r, w = min(r, t.Rmem), min(w, t.Wmem)
	}
	rate := float64(min(r, w)) * dataPart * 8 / wantedRTT.Seconds()
	f.Figures = map[string]float64{"tcp_rmem_bytes": float64(r), "tcp_wmem_bytes": float64(w), "at_100ms_mbps": rate / 1e6}
	f.Says = fmt.Sprintf("one flow over an RTT of 100 ms can do about %s", bits(rate))
	if rate < wantedRate {
		const enough = 32 << 20
		f.OK, f.Means = false, "a faster link with such a delay stays partly idle, for lack of window"
		var raise []string
		if r < enough {
			raise = append(raise, "net.ipv4.tcp_rmem="+m.raised(rmem, enough))
		}
		if w < enough {
			raise = append(raise, "net.ipv4.tcp_wmem="+m.raised(wmem, enough))
		}
		f.setting(raise...)
		switch {
		case m.container() != "":
			f.Mend = "on the host: " + f.Mend
		case elsewhere:
			f.Mend = "in the machine's first network namespace: " + f.Mend
		}
	}
	return f
}

// greatest is the third number of tcp_rmem or tcp_wmem, in bytes.
func (m *Machine) greatest(path string) int {
	f := strings.Fields(m.read(path))
	if len(f) != 3 {
		return 0
	}
	n, _ := strconv.Atoi(f[2])
	return n
}

// raised is the setting with another greatest number.
func (m *Machine) raised(path string, greatest int) string {
	f := strings.Fields(m.read(path))
	if len(f) != 3 {
		return fmt.Sprintf("4096 131072 %d", greatest)
	}
	return fmt.Sprintf("%s %s %d", f[0], f[1], greatest)
}

// bits is a rate in words.
func bits(rate float64) string {
	if rate >= 1e9 {
		return fmt.Sprintf("%.2g Gbit/s", rate/1e9)
	}
	return fmt.Sprintf("%.0f Mbit/s", rate/1e6)
}
