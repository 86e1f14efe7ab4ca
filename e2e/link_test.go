package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// event is a line of --events.
type event struct {
	T, Size, Arrival, Delay, Rate int64
	Link, Event, Proto            string
}

func events(t *testing.T, file string) (out []event) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		out = append(out, e)
	}
	return out
}

// to runs a tool whose command takes a server's address last, with TCP end to end: for an ordinary user the server is in a
// sandbox, by its address of the same family.
func (l *lab) to(server string, args ...string) string {
	l.t.Helper()
	return l.output(l.toArgs(server, args...)...)
}

func (l *lab) toArgs(server string, args ...string) []string {
	if !asUser {
		return append(args, server)
	}
	base := "$GM_BASE"
	if strings.Contains(server, ":") {
		base = "$GM_BASE6"
	}
	return append([]string{"gm-sandbox", "sh", "-c", `probe serve & sleep 0.3; "$@" ` + base, "sh"}, args...)
}

func (l *lab) toServer(args ...string) string {
	l.t.Helper()
	return l.to("192.0.2.1", args...)
}

// Queues under one Cubic flow over 20 Mbit/s and 40 ms of RTT: those that manage themselves keep the delay near their
// target, droptail fills what it has.
func TestQueueingDelay(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		queue, args string
		least, most time.Duration // 95th percentile
		carried     float64       // of the link's rate, at least
	}{
		{"droptail", "packets=200", 80 * time.Millisecond, 121 * time.Millisecond, 0.85}, // full: 120 ms
		{"droptail", "bdp=1, rtt=40", 20 * time.Millisecond, 41 * time.Millisecond, 0.85},
		{"codel", "packets=1000", 0, 20 * time.Millisecond, 0.85}, // target 5 ms
		{"fq_codel", "", 0, 20 * time.Millisecond, 0.85},
		{"pie", "packets=1000", 0, 45 * time.Millisecond, 0.85}, // target 15 ms
		{"red", "packets=200", 0, 80 * time.Millisecond, 0.6},   // it keeps 17 to 50 packets on average, less than a BDP
	} {
		t.Run(c.queue+" "+c.args, func(t *testing.T) {
			file := filepath.Join(temp(t), "events")
			quietly(t, attempts, func() error {
				l.toServer("gm-delay", "20", "gm-link", "20Mbps", "20Mbps", "--uplink-queue="+c.queue, "--uplink-queue-args="+c.args,
					"--events="+file, "--seed=1", "probe", "tcp", "-time", "8s", "-cc", "cubic")
				delays, drops, last := waits(t, file, 2*time.Second) // after slow start
				p95 := time.Duration(delays[len(delays)*95/100])
				t.Logf("p95 of the queueing delay %v, %d drops, %d departures in %v", p95, drops, len(delays), last)
				if p95 < c.least || p95 > c.most {
					return fmt.Errorf("95th percentile of the queueing delay is %v, want %v to %v", p95, c.least, c.most)
				}
				if drops == 0 {
					return errors.New("the flow met no limit")
				}
				if carried := float64(len(delays)) * 12000 / (last - 2*time.Second).Seconds(); carried < c.carried*20e6 {
					return fmt.Errorf("the link carried %.1f Mbit/s", carried/1e6)
				}
				return nil
			})
		})
	}
}

// waits returns how long each packet waited that left the uplink after a time, in order of length, the number of drops, and
// when the last event was.
func waits(t *testing.T, file string, after time.Duration) (delays []int64, drops int, last time.Duration) {
	t.Helper()
	for _, e := range events(t, file) {
		last = time.Duration(e.T)
		switch {
		case e.Link == "uplink" && e.Event == "departure" && last > after:
			delays = append(delays, e.Delay)
		case e.Link == "uplink" && e.Event == "drop":
			drops++
		}
	}
	slices.Sort(delays)
	return delays, drops, last
}

// While packets wait, each leaves exactly its own transmission time after the one before, to the nanosecond.
func TestRateExact(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(temp(t), "events")
	const rate = 96e6
	l.toServer("gm-link", "96Mbps", "96Mbps", "--uplink-queue=droptail", "--uplink-queue-args=packets=100", "--events="+file,
		"probe", "tcp", "-bytes", "20000000", "-check")
	for _, link := range []string{"uplink", "downlink"} {
		free, n, busy := 0.0, 0, 0 // when the link has sent what it has, in ns
		for _, e := range events(t, file) {
			if e.Link != link || e.Event != "departure" {
				continue
			}
			n++
			if float64(e.Arrival) < free {
				busy++
			}
			free = max(free, float64(e.Arrival)) + float64(e.Size)*8e9/rate
			if off := float64(e.T) - free; off < -0.01 || off > 1.01 {
				t.Fatalf("%s packet %d left at %d ns, want %.2f", link, n, e.T, free)
			}
		}
		if n < 1000 {
			t.Errorf("%d packets on the %s", n, link)
		}
		t.Logf("%s: %d departures, %d after waiting", link, n, busy)
	}
}

// A marked packet arrives marked, and the flow slows down without a loss.
func TestECN(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(temp(t), "events")
	quietly(t, attempts, func() error {
		out := l.toServer("gm-delay", "10", "gm-link", "20Mbps", "20Mbps", "--uplink-queue=codel",
			"--uplink-queue-args=packets=1000, ecn", "--events="+file, "-v", "probe", "tcp", "-time", "5s", "-cc", "cubic", "-ecn")
		delays, drops, _ := waits(t, file, 0)
		p95 := time.Duration(delays[len(delays)*95/100])
		t.Logf("%d departures, %d drops, p95 %v\n%s", len(delays), drops, p95, out)
		if drops > 0 || p95 > 30*time.Millisecond || !strings.Contains(out, "Mbit/s") {
			return fmt.Errorf("%d drops, p95 of the queueing delay %v; want none, and the delay low", drops, p95)
		}
		return nil
	})
}
