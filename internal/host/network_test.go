package host

import (
	"maps"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestIPv6(t *testing.T) {
	const conf = "/proc/sys/net/ipv6/conf/"
	beyond := "a container of root's reaches GM_BASE6, but nothing beyond"
	for _, row := range []struct {
		name     string
		caps     uint64
		more     files
		readOnly bool
		ok       bool
		says     string
		means    string
	}{
		{"the gateway's", 0, nil, false, true, "there, and gm-gateway carries it", ""},
		{"a router", root, files{conf + "all/forwarding": "1\n"}, false, true, "there, and this host forwards it", ""},
		{"Linux 6.17", root, files{conf + "all/force_forwarding": "0\n"}, false, true,
			"there; devices forward it one by one (force_forwarding)", ""},
		{"Linux 6.17 in Docker", root, files{conf + "all/force_forwarding": "0\n"}, true, false,
			"there, but /proc/sys is read-only", beyond},
		{"Linux 6.16", root, nil, false, false, "there, but no device of its own can be made to forward it (Linux 6.17 can)", beyond},
		{"off", 0, files{conf + "default/disable_ipv6": "1\n"}, false, false, "net.ipv6.conf.default.disable_ipv6 is 1",
			"containers have IPv4 alone"},
		{"none", root, files{conf + "all/forwarding": "gone"}, false, false, "this kernel has none", "containers have IPv4 alone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(row.caps, row.more)
			m.Writable = func(string) bool { return !row.readOnly }
			f := m.ipv6()
			same(t, row.ok, f.OK)
			same(t, row.ok, f.Mend == "")
			same(t, row.says, f.Says)
			same(t, row.means, f.Means)
		})
	}
}

func TestResolver(t *testing.T) {
	silent := os.ErrDeadlineExceeded
	for _, row := range []struct {
		name    string
		conf    string
		offline bool
		answers map[string]error // of those that answer, or fail at once
		ok      bool
		says    string
	}{
		{"one", "nameserver 192.0.2.53\n", false, map[string]error{"192.0.2.53": nil}, true, "/etc/resolv.conf names 192.0.2.53: answers"},
		{"the second answers", "# two\nnameserver 192.0.2.53\nsearch example.org\nnameserver 2001:db8::53\n", false,
			map[string]error{"2001:db8::53": nil}, true, "/etc/resolv.conf names 192.0.2.53, 2001:db8::53: answers"},
		{"silence", "nameserver 192.0.2.53\n", false, nil, false, "/etc/resolv.conf names 192.0.2.53: no answer within a second"},
		{"refused", "nameserver 127.0.0.53\n", false, map[string]error{"127.0.0.53": unix.ECONNREFUSED}, false,
			"/etc/resolv.conf names 127.0.0.53: connection refused"},
		{"none named", "nameserver\n", false, map[string]error{"127.0.0.1": nil}, true,
			"/etc/resolv.conf names none, so 127.0.0.1 is asked: answers"},
		{"no file", "gone", false, nil, false, "/etc/resolv.conf names none, so 127.0.0.1 is asked: no answer within a second"},
		{"not asked", "nameserver 192.0.2.53\n", true, nil, true, "/etc/resolv.conf names 192.0.2.53"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(0, files{"/etc/resolv.conf": row.conf})
			m.Ask = func(a netip.Addr) error {
				if row.offline {
					t.Errorf("%v was asked", a)
				}
				if err, found := row.answers[a.String()]; found {
					return err
				}
				return silent
			}
			f := m.resolver(row.offline)
			same(t, row.says, f.Says)
			same(t, row.ok, f.OK)
			same(t, false, f.Vital)
		})
	}
}

// The query is one that a name server can read.
func TestQuery(t *testing.T) {
	same(t, 12+len("\x07example\x03org\x00")+4, len(query))
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answered := make(chan string)
	go func() {
		b := make([]byte, 512)
		n, from, _ := c.ReadFrom(b)
		c.WriteTo(b[:n], from)
		answered <- string(b[:n])
	}()
	if err := askAt(c.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Error(err)
	}
	same(t, query, <-answered)
}

func TestPings(t *testing.T) {
	for _, row := range []struct {
		name  string
		caps  uint64
		gids  []int
		limit string
		ok    bool
		says  string
	}{
		{"root", root, []int{0}, "1\t0\n", true, "NAT carries them"},
		{"everybody", 0, []int{1000}, "0\t2147483647\n", true, "gm-gateway may send them for you"},
		{"a second group", 0, []int{1000, 27}, "27\t27\n", true, "gm-gateway may send them for you"},
		{"nobody", 0, []int{0, 1, 1000}, "1\t0\n", false, "net.ipv4.ping_group_range (1 0) has none of your groups"},
		{"another group", 0, []int{1000}, "1001\t2000\n", false, "net.ipv4.ping_group_range (1001 2000) has none of your groups"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(row.caps, files{"/proc/sys/net/ipv4/ping_group_range": row.limit})
			m.GIDs = row.gids
			f := m.pings()
			same(t, row.ok, f.OK)
			same(t, row.says, f.Says)
			if !row.ok {
				same(t, "sudo sysctl -w 'net.ipv4.ping_group_range=0 2147483647'", f.Mend)
			}
		})
	}
}

func TestBuffers(t *testing.T) {
	const enough = 33554432
	docker := files{"/.dockerenv": ""}
	for _, row := range []struct {
		name  string
		rmem  string
		wmem  string
		more  files
		trial Trial
		mbps  float64
		says  string
		mend  string
	}{
		{"large", "4096 131072 33554432", "4096 16384 33554432", nil, Trial{Rmem: enough, Wmem: enough}, 33.554432 * .65 * 80,
			"one flow over an RTT of 100 ms can do about 1.7 Gbit/s", ""},
		{"as Linux has them", "4096 131072 6291456", "4096 16384 4194304", nil, Trial{Rmem: 6291456, Wmem: 4194304}, 4.194304 * .65 * 80,
			"one flow over an RTT of 100 ms can do about 218 Mbit/s",
			"sudo sysctl -w 'net.ipv4.tcp_rmem=4096 131072 33554432' 'net.ipv4.tcp_wmem=4096 16384 33554432'"},
		{"a small one to receive", "4096\t87380\t6291456", "4096 16384 33554432", nil, Trial{}, 6.291456 * .65 * 80,
			"one flow over an RTT of 100 ms can do about 327 Mbit/s", "sudo sysctl -w 'net.ipv4.tcp_rmem=4096 87380 33554432'"},
		{"large here alone", "4096 131072 33554432", "4096 16384 33554432", nil, Trial{Rmem: enough, Wmem: 4194304}, 4.194304 * .65 * 80,
			"one flow over an RTT of 100 ms can do about 218 Mbit/s",
			"in the machine's first network namespace: sudo sysctl -w 'net.ipv4.tcp_wmem=4096 16384 33554432'"},
		{"a container's", "4096 131072 33554432", "4096 16384 4194304", docker, Trial{}, 4.194304 * .65 * 80,
			"one flow over an RTT of 100 ms can do about 218 Mbit/s",
			"on the host: sudo sysctl -w 'net.ipv4.tcp_wmem=4096 16384 33554432'"},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := files{"/proc/sys/net/ipv4/tcp_rmem": row.rmem, "/proc/sys/net/ipv4/tcp_wmem": row.wmem}
			maps.Copy(all, row.more)
			f := made(0, all).buffers(row.trial)
			same(t, row.mend == "", f.OK)
			same(t, row.says, f.Says)
			same(t, row.mend, f.Mend)
			if d := f.Figures["at_100ms_mbps"] - row.mbps; d < -1e-6 || d > 1e-6 {
				t.Errorf("%v", f.Figures)
			}
		})
	}
}

func TestClock(t *testing.T) {
	for _, row := range []struct {
		source string
		ok     bool
	}{{"tsc", true}, {"kvm-clock", true}, {"arch_sys_counter", true}, {"hpet", false}, {"xen", false}, {"", true}} {
		t.Run("source "+row.source, func(t *testing.T) {
			m := made(0, files{"/sys/devices/system/clocksource/clocksource0/current_clocksource": row.source + "\n"})
			same(t, row.ok, m.clock().OK)
		})
	}
}

func TestTimers(t *testing.T) {
	for _, row := range []struct {
		name string
		late func(i int) time.Duration
		ok   bool
		says string
	}{
		{"exact", func(i int) time.Duration { return time.Duration(i) * time.Microsecond }, true,
			"sleeps end 100 us late, 99 of 100 at most 198 us"},
		{"three late ones", func(i int) time.Duration {
			if i%70 == 0 {
				return 5 * time.Millisecond
			}
			return 60 * time.Microsecond
		}, false, "sleeps end 60 us late, 99 of 100 at most 5000 us"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := made(0, nil)
			m.Oversleep = func(n int, each time.Duration) (late []time.Duration) {
				for i := range n {
					late = append(late, row.late(n-1-i))
				}
				return late
			}
			f := m.timers()
			same(t, row.ok, f.OK)
			same(t, row.says, f.Says)
		})
	}
}
