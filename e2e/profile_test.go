package e2e

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// named are what the sources of the profiles say: kbit/s, and ms of RTT.
var named = []struct {
	name          string
	down, up, rtt float64
	loss          float64 // each way
}{
	{"devtools/3g", 500, 500, 400, 0},
	{"devtools/slow-4g", 1600, 750, 150, 0},
	{"devtools/fast-4g", 9000, 1500, 60, 0},
	{"lighthouse/mobile-slow-4g", 1638.4, 750, 150, 0},
	{"lighthouse/mobile-3g", 700, 700, 300, 0},
	{"lighthouse/desktop", 10240, 10240, 40, 0},
	{"wpt/cable", 5000, 1000, 28, 0},
	{"wpt/dsl", 1500, 384, 50, 0},
	{"wpt/fios", 20000, 5000, 4, 0},
	{"wpt/dial", 49, 30, 120, 0},
	{"wpt/lte", 12000, 12000, 70, 0},
	{"wpt/3g", 1600, 768, 300, 0},
	{"wpt/3g-fast", 1600, 768, 150, 0},
	{"wpt/3g-slow", 780, 330, 200, 0},
	{"wpt/3g-em", 400, 400, 400, 0},
	{"wpt/edge", 240, 200, 840, 0},
	{"wpt/2g", 280, 256, 800, 0},
	{"atc/2g-rural", 20, 18, 1300, 0.02},
	{"atc/edge-lossy", 240, 200, 840, 0.01},
	{"atc/3g", 780, 330, 200, 0},
}

// Every profile has the rates within 2 %, the RTT but for the probe's own serialisation within 1 ms, and the loss within
// three sigma. A few are measured at once, and again where other work on the machine was in the way.
func TestProfiles(t *testing.T) {
	l := newLab(t)
	if n := strings.Count(l.output("gm-profile", "list"), "\n") - 1; n != len(named) {
		t.Errorf("%d profiles, want %d", n, len(named))
	}
	dir := temp(t)
	var all sync.WaitGroup
	few := make(chan struct{}, 4)
	for i, p := range named {
		all.Go(func() {
			run := func(options string, args ...string) (string, error) {
				args = append(append(append([]string{"gm-profile"}, strings.Fields(options)...), p.name), args...)
				out, err := l.run(args...).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%v: %w\n%s", args, err, out)
				}
				return string(out), err
			}
			for what, measure := range map[string]func() error{
				"rtt": func() error {
					out, err := run("--precise", "probe", "ping", "-c", "8", "-i", "0.1", "192.0.2.1")
					if err != nil && p.loss == 0 {
						return err
					}
					const probe = 84 * 8
					return near("RTT", least(out), p.rtt+probe/p.up+probe/p.down, 1) // bits by kbit/s are ms
				},
				"up": func() error {
					const packet = 1000 + 28
					file, n := filepath.Join(dir, fmt.Sprint(i, "up")), max(10, int(0.9*p.up*1000/8/packet))
					if _, err := run("", "probe", "udp", "-n", fmt.Sprint(n), "-i", "0", "-size", "1000", "-wait", patience(n*packet*8, p.up, p.rtt), "-each", file, "192.0.2.1"); err != nil {
						return err
					}
					got := rate(echoes(t, file), packet, n, p.loss, func(e echo) time.Duration { return e.there })
					return near("uplink's rate", got, p.up, 0.02*p.up)
				},
				"down": func() error {
					const packet = 1000 + 28
					file, n := filepath.Join(dir, fmt.Sprint(i, "down")), max(10, int(0.9*p.down*1000/8/packet))
					if _, err := run("", "probe", "udp", "-n", fmt.Sprint(n), "-i", "0", "-size", "28", "-reply", "1000", "-wait", patience(n*packet*8, p.down, p.rtt), "-each", file, "192.0.2.1"); err != nil {
						return err
					}
					got := rate(echoes(t, file), packet, n, p.loss, func(e echo) time.Duration { return e.back })
					return near("downlink's rate", got, p.down, 0.02*p.down)
				},
				"loss": func() error {
					if p.loss == 0 {
						return nil
					}
					n, every := 2000, "5ms" // fewer than the rate carries
					if p.up < 100 {
						n, every = 400, "35ms"
					}
					out, err := run("-v --seed=1", "probe", "udp", "-n", fmt.Sprint(n), "-i", every, "-size", "28", "-wait", "2s", "192.0.2.1")
					if err != nil {
						return err
					}
					for _, d := range []string{"uplink", "downlink"} {
						in, lost := count(out, d+`: (\d+) packets in`), count(out, d+`: .*, (\d+) dropped \(random loss\)`)
						if err := near(d+"'s losses", lost, in*p.loss, 3*math.Sqrt(in*p.loss*(1-p.loss))); err != nil {
							return err
						}
					}
					return nil
				},
			} {
				for n := 1; ; n++ {
					few <- struct{}{}
					err := measure()
					<-few
					if err == nil {
						break
					}
					t.Logf("%s, %s, run %d: %v", p.name, what, n, err)
					if n == 5 {
						t.Errorf("%s: %v", p.name, err)
						break
					}
				}
			}
		})
	}
	all.Wait()
}

// patience is how long so many bits and an RTT take, and some more.
func patience(bits int, rate, rtt float64) string {
	return fmt.Sprintf("%.0fms", 500+1.5*(float64(bits)/rate+rtt))
}

func near(what string, got, want, by float64) error {
	if !(math.Abs(got-want) <= by) {
		return fmt.Errorf("%s is %.3f, want %.3f within %.3f", what, got, want, by)
	}
	return nil
}

// count is what the first group of a pattern matches, or 0.
func count(text, pattern string) float64 {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	return v
}

// least is the shortest RTT that a ping printed.
func least(out string) float64 {
	low := math.Inf(1)
	for _, m := range regexp.MustCompile(`time=([\d.]+) ms`).FindAllStringSubmatch(out, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil {
			low = min(low, v)
		}
	}
	return low
}

// rate is that of packets of a size that came one after the other, in kbit/s. It is 0 where some are missing though none is
// lost. Where some are, only neighbours count: nobody knows where the others were.
func rate(back []echo, size, n int, loss float64, at func(echo) time.Duration) float64 {
	slices.SortFunc(back, func(a, b echo) int { return cmp.Compare(a.number, b.number) })
	kbit := float64(size*8) / 1000
	if loss > 0 {
		var gaps []time.Duration
		for i := 1; i < len(back); i++ {
			if back[i].number == back[i-1].number+1 {
				gaps = append(gaps, at(back[i])-at(back[i-1]))
			}
		}
		if len(gaps) == 0 {
			return 0
		}
		slices.Sort(gaps)
		return kbit / gaps[len(gaps)/2].Seconds()
	}
	if len(back) < n {
		return 0
	}
	from := n / 5 // by then many wait for the link
	return kbit * float64(n-1-from) / (at(back[n-1]) - at(back[from])).Seconds()
}
