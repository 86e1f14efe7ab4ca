package e2e

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// small is the small internet of "probe websites", with its names and its authority, in a laboratory.
type small struct {
	*lab
	dir, ca string
}

func newSmall(t testing.TB) *small {
	s := &small{lab: newLab(t), dir: temp(t)}
	s.ca = filepath.Join(s.dir, "ca.pem")
	conf := filepath.Join(s.dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, s.host("mount", "--bind", conf, "/etc/resolv.conf"))
	c := s.server("probe", "websites", s.ca)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	eventually(t, 10*time.Second, func() error { _, err := os.Stat(s.ca); return err })
	return s
}

// trusting is a command on the host that trusts the small internet's authority. It returns its outputs.
func (s *small) trusting(args ...string) (stdout, stderr string, err error) {
	var out, complaint strings.Builder
	c := s.command(args...)
	c.Stdout, c.Stderr = &out, &complaint
	err = c.Run()
	return out.String(), complaint.String(), err
}

func (s *small) command(args ...string) *exec.Cmd {
	c := s.run(args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca)
	return c
}

func (s *small) must(args ...string) (stdout, stderr string) {
	s.t.Helper()
	stdout, stderr, err := s.trusting(args...)
	if err != nil {
		s.t.Fatalf("%v: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout, stderr
}

// What a client gets is the same without us, while recording, and from the recording, time after time.
func TestWeb(t *testing.T) {
	s := newSmall(t)
	before := s.state()
	live, _ := s.must("probe", "browse")
	for _, want := range []string{"https://www.site.test/ [] 200 OK HTTP/2.0", "https://old.site.test/ [] 200 OK HTTP/1.1",
		"https://bad.site.test/ [] no answer true", "https://six.site.test/ [] 200 OK HTTP/2.0", "http://chunk.site.test/ [] 200 OK HTTP/1.1 11 bytes",
		"[Range: bytes=10-19] 206 Partial Content", "Sum:[11]"} {
		if !strings.Contains(live, want) {
			t.Fatalf("no %q in\n%s", want, live)
		}
	}
	recorded, said := s.must("gm-webrecord", "site", "probe", "browse")
	// A certificate that nobody should trust is no certificate at all while recording: the connection is reset.
	live = strings.Replace(live, "bad.site.test/ [] no answer true", "bad.site.test/ [] no answer false", 1)
	if d := cmp.Diff(strings.Split(live, "\n"), strings.Split(recorded, "\n")); d != "" {
		t.Error(d)
	}
	if !strings.Contains(said, "gm-webrecord: 20 exchanges of 13 origins, ") || !strings.Contains(said, ", 2 failures") {
		t.Error(said)
	}
	const often = 50
	replayed, said := s.must("gm-webreplay", "--fail-on-miss", "site", "probe", "browse", "-n", fmt.Sprint(often))
	if d := cmp.Diff(strings.Split(strings.Repeat(live, often), "\n"), strings.Split(replayed, "\n")); d != "" {
		t.Error(d)
	}
	if !strings.Contains(said, "requests answered\n") {
		t.Error(said)
	}
	for _, within := range []string{"gm-webreplay --fail-on-miss site gm-delay 1", "gm-webrecord again gm-delay 1"} {
		out, _ := s.must(append(strings.Fields(within), "probe", "browse")...)
		if d := cmp.Diff(strings.Split(live, "\n"), strings.Split(out, "\n")); d != "" {
			t.Error(within, d)
		}
	}
	h3, _ := s.must("gm-webreplay", "site", "probe", "browse", "-h3", "https://img.site.test/")
	if !strings.Contains(live, strings.Replace(h3, "HTTP/3.0", "HTTP/2.0", 1)) || !strings.Contains(h3, "200 OK HTTP/3.0") {
		t.Error(h3)
	}
	if out, _ := s.must("gm-webreplay", "--http3=off", "site", "probe", "browse", "-h3", "https://img.site.test/"); !strings.Contains(out, "no answer") {
		t.Error(out)
	}
	if out, _ := s.must("gm-webarchive", "verify", "site"); out != "" {
		t.Error(out)
	}
	s.unchanged(before)
}

// Links go between the client and the servers, and the servers are as far and as slow as they were.
func TestWebPath(t *testing.T) {
	s := newSmall(t)
	s.must("gm-delay", "20", "gm-webrecord", "site", "probe", "browse")
	for _, row := range []struct {
		name, line  string
		least, most float64
	}{
		{"no delay", "gm-webreplay site", 0, 20},
		{"a link within", "gm-webreplay site gm-delay 30", 60, 80},
		{"the recorded delay", "gm-webreplay --origin-delay=recorded site", 40, 60},
		{"both", "gm-webreplay --origin-delay=recorded site gm-delay 30", 100, 120},
	} {
		t.Run(row.name, func(t *testing.T) {
			quietly(t, attempts, func() error {
				out, _ := s.must(append(strings.Fields(row.line), "probe", "ping", "-c", "3", "-i", "0.1", "198.51.100.12")...)
				if rtt := number(t, out, `icmp_seq=3 .*time=([\d.]+) ms`); rtt < row.least || rtt > row.most {
					return fmt.Errorf("%v ms", rtt)
				}
				return nil
			})
		})
	}
	for _, row := range []struct {
		option string
		least  time.Duration
	}{{"--think-time=recorded", 100 * time.Millisecond}, {"--think-time=300", 300 * time.Millisecond}} {
		start := time.Now()
		s.must("gm-webreplay", row.option, "site", "probe", "browse")
		if d := time.Since(start); d < row.least {
			t.Errorf("%s: %v", row.option, d)
		}
	}
}

// A recorder that is killed leaves whole exchanges, and nothing else.
func TestWebRecordKilled(t *testing.T) {
	s := newSmall(t)
	before := s.state()
	some := 0
	for n := range rounds(10) {
		site := fmt.Sprint("site", n)
		c := s.command("gm-webrecord", site, "probe", "browse", "-n", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(200+37*n%500) * time.Millisecond)
		family := append(descendants(c.Process.Pid), c.Process.Pid)
		for _, p := range family {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p)); strings.TrimSpace(string(b)) == "gm-webrecord" {
				unix.Kill(p, unix.SIGKILL)
			}
		}
		c.Wait()
		files, err := filepath.Glob(filepath.Join(s.dir, site, "*"))
		if err != nil {
			t.Fatal(err)
		}
		if some += len(files); len(files) == 0 {
			continue
		}
		if out, said := s.must("gm-webarchive", "verify", site); out != "" || !strings.Contains(said, fmt.Sprint(len(files), " exchanges, all whole")) {
			t.Error(out, said)
		}
		if hidden, _ := filepath.Glob(filepath.Join(s.dir, site, ".*")); len(hidden) > 0 {
			t.Error(hidden)
		}
	}
	if some == 0 {
		t.Error("nothing was recorded")
	}
	s.must("gm-delay", "0", "true") // takes back that eth0 forwards, which the killed could not
	s.unchanged(before)
}

// A browser gets the same page of the same resources, sizes, statuses and protocols live, while recording and replayed,
// load after load.
func TestWebBrowser(t *testing.T) {
	s, spki := newBrowsed(t)
	loads := rounds(3)
	load := func(n int, line string) string {
		t.Helper()
		out, said := s.must(strings.Fields(line)...)
		want := strings.SplitAfterN(out, "\f\n", 2)[0]
		if out != strings.Repeat(want, n) {
			t.Fatalf("loads differ:\n%s%s", out, said)
		}
		return want
	}
	many := fmt.Sprintf("probe page -n %d https://www.site.test/", loads)
	live := load(loads, many+" "+spki)
	for _, want := range []string{"GET https://www.site.test/ 200 h2 ", "GET https://old.site.test/ 200 http/1.1 3 bytes ", "GET https://cookie.site.test/ 302 h2\n",
		"POST https://old.site.test/?posted 200 http/1.1 3 bytes", "https://bad.site.test/ failed", "https://six.site.test/ h2 3 200<br>"} {
		if !strings.Contains(live, want) {
			t.Errorf("no %q in\n%s", want, live)
		}
	}
	if d := cmp.Diff(live, load(1, "gm-webrecord site probe page https://www.site.test/")); d != "" {
		t.Error("recording:", d)
	}
	if d := cmp.Diff(live, load(loads, "gm-webreplay --fail-on-miss site gm-delay 5 "+many)); d != "" {
		t.Error("replayed:", d)
	}
	// On its own command line, and from a script.
	const options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom https://www.site.test/"
	for _, line := range []string{"gm-webrecord again -- chromium " + options, "gm-webreplay site gm-delay 5 -- chromium " + options} {
		if out, said := s.must(append([]string{"env", "HOME=" + s.dir}, strings.Fields(line)...)...); !strings.Contains(out, "six.site.test") {
			t.Error(line, out, said)
		}
	}
	out, _ := s.must("env", "HOME="+s.dir, "gm-webreplay", "site", "sh", "-c", "chromium $(gm-webreplay --chromium) "+options)
	if !strings.Contains(out, "six.site.test") {
		t.Error(out)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "gm-chromium-*")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// newBrowsed is the small internet for Chromium, and the option by which that trusts it.
func newBrowsed(t testing.TB) (s *small, option string) {
	if _, err := exec.LookPath("chromium"); err != nil {
		testutil.Skip(t, "needs chromium")
	}
	s = newSmall(t)
	spki, err := os.ReadFile(s.ca + ".spki")
	if err != nil {
		t.Fatal(err)
	}
	return s, "--ignore-certificate-errors-spki-list=" + string(spki)
}

// roundsVar has how often the tests of web sites do what can never be done often enough.
const roundsVar = "GOMAHI_TEST_WEB"

// rounds is that number, or else a few.
func rounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv(roundsVar)); err == nil {
		return n
	}
	return few
}

// mostVariation is that of the load times of a page over a link, as standard deviation by mean.
const mostVariation = 0.05

// A page takes as long each time that it is loaded over the same link. What else the machine does makes some loads slower,
// so only the faster half counts unless the machine is quiet, which who gives the number of rounds says.
func TestWebLoadTime(t *testing.T) {
	s, _ := newBrowsed(t)
	s.must("gm-webrecord", "site", "probe", "page", "https://www.site.test/")
	loads := rounds(8)
	counted := loads
	if os.Getenv(roundsVar) == "" {
		counted = loads / 2
	}
	quietly(t, attempts, func() error {
		out, _ := s.must(strings.Fields(fmt.Sprintf("gm-webreplay --fail-on-miss site gm-delay 50 gm-link 10Mbps 10Mbps -- "+
			"probe page -times -n %d https://www.site.test/", loads+1))...)
		times := floats(t, strings.Fields(out)[1:]) // the first is the browser's own
		slices.Sort(times)
		mean, deviation := moments(times[:counted])
		t.Logf("%.0f ms on average, variation %.1f %%, of %.0f", mean, 100*deviation/mean, times)
		if deviation > mostVariation*mean {
			return fmt.Errorf("a variation of %.1f %%: %.0f", 100*deviation/mean, times)
		}
		return nil
	})
}

// A body that is larger than memory passes, and is stored.
func TestWebLarge(t *testing.T) {
	s := newSmall(t)
	const size, most = 300_000_000, 100_000
	for _, url := range []string{"http://plain.site.test/", "https://img.site.test/"} {
		out, said := s.must("gm-webrecord", "--append", "site", "sh", "-c", fmt.Sprintf("probe fetch %s?bytes=%d; grep VmHWM /proc/$PPID/status", url, size))
		if !strings.Contains(out, fmt.Sprint(" ", size, " bytes ")) {
			t.Error(out, said)
		}
		if memory := number(t, out, `VmHWM:\s+(\d+) kB`); memory > most {
			t.Errorf("%s takes %.0f kB", url, memory)
		}
	}
	if out, said := s.must("gm-webarchive", "verify", "site"); out != "" || !strings.Contains(said, "2 exchanges, all whole") {
		t.Error(out, said)
	}
	replayed, _ := s.must("gm-webreplay", "--fail-on-miss", "site", "probe", "fetch", fmt.Sprint("https://img.site.test/?bytes=", size))
	if !strings.Contains(replayed, fmt.Sprint("HTTP/2.0 ", size, " bytes ")) {
		t.Error(replayed)
	}
}

func floats(t testing.TB, words []string) (out []float64) {
	for _, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// moments are the mean and the standard deviation of a sample.
func moments(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean) / float64(len(v)-1)
	}
	return mean, math.Sqrt(deviation)
}
