package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

func readProc(t testing.TB, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// descendants lists the processes below one, the nearest first.
func descendants(pid int) (out []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		children[parent] = append(children[parent], child)
	}
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		out = append(out, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return out
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0] != "Z"
}

// received waits until a file has the lines of "probe signals", and no more for a moment.
func received(t *testing.T, file string, want ...string) {
	t.Helper()
	content := func() string {
		b, _ := os.ReadFile(file)
		return strings.Join(strings.Fields(string(b)), " ")
	}
	eventually(t, 5*time.Second, func() error {
		if got := content(); got != strings.Join(want, " ") {
			return fmt.Errorf("signals %q, want %q", got, want)
		}
		return nil
	})
	time.Sleep(100 * time.Millisecond)
	if got := content(); got != strings.Join(want, " ") {
		t.Fatalf("signals %q, want %q", got, want)
	}
}

// Signals sent to the tool reach the command, each once, through any number of levels.
func TestSignals(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name string
		tool []string
	}{
		{"one level", []string{"gm-delay", "0"}},
		{"three levels", []string{"gm-delay", "0", "gm-loss", "both", "0", "gm-delay", "0"}},
		{"contained", []string{"gm-delay", "0", "--contain", "gm-delay", "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(temp(t), "signals")
			cmd := l.run(append(c.tool, "probe", "signals", file)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			received(t, file, "ready")
			want := []string{"ready"}
			for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTERM} {
				cmd.Process.Signal(s)
				want = append(want, unix.SignalName(s))
				received(t, file, want...)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the command ended well after SIGTERM, and the tool with %v", err)
			}
		})
	}
}

// A command that dies of a signal makes the tool die of it, without a trace of Go's.
func TestDeathBySignal(t *testing.T) {
	l := newLab(t)
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP, unix.SIGKILL, unix.SIGSEGV, unix.SIGABRT} {
		cmd := l.run("gm-delay", "0", "gm-delay", "0", "sh", "-c", fmt.Sprintf("kill -%d $$; sleep 5", s))
		out, err := cmd.CombinedOutput()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != s || len(out) > 0 {
			t.Errorf("%v: %v, output %q", unix.SignalName(s), err, out)
		}
	}
}

// What the caller ignores stays ignored.
func TestIgnored(t *testing.T) {
	l := newLab(t)
	for _, s := range []string{"HUP", "INT"} {
		out := l.output("probe", "ignoring", s, "gm-delay", "0", "gm-loss", "both", "0", "sh", "-c", "grep SigIgn /proc/self/status")
		mask, err := strconv.ParseUint(strings.Fields(out)[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		n := unix.SignalNum("SIG" + s)
		if mask&(1<<(n-1)) == 0 {
			t.Errorf("SIG%s is no longer ignored: %x", s, mask)
		}
		if s == "INT" && mask&(1<<(unix.SIGQUIT-1)) == 0 {
			t.Errorf("a background job's SIGQUIT is no longer ignored: %x", mask)
		}
	}
	// And an ignored one does not end the tool.
	cmd := l.run("probe", "ignoring", "HUP", "gm-delay", "0", "sleep", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	cmd.Process.Signal(unix.SIGHUP)
	if err := cmd.Wait(); err != nil {
		t.Errorf("nohup: %v", err)
	}
}

// tty is the far end of a terminal.
type tty struct {
	*os.File
	out chan []byte
}

// terminal runs a command on a terminal of its own, as the foreground job.
func terminal(t *testing.T, cmd *exec.Cmd) *tty {
	t.Helper()
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		file.Close()
	})
	out := make(chan []byte, 1000)
	go func() {
		defer close(out)
		for {
			b := make([]byte, 1000)
			n, err := file.Read(b)
			if err != nil {
				return
			}
			out <- b[:n]
		}
	}()
	return &tty{file, out}
}

// expect reads until a text has come.
func (y *tty) expect(t *testing.T, text string) string {
	t.Helper()
	seen := ""
	for late := time.After(10 * time.Second); !strings.Contains(seen, text); {
		select {
		case b, ok := <-y.out:
			if !ok {
				t.Fatalf("waiting for %q: the terminal was closed after %q", text, seen)
			}
			seen += string(b)
		case <-late:
			t.Fatalf("%q did not come, but %q", text, seen)
		}
	}
	return seen
}

// One Ctrl-C arrives once, through any number of levels; a shell's loop around the tool ends.
func TestCtrlC(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name string
		tool []string
	}{
		{"nested", []string{"gm-delay", "0", "gm-loss", "both", "0", "gm-delay", "0"}},
		{"contained", []string{"gm-delay", "0", "--contain", "gm-delay", "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(temp(t), "signals")
			cmd := l.run(append(c.tool, "probe", "signals", file)...)
			tty := terminal(t, cmd)
			received(t, file, "ready")
			tty.Write([]byte{3})
			received(t, file, "ready", "SIGINT")
			tty.Write([]byte{28})
			received(t, file, "ready", "SIGINT", "SIGQUIT")
			cmd.Process.Signal(unix.SIGTERM)
			cmd.Wait()
		})
	}
	cmd := l.run("bash", "-c", "for i in 1 2 3; do gm-delay 0 sh -c 'echo round; sleep 5'; done")
	tty := terminal(t, cmd)
	tty.expect(t, "round")
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	tty.Write([]byte{3})
	cmd.Wait()
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("the loop went on after Ctrl-C for %v", took)
	}
}

// Job control as without us: Ctrl-Z stops the job, fg continues it, and what the command sees is the terminal itself.
func TestJobControl(t *testing.T) {
	l := newLab(t)
	for _, option := range []string{"--contain=false", "--contain"} {
		t.Run(option, func(t *testing.T) {
			cmd := l.run("bash", "--norc", "--noprofile", "-i")
			cmd.Env = append(os.Environ(), "PS1=outer> ", "TERM=dumb")
			tty := terminal(t, cmd)
			tty.expect(t, "outer> ")
			say := func(s string) { tty.Write([]byte(s + "\n")) }

			say("gm-delay " + option + " 0 sh -c 'stty size; echo st''arted; read x; echo got $x'")
			if seen := tty.expect(t, "\nstarted"); !strings.Contains(seen, "33 77") {
				t.Errorf("window size: %q", seen)
			}
			tty.Write([]byte{26}) // Ctrl-Z
			tty.expect(t, "outer> ")
			say("jobs")
			if seen := tty.expect(t, "outer> "); !strings.Contains(seen, "Stopped") {
				t.Errorf("jobs: %q", seen)
			}
			time.Sleep(300 * time.Millisecond) // readline discards what is typed before it is ready
			say("fg")
			time.Sleep(300 * time.Millisecond)
			say("hello")
			tty.expect(t, "\ngot hello")
			tty.expect(t, "outer> ")

			// A shell within, with jobs of its own; and it may suspend itself.
			say("gm-delay " + option + " 0 bash --norc --noprofile -i")
			tty.expect(t, "[delay 0 ms] outer> ")
			say("sleep 100")
			time.Sleep(300 * time.Millisecond)
			tty.Write([]byte{26})
			tty.expect(t, "Stopped")
			say("kill %1; wait; suspend")
			tty.expect(t, "\r\nouter> ")
			time.Sleep(300 * time.Millisecond) // readline discards what is typed before it is ready
			say("fg")
			time.Sleep(300 * time.Millisecond)
			say("echo ag''ain")
			tty.expect(t, "\nagain")
			say("exit 4")
			time.Sleep(200 * time.Millisecond)
			say("echo status $?")
			tty.expect(t, "status 4")
			say("exit")
			cmd.Wait()
		})
	}
}

// A shell that is told of a stop may read the terminal at once: so the tool stops only after its command has.
// The command waits in a builtin: a child would be stopped with it, and bash waits for that before it runs a trap.
func TestStopOrder(t *testing.T) {
	l := newLab(t)
	for _, option := range []string{"--contain=false", "--contain"} {
		cmd := l.run("bash", "--norc", "--noprofile", "-i")
		cmd.Env = append(os.Environ(), "PS1=outer> ", "TERM=dumb")
		tty := terminal(t, cmd)
		tty.expect(t, "outer> ")
		tty.Write([]byte("gm-delay " + option + ` 0 bash -c 'trap "sleep 1; echo still; trap - TSTP; kill -TSTP \$\$" TSTP; ` +
			`echo rea""dy; while :; do read -t 0.1; done'` + "\n"))
		tty.expect(t, "\nready")
		tty.Write([]byte{26})
		if seen := tty.expect(t, "outer> "); !strings.Contains(seen, "still\r\n") {
			t.Errorf("%s: the prompt came before the command had stopped: %q", option, seen)
		}
		tty.Write([]byte("kill -KILL %1; exit\n"))
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// --realtime is SCHED_FIFO for the two threads that carry packets, and locked memory, with a warning to who may not have it.
func TestRealtime(t *testing.T) {
	l := newLab(t)
	out := l.output("gm-delay", "--realtime", "0", "sh", "-c", "cat /proc/$PPID/task/*/stat; grep VmLck /proc/$PPID/status")
	fifo := 0
	for line := range strings.Lines(out) {
		// The fields from the third on, after a name that may hold blanks: policy is the 41st (proc_pid_stat(5)).
		if f := strings.Fields(line[strings.LastIndexByte(line, ')')+1:]); strings.Contains(line, ")") && len(f) > 40 && f[41-3] == strconv.Itoa(unix.SCHED_FIFO) {
			fifo++
		}
	}
	if locked := number(t, out, `VmLck:\s+(\d+) kB`); !asUser && locked == 0 {
		t.Errorf("no memory is locked: %s", out)
	}
	if warned := strings.Contains(out, "gm-delay: warning: no real-time priority"); asUser != warned || asUser != (fifo == 0) || fifo > 2 {
		t.Errorf("%d threads are of SCHED_FIFO: %s", fifo, out)
	}
}

// A stop of the job delays what is under way, and is not counted as lateness.
func TestStopIsNotLate(t *testing.T) {
	l := newLab(t)
	out, err := os.CreateTemp(temp(t), "out")
	if err != nil {
		t.Fatal(err)
	}
	cmd := l.run("gm-delay", "-v", "20", "probe", "udp", "-n", "200", "-i", "5ms", "-wait", "2s", "192.0.2.1")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(600 * time.Millisecond)
	unix.Kill(-cmd.Process.Pid, unix.SIGSTOP)
	time.Sleep(700 * time.Millisecond)
	unix.Kill(-cmd.Process.Pid, unix.SIGCONT)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(out.Name())
	seen := string(b)
	if !strings.Contains(seen, "received 200") {
		t.Errorf("lost in the pause: %s", seen)
	}
	if max := number(t, seen, `uplink min/median/p99/max = .*/([\d.]+) ms`); max < 500 {
		t.Errorf("the pause did not stop the link: %s", seen)
	}
	for _, d := range []string{"uplink", "downlink"} {
		if late := number(t, seen, d+`: .* at most ([\d.]+) ms late`); late > 500 {
			t.Errorf("the pause counted as lateness: %s", seen)
		}
	}
}

// Packets pass untouched until SIGUSR1.
func TestPassthrough(t *testing.T) {
	l := newLab(t)
	cmd := l.run("env", "MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL=1", "gm-delay", "40", "sh", "-c",
		"probe udp -n 20 192.0.2.1; kill -USR1 $PPID; sleep 0.3; probe udp -n 20 192.0.2.1")
	out := output(t, cmd)
	first, second, _ := strings.Cut(out, "downlink")
	before, after := number(t, first, `uplink min/median/p99/max = ([\d.]+)`), number(t, second, `uplink min/median/p99/max = ([\d.]+)`)
	if before > 20 || after < 40 {
		t.Errorf("uplink delay %v ms before the signal and %v after", before, after)
	}
}

// What the command sent is delivered after its end, also what TCP still held; and where there is nothing, nobody waits.
func TestLinger(t *testing.T) {
	l := newLab(t)
	server := filepath.Join(temp(t), "received")
	sink := l.server("probe", "sink", "9100", server)
	if err := sink.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sink.Process.Kill(); sink.Wait() }()
	time.Sleep(200 * time.Millisecond)
	for _, c := range []struct {
		name  string
		tools []string
		bytes string
	}{
		{"delay, and megabytes in the send queue", []string{"gm-delay", "40"}, "4000000"},
		{"delay and loss, so FINs are lost too", []string{"gm-delay", "5", "gm-loss", "both", "0.3", "--seed", "3"}, "300000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			os.Remove(server)
			l.output(append(c.tools, "probe", "push", "192.0.2.1:9100", c.bytes)...)
			eventually(t, time.Second, func() error {
				b, _ := os.ReadFile(server)
				if got := strings.TrimSpace(string(b)); got != c.bytes+" end" {
					return fmt.Errorf("the server got %q", got)
				}
				return nil
			})
		})
	}
	// UDP still in the delay line.
	got := make(chan string)
	go func() {
		out, _ := l.server("probe", "count", "eth0", "2500ms").CombinedOutput()
		got <- string(out)
	}()
	time.Sleep(300 * time.Millisecond)
	l.output("gm-delay", "400", "probe", "udp", "-n", "10", "-i", "0", "-wait", "0", "192.0.2.1")
	if seen := <-got; strings.Count(seen, "2328") < 10 { // port 9000
		t.Errorf("packets under way at the end were lost:\n%s", seen)
	}
	for _, c := range []struct {
		args []string
		most time.Duration
	}{
		{[]string{"gm-delay", "3000", "true"}, 2 * time.Second},
		{[]string{"gm-delay", "30000", "probe", "udp", "-n", "1", "-wait", "0", "192.0.2.1"}, 7 * time.Second},
		{[]string{"gm-delay", "--linger=0.1", "30000", "probe", "udp", "-n", "1", "-wait", "0", "192.0.2.1"}, 2 * time.Second},
	} {
		start := time.Now()
		l.output(c.args...)
		if took := time.Since(start); took > c.most {
			t.Errorf("%v took %v", c.args, took)
		}
	}
}
