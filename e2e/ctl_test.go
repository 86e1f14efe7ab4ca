package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// controlled is a laboratory whose tools have their control sockets in a directory of their own.
type controlled struct {
	*lab
	dir string
}

func newControlled(t *testing.T) *controlled {
	c := &controlled{newLab(t), filepath.Join(temp(t), "run")}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if asUser {
		if err := os.Chown(c.dir, user, user); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *controlled) command(args ...string) *exec.Cmd {
	return c.run(append([]string{"env", "XDG_RUNTIME_DIR=" + c.dir}, args...)...)
}

// start runs a command beside the test, and returns what it writes and what waits for its end.
func (c *controlled) start(args ...string) (out *bufio.Reader, wait func()) {
	c.t.Helper()
	cmd := c.command(args...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return bufio.NewReader(pipe), func() {
		c.t.Helper()
		if err := cmd.Wait(); err != nil {
			c.t.Fatalf("%v: %v", args, err)
		}
	}
}

// ctl is gm-ctl in another terminal; it must succeed.
func (c *controlled) ctl(args ...string) string {
	c.t.Helper()
	return output(c.t, c.command(append([]string{"gm-ctl"}, args...)...))
}

// level is a line of gm-ctl ls.
type level struct {
	Index, PID, Within int
	Title, Socket      string
	Uplink             struct {
		Rate    int64   `json:"rate_bits_per_second"`
		Delay   float64 `json:"delay_ms"`
		Loss    float64
		Queue   string
		Link    string
		In, Out struct{ Packets int }
	}
}

// levels waits for so many levels that carry packets.
func (c *controlled) levels(n, packets int) (all []level) {
	c.t.Helper()
	eventually(c.t, 20*time.Second, func() error {
		all = nil
		if err := json.Unmarshal([]byte(c.ctl("ls", "--json")), &all); err != nil {
			return err
		}
		if len(all) != n || all[n-1].Uplink.In.Packets < packets {
			return fmt.Errorf("%+v, want %d levels that carry packets", all, n)
		}
		return nil
	})
	return all
}

// The rate of a link changes while packets wait for it: what was being sent finishes at the new rate, and what waited follows
// at that, by the tool's own nanoseconds; nothing is lost or overtaken.
func TestSetRate(t *testing.T) {
	c := newControlled(t)
	log := filepath.Join(temp(t), "events")
	const n = 4000
	// The stream is of 11.8 Mbit/s.
	out, wait := c.start("gm-delay", "5", "gm-link", "--events="+log, "8Mbps", "80Mbps", "--", "probe", "udp", "-wait", "3s", "-n", fmt.Sprint(n),
		"-i", "1ms", "-size", "1448", "-reply", "20", "192.0.2.1")
	all := c.levels(2, 500)
	if all[1].Within != 1 || !strings.HasPrefix(all[1].Title, "gm-link") {
		t.Errorf("%+v", all)
	}
	c.ctl("set", "uplink.rate=20Mbps") // of the only level that has one
	text, _ := io.ReadAll(out)
	wait()
	if want := fmt.Sprintf("sent %d received %[1]d ordered true", n); !strings.Contains(string(text), want) {
		t.Errorf("%s, want %s", text, want)
	}

	seen := slices.DeleteFunc(events(t, log), func(e event) bool { return e.Link != "uplink" })
	k := slices.IndexFunc(seen, func(e event) bool { return e.Event == "change" })
	if k < 0 {
		t.Fatal("no change in the events")
	}
	at := seen[k].T
	if seen[k].Rate != 20e6 {
		t.Errorf("the change is %+v", seen[k])
	}
	before, waited := int64(0), 0 // the last departure before the change; and packets that were there
	for _, e := range seen[:k] {
		switch e.Event {
		case "arrival":
			waited++
		case "departure":
			before = e.T
			waited--
		}
	}
	if waited < 20 {
		t.Fatalf("only %d packets waited when the rate changed", waited)
	}
	due := -1.0
	for _, e := range seen[k+1:] {
		if e.Event == "drop" {
			t.Fatalf("%+v", e)
		}
		if e.Event != "departure" || waited == 0 {
			continue
		}
		bits := float64(8 * e.Size)
		if due < 0 { // it was under way
			due = float64(at) + (bits-8e6*float64(at-before)/1e9)*1e9/20e6
		} else {
			due += bits * 1e9 / 20e6
		}
		if math.Abs(float64(e.T)-due) > 3 {
			t.Fatalf("a packet left at %d ns, want %.0f; the change was at %d", e.T, due, at)
		}
		waited--
	}
	if waited > 0 {
		t.Errorf("%d packets did not leave", waited)
	}
}

// A flow gets what a link is changed to carry, and loses nothing by it.
func TestSetRateUnderTCP(t *testing.T) {
	c := newControlled(t)
	log := filepath.Join(temp(t), "events")
	quietly(t, attempts, func() error {
		out, wait := c.start(c.toArgs("192.0.2.1", "gm-delay", "10", "gm-link", "--events="+log, "10Mbps", "10Mbps", "--",
			"probe", "tcp", "-flows", "1", "-time", "8s", "-bins", "250ms")...)
		const half = 16 // bins, at each rate
		var rates []float64
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				break
			}
			var bytes float64
			if _, err := fmt.Sscanf(line, "bin %f", &bytes); err != nil {
				t.Fatalf("%q", line)
			}
			rates = append(rates, bytes*8/0.25*1500/1448) // what carries them
			if len(rates) == half {
				c.ctl("set", "rate=50Mbps")
			}
		}
		wait()
		for _, e := range events(t, log) {
			if e.Event == "drop" {
				t.Fatalf("%+v", e)
			}
		}
		for _, side := range []struct {
			from, to int
			rate     float64
		}{{half - 8, half, 10e6}, {half + 8, len(rates), 50e6}} {
			sum := 0.0
			for _, r := range rates[side.from:side.to] {
				sum += r
			}
			got := sum / float64(side.to-side.from)
			t.Logf("%.2f Mbit/s of %.0f", got/1e6, side.rate/1e6)
			if math.Abs(got/side.rate-1) > 0.03 {
				return fmt.Errorf("%.3f Mbit/s, want %.0f: %.0f", got/1e6, side.rate/1e6, rates)
			}
		}
		return nil
	})
}

// Levels of one process are levels of their own; a process of several finds which one is meant.
func TestCtlFused(t *testing.T) {
	c := newControlled(t)
	out, wait := c.start("env", "GM_FUSE=1", "gm-delay", "5", "gm-loss", "both", "0", "gm-link", "8Mbps", "8Mbps", "--", "probe", "udp", "-n", "4000",
		"-i", "1ms", "192.0.2.1")
	all := c.levels(3, 100)
	if all[0].PID != all[2].PID || all[1].Within != 1 || all[2].Within != 2 {
		t.Errorf("%+v", all)
	}
	pid := fmt.Sprint(all[0].PID)
	c.ctl(pid, "set", "rate=20Mbps", "queue.packets=50")
	c.ctl("%1", "set", "uplink.delay=7ms")
	c.ctl("%2", "set", "downlink.loss=0.5")
	all = c.levels(3, 100)
	if all[2].Uplink.Rate != 20e6 || all[2].Uplink.Queue != "50 packets" || all[0].Uplink.Delay != 7 || all[1].Uplink.Loss != 0 {
		t.Errorf("%+v", all)
	}
	wrong := func(want string, args ...string) {
		t.Helper()
		said, err := c.command(append([]string{"gm-ctl"}, args...)...).CombinedOutput()
		if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 2 || !strings.Contains(string(said), want) {
			t.Errorf("gm-ctl %v: %v: %s, want %s", args, err, said, want)
		}
	}
	wrong("several levels can set delay", pid, "set", "delay=3")
	wrong("no level can set delay and jitter", pid, "set", "delay=3", "jitter=1")
	wrong(`delay "x" is not a duration`, "%1", "set", "delay=x")
	wrong("gm-delay has no rate to set", "%1", "set", "rate=1Mbps")
	wrong("there is no %4", "%4")
	c.ctl(pid, "down", "uplink")
	if all = c.levels(3, 100); all[0].Uplink.Link != "down" {
		t.Errorf("%+v", all)
	}
	c.ctl("up")
	if all = c.levels(3, 100); all[0].Uplink.Link != "up" {
		t.Errorf("%+v", all)
	}
	text, _ := io.ReadAll(out)
	wait()
	var sent, back int
	if _, err := fmt.Sscanf(string(text), "sent %d received %d ordered true", &sent, &back); err != nil || back > sent*9/10 || back < sent/10 {
		t.Errorf("%s", text)
	}
}

// A path plays another scenario, and curl may be what asks for it.
func TestReplay(t *testing.T) {
	c := newControlled(t)
	dir := temp(t)
	file, log := filepath.Join(dir, "path.csv"), filepath.Join(dir, "events")
	for name, rows := range map[string]string{"path.csv": "0,0,10,80\n", "lift.csv": "0,0,20,40\n200,0,30,20\n", "wrong.csv": "0,0,x,1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n"+rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, wait := c.start("gm-path", "--events="+log, file, "probe", "udp", "-n", "3000", "-i", "1ms", "192.0.2.1")
	all := c.levels(1, 100)
	said, err := c.command("gm-ctl", "replay", filepath.Join(dir, "wrong.csv")).CombinedOutput()
	if want := filepath.Join(dir, "wrong.csv") + `:2:5: delay "x" is not a number`; err == nil || !strings.Contains(string(said), want) {
		t.Errorf("%v: %s, want %s", err, said, want)
	}
	c.ctl("replay", filepath.Join(dir, "lift.csv"))
	if _, err := exec.LookPath("curl"); err == nil {
		answer := output(t, c.command("curl", "-sS", "--unix-socket", all[0].Socket, "http://gm/v1/set", "-d", `{"loss": 0}`))
		if !strings.Contains(answer, `"tool":"gm-path"`) {
			t.Error(answer)
		}
		if text := output(t, c.command("curl", "-sS", "--unix-socket", all[0].Socket, "http://gm/metrics")); !strings.Contains(text, `direction="uplink"} `) {
			t.Error(text)
		}
	}
	text, _ := io.ReadAll(out)
	wait()
	if !strings.Contains(string(text), "sent 3000 received 3000 ordered true") {
		t.Errorf("%s", text)
	}
	began, steps := int64(math.MaxInt64), map[string]int64{} // when the first direction began; and the second row of each
	for _, e := range events(t, log) {
		switch {
		case e.Event != "change":
		case e.Delay == 20e6 && e.Rate == 40e6:
			began = min(began, e.T)
		case e.Delay == 30e6 && e.Rate == 20e6:
			if steps[e.Link] == 0 { // curl changes nothing, but a change it is
				steps[e.Link] = e.T
			}
		}
	}
	if want := map[string]int64{"uplink": began + 200e6, "downlink": began + 200e6}; !maps.Equal(steps, want) {
		t.Errorf("the second row begins at %v, want %v", steps, want)
	}
}

// The completion of every program is part of what gm-ctl prints, for each shell.
func TestCtlCompletion(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(bin, "gm-*"))
	if err != nil || len(all) < 20 {
		t.Fatalf("%d programs, %v", len(all), err)
	}
	for shell, line := range map[string]string{"bash": "complete -F _%[2]s %[1]s\n", "zsh": "compdef _%[2]s %[1]s\n", "fish": "complete -c %[1]s "} {
		out, err := exec.Command("gm-ctl", "completion", shell).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
			continue
		}
		for _, file := range all {
			name := filepath.Base(file)
			want := strings.ReplaceAll(line, "%[1]s", name)
			if want = strings.ReplaceAll(want, "%[2]s", strings.ReplaceAll(name, "-", "_")); !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q", shell, want)
			}
		}
	}
}
