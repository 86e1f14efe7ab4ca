package graph

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var near = cmpopts.EquateApprox(1e-9, 1e-6)

// distributions are a log's delays.
type distributions struct{ Queueing, Signal *Delays }

func (f Figures) distributions() distributions { return distributions{f.Queueing, f.Signal} }

// reference works them out in the plainest way: a list of all values in ns, one for every ms from the first packet to
// the last, each the least over all packets sent later.
func reference(text string) (out distributions) {
	type packet struct{ sent, arrived int }
	var packets []packet
	var queueing []int
	ns := func(s string) int {
		whole, decimals, _ := strings.Cut(s, ".")
		v, _ := strconv.Atoi(whole + (decimals + "000000")[:6])
		return v
	}
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "-" && line[0] != '#' {
			at, delay := ns(f[0]), ns(f[3])
			packets = append(packets, packet{at - delay, at})
			queueing = append(queueing, delay)
		}
	}
	if len(packets) == 0 {
		return out
	}
	slices.SortFunc(packets, func(a, b packet) int { return a.sent - b.sent })
	least := make([]int, len(packets)) // the first to arrive of these and all sent later
	for i := len(packets) - 1; i >= 0; i-- {
		if least[i] = packets[i].arrived; i+1 < len(packets) {
			least[i] = min(least[i], least[i+1])
		}
	}
	var signal []int
	for t, i := packets[0].sent, 0; t <= packets[len(packets)-1].sent; t += 1e6 {
		for packets[i].sent < t {
			i++
		}
		signal = append(signal, least[i]-t)
	}
	return distributions{listed(queueing), listed(signal)}
}

func listed(v []int) *Delays {
	slices.Sort(v)
	sum := 0.0
	for _, x := range v {
		sum += float64(x) / 1e6
	}
	at := func(p float64) float64 { return float64(v[int(p*float64(len(v)))]) / 1e6 }
	return &Delays{P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: float64(v[len(v)-1]) / 1e6, Mean: sum / float64(len(v))}
}

func TestFigures(t *testing.T) {
	num := func(v float64) *float64 { return &v }
	for _, row := range []struct {
		name, text string
		want       Figures
	}{
		{"a second", "0 # 1504\n0 + 1000\n0 + 500\n500 - 1000 500\n500 - 500 500\n1000 # 1496\n", Figures{
			Capacity: num(0.024), Ingress: num(0.012), Throughput: num(0.012), Utilization: num(0.5), Arrivals: 2,
			Departures: 2, Bytes: 1500, Duration: 1000, Queueing: &Delays{500, 500, 500, 500, 500},
			Signal: &Delays{500, 500, 500, 500, 500}}},
		{"no opportunities", "0 + 1000\n8 - 1000 8\n", Figures{Ingress: num(1), Throughput: num(1), Arrivals: 1,
			Departures: 1, Bytes: 1000, Duration: 8, Queueing: &Delays{8, 8, 8, 8, 8}, Signal: &Delays{8, 8, 8, 8, 8}}},
		{"opportunities of nothing", "0 # 0\n8 # 0\n", Figures{Capacity: num(0), Ingress: num(0), Throughput: num(0),
			Duration: 8}},
		{"drops", "0 + 1000\n8 d 3 1000\n", Figures{Ingress: num(1), Throughput: num(0), Arrivals: 1, Drops: 3, Duration: 8}},
		{"one moment", "3 # 1504\n3 + 1504\n3 - 1504 0\n", Figures{Arrivals: 1, Departures: 1, Bytes: 1504,
			Queueing: &Delays{}, Signal: &Delays{}}},
		// sent at 0 and 4, there at 2 and 5: 2, then 4, 3, 2 and 1
		{"a pause", "2 - 1 2\n5 - 1 1\n", Figures{Ingress: num(0), Throughput: num(16e-6 / 3e-3), Departures: 2, Bytes: 2,
			Duration: 3, Queueing: &Delays{2, 2, 2, 2, 1.5}, Signal: &Delays{2, 4, 4, 4, 2.4}}},
		// sent at 0 and 2, there at 9 and 3: the second overtakes, so 3, 2, 1
		{"overtaken", "3 - 1 1\n9 - 1 9\n", Figures{Ingress: num(0), Throughput: num(16e-6 / 6e-3), Departures: 2, Bytes: 2,
			Duration: 6, Queueing: &Delays{9, 9, 9, 9, 5}, Signal: &Delays{2, 3, 3, 3, 2}}},
		// sent at 0.5 and 2.75, there at 1 and 3: 0.5, then at 1.5 and 2.5 1.5 and 0.5
		{"decimals", "1 - 1 0.5\n3 - 1 0.25\n", Figures{Ingress: num(0), Throughput: num(16e-6 / 2e-3), Departures: 2, Bytes: 2,
			Duration: 2, Queueing: &Delays{0.5, 0.5, 0.5, 0.5, 0.375}, Signal: &Delays{0.5, 1.5, 1.5, 1.5, 2.5 / 3}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.want.File = "a.log"
			if d := cmp.Diff(row.want, read(t, row.text).Figures(), near); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := cmp.Diff(reference(row.text), row.want.distributions(), near); d != "" {
				t.Errorf("the reference (-reference +row):\n%s", d)
			}
		})
	}
}

// A year between two packets takes no longer than a second.
func TestLongSilence(t *testing.T) {
	const year = 365 * 24 * 3600 * 1000
	got := read(t, "0 - 1 0\n31536000000 - 1 0\n").Figures().Signal
	want := Delays{P50: year/2 - 1, P95: year*0.95 - 1, P99: year*0.99 - 1, Max: year - 1, Mean: (year - 1) * (year / 2) / (year + 1.0)}
	if d := cmp.Diff(want, *got, near); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// unpacked is a file of testdata.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Logs of the original, and what its scripts print where they can: they stop at drops, and divide by a capacity of 0.
func TestOriginalLogs(t *testing.T) {
	printed := map[string]string{
		"walk-droptail.up.log":      "unknown, 9.05 Mbits/s (utilization unknown), 27 ms, 162 ms",
		"walk-infinite.down.log":    "unknown, 11.51 Mbits/s (utilization unknown), 3 ms, 5 ms",
		"tmobile-infinite.up.log":   "5.53 Mbits/s, 5.28 Mbits/s (95.6% utilization), 191 ms, 210 ms",
		"tmobile-infinite.down.log": "26.42 Mbits/s, 6.20 Mbits/s (23.5% utilization), 30 ms, 39 ms",
	}
	texts := map[string]string{}
	for _, name := range []string{"walk-droptail.up.log", "walk-infinite.down.log"} {
		texts[name] = unpacked(t, name)
	}
	paths, _ := filepath.Glob("../../../shared/vectors/*.log") // more of them, which are not free to copy
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(b)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			f := read(t, text).Figures()
			if d := cmp.Diff(reference(text), f.distributions(), near); d != "" {
				t.Errorf("(-reference +got):\n%s", d)
			}
			if printed[name] == "" {
				return
			}
			p := strings.Split(printed[name], ", ")
			want := "Average capacity: " + p[0] + "\nAverage throughput: " + p[1] +
				"\n95th percentile per-packet queueing delay: " + p[2] + "\n95th percentile signal delay: " + p[3] + "\n"
			var got bytes.Buffer
			f.Throughputs(&got)
			if d := cmp.Diff(want, got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The counts of a log with drops, as a count of its lines has them.
func TestCounts(t *testing.T) {
	f := read(t, unpacked(t, "walk-droptail.up.log")).Figures()
	want := [5]int64{16452, 14092, 2359, 10834508, 9580}
	if got := [5]int64{f.Arrivals, f.Departures, f.Drops, f.Bytes, int64(f.Duration)}; got != want {
		t.Errorf("arrivals, departures, drops, bytes and ms are %v, want %v", got, want)
	}
}
