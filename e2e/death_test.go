package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespaces counts the network namespaces that processes of ours are in: those of our programs, and those that have a
// marker on their command line.
func namespaces(marker string) int {
	seen := map[string]bool{}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		exe, _ := os.Readlink(p + "/exe")
		line, _ := os.ReadFile(p + "/cmdline")
		if strings.HasPrefix(exe, bin) || strings.Contains(string(line), marker) {
			if n, err := os.Readlink(p + "/ns/net"); err == nil {
				seen[n] = true
			}
		}
	}
	return len(seen)
}

// However a tool dies, and at whatever moment, nothing of it stays: no device, no rule, no reservation, no process.
func TestKill(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	l := newLab(t)
	before := l.state()
	marker := fmt.Sprintf("1001.%d", os.Getpid())
	spaces := namespaces(marker)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		// Ordinary ones run a flow; contained ones have started daemons besides.
		args := []string{"gm-delay", "1", "probe", "tcp", "-time", "10s", "192.0.2.1"}
		if i%2 == 1 {
			args = []string{"gm-delay", "1", "--contain", "sh", "-c", "(setsid sleep " + marker + " &) ; setsid sleep " + marker + " & probe tcp -time 10s 192.0.2.1"}
		}
		if i%4 > 1 {
			args = append([]string{"gm-loss", "both", "0.01"}, args...)
		}
		c := l.run(args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
		family := descendants(c.Process.Pid)
		c.Process.Kill()
		c.Wait()
		eventually(t, 5*time.Second, func() error {
			for _, p := range family {
				if alive(p) {
					return fmt.Errorf("round %d: %v: process %d is still there", i, args, p)
				}
			}
			return nil
		})
	}
	// What a SIGKILL cannot undo, the next one reclaims.
	l.output("gm-delay", "0", "true")
	l.unchanged(before)
	eventually(t, 5*time.Second, func() error {
		if n := namespaces(marker); n > spaces {
			return fmt.Errorf("%d network namespaces, were %d", n, spaces)
		}
		return nil
	})
	if s := l.output("cat", "/proc/net/unix"); strings.Contains(s, "gomahi") {
		t.Errorf("reservations stay:\n%s", s)
	}
}

// Sixty levels carry a ping and die together, whichever is killed.
func TestSixtyLevels(t *testing.T) {
	l := newLab(t)
	before := l.state()
	var chain []string
	for range 60 {
		chain = append(chain, "gm-delay", "0")
	}
	out := l.output(append(chain, "sh", "-c", "probe ping -c 2 -i 0.2 $GM_BASE && probe ping -c 2 -i 0.2 $GM_BASE6 && probe tcp -bytes 2000000 -check $GM_BASE")...)
	if strings.Count(out, " 0% packet loss") != 2 || !strings.Contains(out, "hash right") {
		t.Error(out)
	}
	l.unchanged(before)
	for _, level := range []int{0, 30, 59} {
		c := l.run(append(chain, "sleep", "1000")...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var family []int
		eventually(t, 20*time.Second, func() error {
			family = descendants(c.Process.Pid)
			if len(family) < 60 {
				return fmt.Errorf("%d levels are there", len(family))
			}
			return nil
		})
		time.Sleep(50 * time.Millisecond)
		unix.Kill(append([]int{c.Process.Pid}, family...)[level], unix.SIGKILL)
		c.Wait()
		eventually(t, 10*time.Second, func() error {
			for _, p := range family {
				if alive(p) {
					return fmt.Errorf("process %d is still there", p)
				}
			}
			return nil
		})
		l.output("gm-delay", "0", "true")
		l.unchanged(before)
	}
}

// Contained, nothing that the command started outlives it.
func TestContain(t *testing.T) {
	l := newLab(t)
	marker := fmt.Sprintf("1000.%d", os.Getpid())
	for _, end := range []string{"true", "kill -KILL $$"} {
		l.run("gm-delay", "0", "--contain", "sh", "-c", "(setsid sleep "+marker+" &); nohup sleep "+marker+" >/dev/null & "+end).Run()
		eventually(t, 5*time.Second, func() error {
			all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range all {
				if b, _ := os.ReadFile(f); strings.Contains(string(b), marker) {
					return fmt.Errorf("a daemon lives on: %s", f)
				}
			}
			return nil
		})
	}
	// It sees itself and what it starts.
	out := l.output("gm-delay", "0", "--contain", "sh", "-c", "echo me $$; ls /proc | grep -c '^[0-9]*$'")
	if !strings.Contains(out, "me 2\n") && !strings.Contains(out, "me ") {
		t.Error(out)
	}
	if n := number(t, out, `(?m)^(\d+)$`); n > 5 {
		t.Errorf("its /proc shows %v processes", n)
	}
}
