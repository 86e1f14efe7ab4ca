package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A server and three clients behind different links, in a sandbox.
func TestSandbox(t *testing.T) {
	l := newLab(t)
	out := l.output("gm-sandbox", "sh", "-c", "probe serve & sleep 0.3; "+
		"(gm-delay 10 probe tcp -bytes 20000000 -check $GM_BASE | sed 's/^/a /') & a=$!; "+
		"(gm-link 40Mbps 40Mbps probe tcp -bytes 5000000 -check $GM_BASE | sed 's/^/b /') & b=$!; "+
		"(gm-loss both 0.01 gm-delay 1 probe tcp -cc bbr -bytes 20000000 -check -reverse $GM_BASE6 | sed 's/^/c /') & c=$!; wait $a $b $c")
	for _, client := range []string{"a", "b", "c"} {
		if number(t, out, `(?m)^`+client+` .*?([\d.]+) Mbit/s, hash right$`) == 0 {
			t.Error(out)
		}
	}
	if rate := number(t, out, `(?m)^b .*?([\d.]+) Mbit/s`); rate > 40 {
		t.Errorf("%v Mbit/s over a link of 40", rate)
	}
}

// A few levels and many have their way out, of both families.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		levels int
		bytes  string
	}{{5, "20000000"}, {60, "2000000"}} {
		t.Run(fmt.Sprint(c.levels), func(t *testing.T) {
			l := newLab(t)
			before := l.state()
			var chain []string
			for range c.levels {
				chain = append(chain, "gm-delay", "0.5")
			}
			out := l.output(append(chain, "sh", "-c", "probe ping -c 2 -i 0.1 $GM_BASE && probe tcp -bytes "+c.bytes+" -check 192.0.2.1 && "+
				"probe tcp -bytes "+c.bytes+" -check -reverse 2001:db8:1::1")...)
			if strings.Count(out, "hash right") != 2 || !strings.Contains(out, " 0% packet loss") {
				t.Error(out)
			}
			l.unchanged(before)
		})
	}
}

// Whichever of an ordinary user's processes dies, the others go too, and the tool says so by its status.
func TestWhoeverDies(t *testing.T) {
	if !asUser {
		return // root's way has but two
	}
	l := newLab(t)
	before := l.state()
	for _, victim := range []string{"gm-gateway", "gm-delay", "gm-delay again", "sleep"} {
		for _, s := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
			t.Run(fmt.Sprint(victim, " of ", s), func(t *testing.T) {
				c := l.run("gm-delay", "1", "sleep", "1000")
				var said strings.Builder
				c.Stderr = &said
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				var family []int
				var found int
				eventually(t, 5*time.Second, func() error {
					family = append([]int{c.Process.Pid}, descendants(c.Process.Pid)...)
					tools := 0
					found = 0
					commands := 0
					for _, p := range family {
						b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p))
						name := strings.TrimSpace(string(b))
						if name == "gm-delay" {
							if tools++; tools == 2 {
								name += " again"
							}
						}
						if name == "sleep" {
							commands++
						}
						if name == victim {
							found = p
						}
					}
					if found == 0 || commands == 0 {
						return fmt.Errorf("no %s among %v", victim, family)
					}
					return nil
				})
				unix.Kill(found, s)
				err := c.Wait()
				eventually(t, 5*time.Second, func() error {
					for _, p := range family {
						if alive(p) {
							return fmt.Errorf("process %d is still there", p)
						}
					}
					return nil
				})
				if err == nil {
					t.Error("status 0")
				}
				if victim == "gm-gateway" && (c.ProcessState.ExitCode() != 125 || !strings.Contains(said.String(), "gateway")) {
					t.Errorf("%v: %s", err, said.String())
				}
			})
		}
	}
	l.unchanged(before)
}

// The gateway's TCP gets through losses: what it has sent again may be lost too.
func TestGatewayLoss(t *testing.T) {
	if !asUser {
		return // there the kernel's TCP is end to end
	}
	l := newLab(t)
	out := l.output("gm-delay", "--fuse", "5", "gm-loss", "--seed=1", "both", "1%", "gm-link", "4Mbps", "20Mbps", "--downlink-queue=codel",
		"--downlink-queue-args=packets=500", "--", "sh", "-c",
		"for i in $(seq 20); do timeout 60 probe tcp -bytes 1000000 -check -reverse 192.0.2.1 || echo stuck & done; wait")
	if n := strings.Count(out, "hash right"); n != 20 {
		t.Errorf("%d of 20 flows came through:\n%s", n, out)
	}
}
