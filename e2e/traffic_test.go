package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// number returns what the first group of a pattern matches in a text.
func number(t testing.TB, text, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in\n%s", pattern, text)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The original's own integration test, here without its link: ten containers of 10 ms each way and two that do nothing,
// and one ping. Other work on the machine may delay a packet, never hasten it: so one run of twenty is enough.
func TestOriginalIntegration(t *testing.T) {
	l := newLab(t)
	chain := strings.Fields("gm-delay 10 gm-delay 10 gm-delay 10 gm-delay 10 gm-onoff uplink 1000000 0 " +
		"gm-delay 10 gm-delay 10 gm-delay 10 gm-loss uplink 0 gm-delay 10 gm-delay 10 gm-delay 10")
	quietly(t, attempts, func() error {
		out := l.output(append(chain, "sh", "-c", "probe ping -c 1 $GM_BASE")...)
		rtt := number(t, out, `time=([\d.]+) ms`)
		if rtt < 200 {
			t.Fatalf("a packet was early: RTT %v ms", rtt)
		}
		if rtt > 210 {
			return fmt.Errorf("RTT %v ms, want 200 to 210", rtt)
		}
		return nil
	})
}

// The same seed and packets meet the same fate.
func TestSeed(t *testing.T) {
	l := newLab(t)
	fate := func(args ...string) string {
		out := l.output(append(args, "probe", "udp", "-n", "10000", "-i", "50us", "192.0.2.1")...)
		line, _, _ := strings.Cut(out, "\n")
		return line
	}
	seven := fate("gm-loss", "both", "0.1", "--seed", "7")
	if again := fate("gm-loss", "both", "0.1", "--seed", "7"); again != seven {
		t.Errorf("two runs with the same seed: %q and %q", seven, again)
	}
	if other := fate("gm-loss", "both", "0.1", "--seed", "8"); other == seven {
		t.Errorf("two seeds, one fate: %q", other)
	}
	// 0.9 squared of 10,000, within four standard deviations.
	if n := number(t, seven, `received (\d+)`); n < 8100-160 || n > 8100+160 {
		t.Errorf("received %v of 10,000 through twice 10 %% loss", n)
	}
}

// A gigabyte through loss and delay arrives as it was sent, over both families and in both directions.
func TestGigabyte(t *testing.T) {
	l := newLab(t)
	size := "1000000000"
	if testing.Short() {
		size = "20000000"
	}
	for _, c := range []struct{ name, address, direction string }{
		{"uplink over IPv4", "192.0.2.1", "-reverse=false"},
		{"downlink over IPv6", "2001:db8:1::1", "-reverse"},
		{"uplink over IPv6", "2001:db8:1::1", "-reverse=false"},
		{"downlink over IPv4", "192.0.2.1", "-reverse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := l.to(c.address, "gm-delay", "0.2", "gm-loss", "-v", "both", "0.01", "probe", "tcp", "-bytes", size, "-check",
				"-cc", "bbr", c.direction)
			if !strings.Contains(out, size+" bytes") || !strings.Contains(out, "hash right") {
				t.Error(out)
			}
			if !strings.Contains(out, "dropped (random loss)") {
				t.Errorf("nothing was lost:\n%s", out)
			}
			t.Log(out)
		})
	}
}

// Our own count says how much a flow lost: 1 % of its data packets, within 5 %.
func TestLossCount(t *testing.T) {
	l := newLab(t)
	out := l.output("gm-loss", "-v", "--seed", "1", "uplink", "0.01", "probe", "tcp", "-time", "2s", "-cc", "bbr", "192.0.2.1")
	in, lost := number(t, out, `uplink: (\d+) packets in`), number(t, out, `(\d+) dropped \(random loss\)`)
	if rate := lost / in; in < 100_000 || rate < 0.0095 || rate > 0.0105 {
		t.Errorf("%v of %v packets lost, %.4f:\n%s", lost, in, rate, out)
	}
}

// Nothing crosses the link but what programs send.
func TestNoStrayPackets(t *testing.T) {
	l := newLab(t)
	var wg sync.WaitGroup
	var seen []byte
	wg.Add(1)
	all := l.host("sh", "-c", "probe count any 4s")
	go func() {
		defer wg.Done()
		seen, _ = all.CombinedOutput()
	}()
	time.Sleep(300 * time.Millisecond)
	out := l.output("gm-delay", "1", "-v", "gm-delay", "2", "-v", "sleep", "2.5")
	wg.Wait()
	for _, direction := range []string{"uplink", "downlink"} {
		if strings.Count(out, direction+": 0 packets in") != 2 {
			t.Errorf("something crossed an idle link:\n%s", out)
		}
	}
	// But for the try of the firewall, to the discard port, which goes no further than the host.
	tries := regexp.MustCompile(`(?m)^delay-.*00090009.*\n`)
	if strings.Contains(tries.ReplaceAllString(string(seen), ""), "delay-") {
		t.Errorf("on the outer device:\n%s", seen)
	}
}

// Whatever a process inside sends, the emulator goes on.
func TestGarbage(t *testing.T) {
	l := newLab(t)
	for _, option := range []string{"--precise=false", "--no-offload"} {
		out := l.output("gm-delay", option, "1", "gm-loss", option, "both", "0", "sh", "-c",
			"for seed in 1 2 3 4; do probe raw random:$seed:2000 || exit 1; done; probe raw 45; probe raw 4f; probe raw 60; "+
				"sleep 0.1; probe tcp -bytes 1000000 -check 192.0.2.1 && probe udp -n 50 2001:db8:1::1")
		if !strings.Contains(out, "hash right") || !strings.Contains(out, "received 50") {
			t.Errorf("%s: %s", option, out)
		}
	}
	// A jumbo MTU inside, and fragments.
	out := l.output("gm-delay", "1", "probe", "udp", "-n", "50", "-size", "5000", "192.0.2.1")
	if !strings.Contains(out, "received 50") {
		t.Error(out)
	}
}

// What NAT cannot translate is dropped and counted, and never leaves with a private source.
func TestUntranslated(t *testing.T) {
	if asUser {
		return // it is about NAT on the host
	}
	l := newLab(t)
	var wg sync.WaitGroup
	watch := l.server("probe", "count", "eth0", "2s")
	var seen []byte
	wg.Add(1)
	go func() {
		defer wg.Done()
		seen, _ = watch.CombinedOutput()
	}()
	time.Sleep(300 * time.Millisecond)
	// A TCP reset of no connection, 100.64.0.2:1234 to 192.0.2.1:9: conntrack calls it invalid.
	reset := "450000280000400040067848" + "64400002" + "c0000201" + "04d2" + "0009" + "00000001" + "00000000" + "5004" + "0000" + "0000" + "0000"
	out := l.output("gm-delay", "1", "-v", "sh", "-c", "for i in 1 2 3; do probe raw "+withChecksums(t, reset)+"; done; sleep 0.2")
	wg.Wait()
	if strings.Contains(string(seen), "64400002") {
		t.Errorf("a private source address was sent out:\n%s", seen)
	}
	if !strings.Contains(out, "3 packets dropped that NAT could not translate") {
		t.Errorf("not counted:\n%s", out)
	}
}

// withChecksums completes an IPv4 TCP packet of 40 bytes, in hexadecimal.
func withChecksums(t *testing.T, packet string) string {
	t.Helper()
	b := make([]byte, 40)
	if _, err := fmt.Sscanf(packet, "%x", &b); err != nil {
		t.Fatal(err)
	}
	put := func(at int, data []byte) {
		var s uint32
		for i := 0; i < len(data); i += 2 {
			s += uint32(data[i])<<8 | uint32(data[i+1])
		}
		s = s&0xffff + s>>16
		s = ^(s&0xffff + s>>16)
		b[at], b[at+1] = byte(s>>8), byte(s)
	}
	b[10], b[11] = 0, 0
	put(10, b[:20])
	put(36, append(append([]byte{0, 6, 0, 20}, b[12:20]...), b[20:]...))
	return fmt.Sprintf("%x", b)
}

// The host does not become a router for its neighbours.
func TestNoRouterForNeighbours(t *testing.T) {
	if asUser {
		return // it is about NAT on the host
	}
	l := newLab(t)
	hold := l.run("gm-delay", "1", "sleep", "4")
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	defer hold.Wait()
	eventually(t, 3*time.Second, func() error {
		if !strings.Contains(l.state(), "link eth0 veth mtu 1500 up true forwarding 1") {
			return fmt.Errorf("eth0 does not forward:\n%s", l.state())
		}
		return nil
	})
	output(t, l.server("probe", "route", "203.0.113.0/24", "192.0.2.2"))
	output(t, l.server("probe", "route", "100.64.0.0/10", "192.0.2.2"))
	output(t, l.server("probe", "route", "2001:db8:2::/48", "2001:db8:1::2"))
	watch := l.server("probe", "count", "eth0", "1500ms")
	done := make(chan []byte)
	go func() {
		out, _ := watch.CombinedOutput()
		done <- out
	}()
	time.Sleep(300 * time.Millisecond)
	for _, to := range []string{"203.0.113.9", "100.64.0.2", "2001:db8:2::9"} {
		output(t, l.server("probe", "udp", "-n", "3", "-wait", "100ms", to))
	}
	seen := string(<-done)
	// Each packet is seen once, on its way out; were it routed, it would come back with a lower TTL.
	for _, dst := range []string{"cb007109", "64400002", "20010db8000200000000000000000009"} {
		if n := strings.Count(seen, dst); n != 3 {
			t.Errorf("%d packets to %s on the wire, want 3:\n%s", n, dst, seen)
		}
	}
}

// A hundred started at the same instant all get addresses of their own and reach the server; afterwards all is gone.
func TestHundredAtOnce(t *testing.T) {
	l := newLab(t)
	before := l.state()
	var wg sync.WaitGroup
	var mu sync.Mutex
	bases := map[string]bool{}
	for range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out, err := l.run("gm-delay", "1", "sh", "-c", "echo base=$GM_BASE; probe udp -n 20 -wait 3s 192.0.2.1; probe connect [2001:db8:1::1]:9000; sleep 1").CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			base, _, _ := strings.Cut(string(out), "\n")
			if bases[base] && !asUser { // a user's is each in a room of its own
				t.Errorf("two have %s", base)
			}
			bases[base] = true
			if err != nil || !strings.Contains(string(out), "received 20") || !strings.Contains(string(out), "connected") {
				t.Errorf("%v: %s", err, out)
			}
		}()
	}
	wg.Wait()
	l.unchanged(before)
}

// Under a load of 1 Gbit/s of single packets the delay line keeps what it holds small, and does not grow.
func TestMemory(t *testing.T) {
	l := newLab(t)
	quietly(t, attempts, func() error { // a machine that is late holds more
		c := l.run("gm-delay", "50", "probe", "flood", "-rate", "1000", "-time", "8s", "192.0.2.1")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var sizes []float64
		time.Sleep(4 * time.Second)
		for range 3 {
			most := 0.0 // of the tool, and for an ordinary user of the tool in the room
			for _, p := range append([]int{c.Process.Pid}, descendants(c.Process.Pid)...) {
				if status := readProc(t, p, "status"); strings.Contains(status, "Name:\tgm-delay\n") {
					most = max(most, number(t, status, `VmRSS:\s+(\d+) kB`)/1000)
				}
			}
			sizes = append(sizes, most)
			time.Sleep(time.Second)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		t.Logf("resident memory under load: %v MB", sizes)
		if slices.Max(sizes) > 40 {
			return fmt.Errorf("resident memory under load: %v MB, want at most 40", sizes)
		}
		if sizes[2] > sizes[0]+2 {
			return fmt.Errorf("resident memory grows: %v MB", sizes)
		}
		return nil
	})
}
