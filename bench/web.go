package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// web measures recording and replaying, of and among the probe's small internet.
func (b *bench) web(rounds int, row func(what, figure, wanted string, ok bool)) error {
	dir, err := os.MkdirTemp("", "gomahi-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("resolv.conf"), []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		return err
	}
	if _, err := b.host("mount", "--bind", in("resolv.conf"), "/etc/resolv.conf"); err != nil {
		return err
	}
	defer b.host("umount", "/etc/resolv.conf")
	sites := exec.Command("probe", "enter", "server", b.pid, b.tid, "probe", "websites", in("ca.pem"))
	sites.Stderr = os.Stderr
	if err := sites.Start(); err != nil {
		return err
	}
	defer func() { sites.Process.Kill(); sites.Wait() }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(in("ca.pem")); err == nil {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("the small internet did not start: %w", err)
		}
	}
	trusting := func(args ...string) (string, error) {
		return b.host(append([]string{"env", "SSL_CERT_FILE=" + in("ca.pem")}, args...)...)
	}
	if err := recording(rounds, row, trusting, in("big")); err != nil {
		return err
	}
	if err := b.serving(rounds, row, trusting, in("serving")); err != nil {
		return err
	}
	return loadTime(row, trusting, in("site"))
}

// recording measures a download of 1 GB through gm-webrecord, in turn with the same without it.
func recording(rounds int, row func(what, figure, wanted string, ok bool), trusting func(...string) (string, error), dir string) error {
	const size, fastEnough, mostMemory = 1_000_000_000, 150, 100
	figure := func(out, pattern string) (float64, error) {
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("no figure in %q", out)
		}
		return strconv.ParseFloat(m[1], 64)
	}
	for _, site := range []struct{ name, url string }{{"HTTP", "http://plain.site.test/"}, {"HTTP/1.1 over TLS", "https://old.site.test/"},
		{"HTTP/2", "https://img.site.test/"}} {
		url := fmt.Sprintf("%s?bytes=%d", site.url, int64(size))
		var direct, recorded []float64
		memory := 0.0
		for range rounds {
			out, err := trusting("probe", "fetch", url)
			if err != nil {
				return err
			}
			rate, err := figure(out, `([\d.]+) MB/s`)
			if err != nil {
				return err
			}
			direct = append(direct, rate)
			out, err = trusting("gm-webrecord", dir, "sh", "-c", "probe fetch '"+url+"'; grep VmHWM /proc/$PPID/status")
			if err == nil {
				err = os.RemoveAll(dir)
			}
			if err != nil {
				return err
			}
			if rate, err = figure(out, `([\d.]+) MB/s`); err != nil {
				return err
			}
			most, err := figure(out, `VmHWM:\s+(\d+) kB`)
			if err != nil {
				return err
			}
			recorded, memory = append(recorded, rate), max(memory, most/1000)
			fmt.Printf("%8.0f MB/s directly, %.0f MB/s recorded  %s\n", direct[len(direct)-1], rate, site.name)
		}
		row("1 GB through gm-webrecord, "+site.name, fmt.Sprintf("%.0f MB/s, %.0f %% of %.0f, with %.0f MB of memory", median(recorded),
			100*median(recorded)/median(direct), median(direct), memory), fmt.Sprintf(">= %d MB/s, < %d MB", fastEnough, mostMemory),
			median(recorded) >= fastEnough && memory < mostMemory)
	}
	return nil
}

// loadTime measures how much the load time of a page in Chromium varies over a link.
func loadTime(row func(what, figure, wanted string, ok bool), trusting func(...string) (string, error), dir string) error {
	if _, err := exec.LookPath("chromium"); err != nil {
		fmt.Println("chromium is not installed: the load time of a page is left out")
		return nil
	}
	const page, loads, most = "https://www.site.test/", 20, 0.05
	if _, err := trusting("gm-webrecord", dir, "probe", "page", page); err != nil {
		return err
	}
	out, err := trusting("sh", "-c", fmt.Sprintf("gm-webreplay --fail-on-miss %s gm-delay 50 gm-link 10Mbps 10Mbps -- probe page -times -n %d %s 2>/dev/null",
		dir, loads+1, page))
	if err != nil {
		return err
	}
	var times []float64
	for _, word := range strings.Fields(out) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		times = append(times, v)
	}
	times = times[1:] // the first is the browser's own
	mean, squares := 0.0, 0.0
	for _, v := range times {
		mean += v / loads
	}
	for _, v := range times {
		squares += (v - mean) * (v - mean) / (loads - 1)
	}
	varies := math.Sqrt(squares) / mean
	fmt.Printf("%8.0f ms  %s over gm-delay 50 gm-link 10Mbps 10Mbps: %.0f\n", mean, page, times)
	row(fmt.Sprintf("load time of the test page, %d loads", loads), fmt.Sprintf("%.0f ms, least %.0f, variation %.1f %%", mean, slices.Min(times), 100*varies),
		fmt.Sprintf("<= %.0f %%", 100*most), varies <= most)
	return nil
}
