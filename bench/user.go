package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// as makes a command an ordinary user's, for whom the way out is the gateway.
var as = []string{"probe", "as", "12345"}

// user measures what an ordinary user has of it, each figure in turn with root's.
func (b *bench) user(rounds int, row func(what, figure, wanted string, ok bool)) error {
	if _, err := exec.LookPath("iperf3"); err != nil {
		fmt.Println("iperf3 is not installed: the figures of ordinary users are left out")
		return nil
	}
	flow := func(options ...string) []string {
		return append([]string{"gm-delay", "0", "iperf3", "-c", outside, "-t", "2", "-f", "m", "-C", cubic}, options...)
	}
	sandbox := append(slices.Clone(as), "gm-sandbox", "sh", "-c",
		"iperf3 -s -1 >/dev/null & sleep 0.2; exec gm-delay 0 iperf3 -c $GM_BASE -t 2 -f m -C "+cubic)
	runs := []struct {
		what string
		args []string
		of   string
		part float64
	}{
		{"out", flow(), "", 0},
		{"in", flow("-R"), "", 0},
		{"gateway, out", append(slices.Clone(as), flow()...), "out", 0.4},
		{"gateway, in", append(slices.Clone(as), flow("-R")...), "in", 0.4},
		{"gateway, eight flows out", append(slices.Clone(as), flow("-P", "8")...), "gateway, out", 1},
		{"gateway, eight flows in", append(slices.Clone(as), flow("-R", "-P", "8")...), "gateway, in", 1},
		{"in gm-sandbox, end to end", sandbox, "out", 0.9},
	}
	rates := map[string][]float64{}
	for range rounds {
		for _, r := range runs {
			rate, err := b.measure(r.args)
			if err != nil {
				return err
			}
			rates[r.what] = append(rates[r.what], rate)
		}
	}
	for _, r := range runs {
		if r.of == "" {
			continue
		}
		a, z := median(rates[r.what]), median(rates[r.of])
		of := r.of
		if r.part < 1 {
			of = "root's"
		}
		row("ordinary user, "+r.what, fmt.Sprintf("%.0f %% of %.2f Gbit/s (%s)", 100*a/z, z/1000, of), fmt.Sprintf(">= %.0f %%", 100*r.part), a >= r.part*z)
	}

	var starts []float64
	for range 20 {
		start := time.Now()
		out, err := b.host(append(slices.Clone(as), "gm-delay", "0", "date", "+%s%N")...)
		if err != nil {
			return err
		}
		runs, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return err
		}
		starts = append(starts, float64(runs-start.UnixNano())/1e6)
	}
	row("ordinary user, from typing to the command running, median of 20", fmt.Sprintf("%.1f ms", median(starts)), "<= 80 ms", median(starts) <= 80)
	return nil
}
