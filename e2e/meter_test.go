package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// tmux is a terminal, with a shell in a laboratory's host.
type tmux struct {
	t      testing.TB
	socket string
	run    string // the directory of control sockets
	states int    // how often it was asked for
}

func newTmux(t testing.TB, l *lab, w, h int) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		testutil.Skip(t, "tmux is not installed")
	}
	dir := temp(t)
	m := &tmux{t: t, socket: filepath.Join(dir, "tmux"), run: filepath.Join(dir, "run")}
	if err := os.Mkdir(m.run, 0o700); err != nil {
		t.Fatal(err)
	}
	if asUser {
		os.Chown(m.run, user, user)
	}
	m.say("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(w), "-y", strconv.Itoa(h), "exec "+m.shell(l))
	t.Cleanup(func() { exec.Command("tmux", "-S", m.socket, "kill-server").Run() })
	m.expect(`(?m)^\$$`)
	return m
}

// shell is the command line of a shell with a short prompt.
func (m *tmux) shell(l *lab) string {
	return "env LC_ALL=C.UTF-8 XDG_RUNTIME_DIR=" + m.run + " PS1='$ ' " + strings.Join(l.run("sh", "-c", "'exec bash --norc --noprofile -i'").Args, " ")
}

func (m *tmux) say(args ...string) string {
	m.t.Helper()
	c := exec.Command("tmux", append([]string{"-u", "-S", m.socket}, args...)...)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := c.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

func (m *tmux) keys(keys ...string) {
	m.t.Helper()
	m.say(append([]string{"send-keys"}, keys...)...)
}

func (m *tmux) line(s string) {
	m.t.Helper()
	m.say("send-keys", "-l", s)
	m.keys("Enter")
}

func (m *tmux) screen() string {
	return strings.TrimRight(m.say("capture-pane", "-p"), "\n")
}

// expect waits until the screen has a pattern, and returns the screen.
func (m *tmux) expect(pattern string) (s string) {
	m.t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(m.t, 20*time.Second, func() error {
		if s = m.screen(); !re.MatchString(s) {
			return fmt.Errorf("no %q on the screen:\n%s", pattern, s)
		}
		return nil
	})
	return s
}

// state is what a program may leave behind.
func (m *tmux) state() string {
	m.t.Helper()
	m.states++
	m.line(fmt.Sprintf("clear; stty -a | cksum; echo that was %d", m.states))
	s := m.expect(fmt.Sprintf(`(?m)^\d+ \d+\nthat was %d$`, m.states))
	return regexp.MustCompile(`(?m)^\d+ \d+$`).FindString(s) + m.say("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag} #{keypad_cursor_flag}")
}

// newest is the latest process of a name below the terminal.
func (m *tmux) newest(name string) (pid int) {
	m.t.Helper()
	top, _ := strconv.Atoi(strings.TrimSpace(m.say("display-message", "-p", "#{pane_pid}")))
	eventually(m.t, 10*time.Second, func() error {
		for _, p := range descendants(top) {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p)); strings.TrimSpace(string(b)) == name {
				pid = p
			}
		}
		if pid == 0 {
			return fmt.Errorf("there is no %s", name)
		}
		return nil
	})
	return pid
}

// A shell below graphs, and everything that is done with it; afterwards the terminal is as before.
func TestMeter(t *testing.T) {
	l := newLab(t)
	m := newTmux(t, l, 80, 24)
	before := m.state()

	m.line("gm-meter")
	m.expect(`(?s)↑ uplink gm-meter +↓ downlink gm-meter.*Ctrl-G \? for help.*\[meter\]`)
	m.line("probe udp -n 100 -i 20ms -size 1000 192.0.2.1")
	m.expect(`peak [1-9][\d.]* kbit/s +now [\d.]+ .*kbit/s`)
	m.say("resize-window", "-x", "100", "-y", "40")
	m.line("clear; stty size")
	m.expect(`(?m)^24 100$`)
	m.keys("C-g", "l", "C-g", "l", "C-g", "y")
	m.line("clear; stty size")
	m.expect(`│ *40 59`)
	m.expect(` log `)
	m.keys("C-g", "l", "C-g", "l", "C-g", "l")
	m.line("sleep 1000")
	m.newest("sleep") // before, Ctrl-Z would be a key of the shell's
	m.keys("C-z")
	m.expect(`Stopped`)
	m.line("kill %1; clear; echo ü日本 ready")
	m.expect(`(?m)^ü日本 ready$`)
	m.line("exit")
	m.expect(`(?sm)^\$ gm-meter\n.*ü日本 ready.*exit\n\$$`)
	m.say("resize-window", "-x", "80", "-y", "24")
	if now := m.state(); now != before {
		t.Errorf("the terminal is %q, but was %q", now, before)
	}

	// The command as a job of the shell outside.
	m.line("gm-meter sh -c 'echo st''arted; read x; echo got $x'")
	m.expect(`(?s)Ctrl-G.*started`)
	m.keys("C-z")
	m.expect(`Stopped +gm-meter`)
	if now := m.state(); now != before {
		t.Errorf("after Ctrl-Z the terminal is %q, but was %q", now, before)
	}
	m.line("fg")
	m.expect(`(?s)Ctrl-G.*started`)
	m.line("hello")
	m.expect(`(?s)got hello\n\$$`)
	m.line("gm-meter sh -c 'exit 7'; echo status $?")
	m.expect(`(?m)^status 7$`)
	m.line("clear; gm-meter sh -c 'seq 1 100; read x'")
	m.expect(`(?s)Ctrl-G.*\n100$`)
	m.keys("C-g", "PPage")
	m.expect(`(?s)OUTPUT OF \d+ LINES BEFORE.*\n76\n`)
	m.line("ready")
	m.expect(`(?m)^ready\n\$$`) // or the next line is still for the command
	if b, _ := os.ReadFile("/proc/sys/dev/tty/legacy_tiocsti"); !asUser || strings.TrimSpace(string(b)) != "0" {
		m.line("clear; gm-meter sleep 3")
		m.newest("sleep")
		m.line("echo typed ahe''ad")
		m.expect(`(?m)^typed ahead$`)
	}
	if now := m.state(); now != before {
		t.Errorf("at the end the terminal is %q, but was %q", now, before)
	}
}

// However a metered command or its tool dies, the terminal is as it was.
func TestMeterKilled(t *testing.T) {
	l := newLab(t)
	m := newTmux(t, l, 80, 24)
	before := m.state()
	for _, row := range []struct {
		victim string
		s      unix.Signal
		job    bool // all of its process group
	}{{"gm-meter", unix.SIGTERM, false}, {"gm-meter", unix.SIGABRT, false}, {"sleep", unix.SIGKILL, false}, {"gm-init", unix.SIGKILL, false},
		{"gm-meter", unix.SIGKILL, true}, {"gm-meter", unix.SIGKILL, false}} {
		t.Run(fmt.Sprint(row.s, " of ", row.victim, ", its job ", row.job), func(t *testing.T) {
			m.say("clear-history")
			m.line(`clear; gm-meter sh -c 'echo la""st words; printf "\033[?1049h\033[?1003h\033[?25l"; exec sleep 1000'`)
			m.expect(`↑ uplink gm-meter`)
			time.Sleep(300 * time.Millisecond)
			pid := m.newest(row.victim)
			if row.job {
				group, err := unix.Getpgid(pid)
				if err != nil {
					t.Fatal(err)
				}
				pid = -group
			}
			unix.Kill(pid, row.s)
			eventually(t, 5*time.Second, func() error {
				if s := m.say("display-message", "-p", "#{alternate_on}"); s != "0\n" {
					return fmt.Errorf("still drawn:\n%s", m.screen())
				}
				return nil
			})
			eventually(t, 5*time.Second, func() error { // what Go says of an abort is long
				if s := m.say("capture-pane", "-p", "-S", "-"); !strings.Contains("\n"+s, "\nlast words\n") {
					return fmt.Errorf("what the command wrote is gone:\n%s", s)
				}
				return nil
			})
			time.Sleep(300 * time.Millisecond)
			if now := m.state(); now != before {
				t.Errorf("the terminal is %q, but was %q", now, before)
			}
		})
	}
	// What they left is removed by the next.
	left := func() int { all, _ := filepath.Glob(m.run + "/gomahi/*.sock"); return len(all) }
	if left() == 0 {
		t.Error("no socket is left after SIGKILL: this tests nothing")
	}
	eventually(t, 20*time.Second, func() error { // those that nobody has waited for yet still seem to run
		m.line("clear; gm-delay 0 true; echo re''ady")
		m.expect(`(?m)^ready$`)
		if n := left(); n != 0 {
			return fmt.Errorf("%d sockets are left", n)
		}
		return nil
	})
}

// Nested tools share one screen, and another terminal can watch.
func TestNestedMeters(t *testing.T) {
	l := newLab(t)
	m := newTmux(t, l, 200, 50)
	m.line("gm-meter --contain gm-delay 5 gm-link --meter-all --uplink-queue=droptail --uplink-queue-args=packets=10 4Mbps 8Mbps -- bash --norc")
	m.expect(`(?s)uplink gm-meter.*downlink gm-meter.*uplink gm-link 4Mbps 8Mbps.*downlink gm-link 4Mbps 8Mbps.*uplink delay gm-link.*downlink delay gm-link`)
	m.line("probe udp -n 2000 -i 1ms -size 1400 192.0.2.1")
	m.expect(`(?s)uplink gm-link 4Mbps 8Mbps.*peak [34]\.\d+ Mbit/s +× \d+ dropped.*probe udp`)
	m.say("split-window", "-h", "exec "+m.shell(l))
	m.expect(`(?m)\$$`)
	m.line("gm-meter --attach")
	m.expect(`(?s)uplink gm-meter.*gm-delay 5.*gm-link 4Mbps 8Mbps.*q quits`)
	m.keys("q")
	m.expect(`(?m)^\$ gm-meter --attach\n\$$`)
	m.line("gm-meter --attach 1")
	m.expect(`no tool of yours is process 1`)
	m.line("exit")
	eventually(t, 10*time.Second, func() error {
		if s := m.say("display-message", "-p", "#{window_panes}"); s != "1\n" {
			return errors.New("the other terminal is still there")
		}
		return nil
	})
	m.line("clear; exit")
	m.expect(`(?m)^\$$`)
}
