package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/host"
	"gomahi/internal/testutil"
)

func TestJudgeDelay(t *testing.T) {
	all := func(n int, d time.Duration) []time.Duration {
		out := make([]time.Duration, n)
		for i := range out {
			out[i] = d
		}
		return out
	}
	for _, row := range []struct {
		name  string
		off   []time.Duration
		ok    bool
		vital bool
		says  string
	}{
		{"good", all(100, 340*time.Microsecond), true, false, "an RTT of 20 ms is off by 0.34 ms (99 %: 0.34 ms)"},
		{"one late", append(all(99, 300*time.Microsecond), 4*time.Millisecond), false, false,
			"an RTT of 20 ms is off by 0.30 ms (99 %: 4.00 ms)"},
		{"late", all(100, 2*time.Millisecond), false, false, "an RTT of 20 ms is off by 2.00 ms (99 %: 2.00 ms)"},
		{"early", append(all(99, time.Microsecond), -time.Microsecond), false, false,
			"an RTT of 20 ms is off by 0.00 ms (99 %: 0.00 ms)"},
		{"lost", all(98, 0), false, true, "of 100 pings through gm-delay 98 came back"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := judgeDelay(row.off, 100)
			same(t, row.says, f.Says)
			same(t, row.ok, f.OK)
			same(t, row.vital, f.Vital)
		})
	}
}

func TestJudgeLoss(t *testing.T) {
	for _, row := range []struct {
		name    string
		arrived int
		ok      bool
		says    string
	}{
		{"exact", 4500, true, "a loss of 10 % is 10.00 % (by chance 8.7 to 11.3 %)"},
		{"within chance", 4437, true, "a loss of 10 % is 11.26 % (by chance 8.7 to 11.3 %)"},
		{"more", 4436, false, "a loss of 10 % is 11.28 % (by chance 8.7 to 11.3 %)"},
		{"less", 4600, false, "a loss of 10 % is 8.00 % (by chance 8.7 to 11.3 %)"},
		{"none arrived", 0, false, "a loss of 10 % is 100.00 % (by chance 8.7 to 11.3 %)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := judgeLoss(row.arrived, 5000)
			same(t, row.says, f.Says)
			same(t, row.ok, f.OK)
		})
	}
}

func TestJudgeRate(t *testing.T) {
	arrivals := func(n int, apart time.Duration) []time.Time {
		at := make([]time.Time, n)
		for i := range at {
			at[i] = time.Unix(0, 0).Add(time.Duration(i) * apart)
		}
		return at
	}
	for _, row := range []struct {
		name  string
		at    []time.Time
		ok    bool
		vital bool
		says  string
	}{
		{"exact", arrivals(600, time.Millisecond), true, false, "12 Mbit/s is 12.000 Mbit/s, off by 0.00 %"},
		{"slow", arrivals(600, 1020*time.Microsecond), false, false, "12 Mbit/s is 11.765 Mbit/s, off by 1.96 %"},
		{"fast", arrivals(600, 980*time.Microsecond), false, false, "12 Mbit/s is 12.245 Mbit/s, off by 2.04 %"},
		{"lost", arrivals(599, time.Millisecond), false, true, "of 600 packets through gm-link 599 arrived"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := judgeRate(row.at, 600)
			same(t, row.says, f.Says)
			same(t, row.ok, f.OK)
			same(t, row.vital, f.Vital)
		})
	}
}

func TestJudgeGoodput(t *testing.T) {
	same(t, true, judgeGoodput(4.119e9).OK)
	same(t, "one TCP flow carries 4.12 Gbit/s", judgeGoodput(4.119e9).Says)
	same(t, false, judgeGoodput(0.99e9).OK)
}

// Without a tool between them probe and server measure what loopback is: no delay, hardly a loss, and the rate at which
// is sent.
func TestMeterWithoutTools(t *testing.T) {
	var tools []string
	m := meter{netip.AddrFrom4([4]byte{127, 0, 0, 1}), func(probe []string, tool ...string) ([]byte, error) {
		tools = append(tools, strings.Join(tool, " "))
		if tool[0] == "gm-link" {
			probe[len(probe)-1] = nanoseconds(time.Millisecond) // as that would
		}
		var out bytes.Buffer
		err := runProbe(probe, &out)
		return out.Bytes(), err
	}}
	if e := m.delay().Figures["rtt_error_p50_us"]; e < -20000 || e > -10000 {
		t.Errorf("a round trip of loopback differs from 20 ms by %v us", e)
	}
	if l, found := m.loss().Figures["loss"]; !found || l > 0.05 {
		t.Errorf("loopback loses %v", l)
	}
	if r := m.rate().Figures["rate_mbps"]; r < 6 || r > 12.5 {
		t.Errorf("1500 bytes each millisecond are %v Mbit/s", r)
	}
	if g := m.goodput().Figures["goodput_mbps"]; g < 100 {
		t.Errorf("one flow of %v Mbit/s", g)
	}
	same(t, []string{"gm-delay 10", "gm-loss --seed=1 uplink 0.1", "gm-link 12Mbps 12Mbps", "gm-delay 0"}, tools)
}

// A tool that cannot start is a finding, in its own words.
func TestMeterWithBrokenTools(t *testing.T) {
	m := meter{netip.AddrFrom4([4]byte{127, 0, 0, 1}), func(_ []string, tool ...string) ([]byte, error) {
		return nil, errors.New(tool[0] + ": error: there is no air\n" + tool[0] + ": hint: open a window; gm-doctor tells more")
	}}
	for _, row := range []struct {
		tool string
		got  host.Finding
	}{{"gm-delay", m.delay()}, {"gm-loss", m.loss()}, {"gm-link", m.rate()}, {"gm-delay", m.goodput()}} {
		same(t, host.Finding{Name: row.tool, Vital: true, Says: "there is no air", Mend: "open a window; gm-doctor tells more"}, row.got)
	}
}

func TestStart(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		out  string
		err  string
	}{
		{"fine", []string{"sh", "-c", "echo here; echo warning >&2"}, "here\n", ""},
		{"its own words", []string{"sh", "-c", "echo sh: error: no >&2; exit 125"}, "", "sh: error: no"},
		{"no words", []string{"sh", "-c", "exit 3"}, "", "exit status 3"},
		{"too long", []string{"sleep", "60"}, "", "it did not end within 300ms"},
		{"not there", []string{"gm-nothing"}, "", `exec: "gm-nothing": executable file not found in $PATH`},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, err := start(300*time.Millisecond, row.args[0], row.args[1:]...)
			got := ""
			if err != nil {
				got = err.Error()
			}
			same(t, row.err, got)
			same(t, row.out, string(out))
		})
	}
}

// The real tools are measured, in a network of the test's own. What depends on how busy the machine is, is bounded
// loosely.
func TestMeasure(t *testing.T) {
	const dirVar = "GOMAHI_TEST_TOOLS"
	if os.Getenv(dirVar) == "" {
		testutil.NeedNamespaces(t)
		dir := t.TempDir()
		build := exec.Command("go", "build", "-o", dir, "gomahi/cmd/gm-delay", "gomahi/cmd/gm-loss", "gomahi/cmd/gm-link")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Setenv(dirVar, dir)
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		t.Setenv("GM_BASE", "100.64.0.1")
	}
	if !testutil.Reexec(t) {
		return
	}
	if err := addressLoopback([4]byte{100, 64, 0, 1}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := measureAll(&out); err != nil {
		t.Fatal(err)
	}
	var all []host.Finding
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	for i, row := range []struct {
		name, figure string
		least, most  float64
	}{
		{"delay", "rtt_error_p50_us", 0, 20000}, {"loss", "loss", 0.087, 0.113}, {"rate", "rate_mbps", 10, 12.2},
		{"goodput", "goodput_mbps", 10, 1e6},
	} {
		if i >= len(all) || all[i].Name != row.name || all[i].Figures[row.figure] < row.least || all[i].Figures[row.figure] > row.most {
			t.Errorf("%s: %s", row.name, out.String())
		}
	}
}

// addressLoopback gives the loopback device an address.
func addressLoopback(a [4]byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := r.SetInet4Addr(a[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r)
}
