package e2e

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// thenCount gives a command of sh an address, and has it print the counters of the container's kernel.
const thenCount = ` "$0"; cat /proc/net/snmp`

// counter is the value of a protocol's counter in the text of /proc/net/snmp.
func counter(t *testing.T, text, protocol, name string) float64 {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^`+protocol+`: (.*)$`).FindAllStringSubmatch(text, -1)
	if len(lines) != 2 {
		t.Fatalf("no counters of %s in\n%s", protocol, text)
	}
	i := slices.Index(strings.Fields(lines[0][1]), name)
	return number(t, strings.Fields(lines[1][1])[i], `(\d+)`)
}

// What gm-corrupt flips on the downlink, the receiver's kernel finds by the checksum, and drops.
func TestCorrupt(t *testing.T) {
	l := newLab(t)
	const corrupted = `downlink: .* (\d+) corrupted`

	out := l.output("gm-corrupt", "downlink", "10%", "--payload-only", "--seed=1", "-v",
		"sh", "-c", "probe udp -n 5000 -i 200us -size 500"+thenCount, "192.0.2.1")
	n := number(t, out, corrupted)
	if math.Abs(n-500) > 3*math.Sqrt(5000*0.1*0.9) {
		t.Errorf("%v of 5000 packets corrupted, want 500", n)
	}
	came, left := number(t, out, `downlink: (\d+) packets in`), number(t, out, `received (\d+)`)
	if seen := counter(t, out, "Udp", "InCsumErrors"); seen != n || left != came-n {
		t.Errorf("of %v packets %v corrupted, %v seen so, %v received", came, n, seen, left)
	}

	// Each bit by itself: of 1000 bytes, 1-(1-1e-5)^8000 of the packets.
	out = l.output("gm-corrupt", "downlink", "--ber=1e-5", "--payload-only", "--seed=1",
		"sh", "-c", "probe udp -n 5000 -i 200us -size 1000"+thenCount, "192.0.2.1")
	p := 1 - math.Pow(1-1e-5, 8000)
	if seen := counter(t, out, "Udp", "InCsumErrors"); math.Abs(seen-5000*p) > 3*math.Sqrt(5000*p*(1-p)) {
		t.Errorf("of 5000 packets %v had a wrong checksum, want %v", seen, 5000*p)
	}

	// A flow gets through, and arrives as it was sent.
	out = l.toServer("gm-corrupt", "downlink", "1%", "--payload-only", "--seed=1", "-v",
		"sh", "-c", "probe tcp -reverse -check -bytes 5000000"+thenCount)
	if seen := counter(t, out, "Tcp", "InCsumErrors"); seen == 0 || seen > number(t, out, corrupted) {
		t.Errorf("%v segments had a wrong checksum, %v were corrupted", seen, number(t, out, corrupted))
	}
	if !strings.Contains(out, "hash right") {
		t.Errorf("the stream arrived otherwise: %s", out)
	}
}

// A run that was recorded is had again, packet by packet, whatever the seed.
func TestRepeatRun(t *testing.T) {
	l := newLab(t)
	dir := temp(t)
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	run := func(options ...string) string {
		out := l.output(append(append([]string{"gm-burst", "uplink", "--loss=5%", "--burst=3"}, options...),
			"probe", "udp", "-n", "10000", "-i", "50us", "192.0.2.1")...)
		line, _, _ := strings.Cut(out, "\n")
		return line
	}
	fate := run("--record=" + first)
	if again := run("--repeat="+first, "--record="+second); again != fate && !asUser { // a gateway may lose some of its own
		t.Errorf("recorded %q, repeated %q", fate, again)
	}
	decided := func(file string) (out []string) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); f[0] == "uplink" {
				out = append(out, f[1]+" "+f[4])
			}
		}
		return out
	}
	if a, b := decided(first), decided(second); len(a) < 10000 || !slices.Equal(a, b) {
		t.Errorf("%d decisions, and %d: the same %v", len(a), len(b), slices.Equal(a, b))
	}
}
