package graph

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const perBin = 500 * time.Millisecond

func read(t *testing.T, text string) *Log {
	t.Helper()
	l, err := Read("a.log", strings.NewReader(text), perBin)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const ms = time.Millisecond

func TestRead(t *testing.T) {
	type sums struct {
		First, Last                   time.Duration
		Opportunities, In, Out, Lost  Tally
		Delivered                     []delivery
		Drops                         []time.Duration
		CapacityBins, InBins, OutBins map[int64]int64
	}
	for _, row := range []struct {
		name, text string
		want       sums
	}{
		{"an opportunity", "7 # 1504\n", sums{First: 7 * ms, Last: 7 * ms, Opportunities: Tally{1, 1504},
			CapacityBins: map[int64]int64{0: 1504}}},
		{"each kind, after a header", "# mahimahi mm-link (Uplink)\n# base timestamp: 30\n40 + 100\n530 # 1504\n" +
			"530 - 100 490\n531 d 2 3008\n", sums{First: 10 * ms, Last: 501 * ms, Opportunities: Tally{1, 1504},
			In: Tally{1, 100}, Out: Tally{1, 100}, Lost: Tally{2, 3008}, Delivered: []delivery{{10 * ms, 490 * ms}},
			Drops: []time.Duration{501 * ms}, CapacityBins: map[int64]int64{1: 1504}, InBins: map[int64]int64{0: 100},
			OutBins: map[int64]int64{1: 100}}},
		{"decimals", "# base timestamp: 0.5\n10.25 + 1\n12.000001 - 1 1.75\n", sums{First: 9750 * time.Microsecond,
			Last: 11500001, In: Tally{1, 1}, Out: Tally{1, 1}, Delivered: []delivery{{9750001, 1750 * time.Microsecond}},
			InBins: map[int64]int64{0: 1}, OutBins: map[int64]int64{0: 1}}},
		{"below a nanosecond", "0.0000019 + 1\n", sums{First: 1, Last: 1, In: Tally{1, 1}, InBins: map[int64]int64{0: 1}}},
		{"before the base", "# base timestamp: 1000\n0 + 1\n499 + 2\n500 + 4\n1000 + 8\n", sums{First: -1000 * ms,
			In: Tally{4, 15}, InBins: map[int64]int64{-2: 3, -1: 4, 0: 8}}},
		{"out of order", "600 + 1\n5 + 2\n601 + 4\n", sums{First: 5 * ms, Last: 601 * ms, In: Tally{3, 7},
			InBins: map[int64]int64{0: 2, 1: 5}}},
		{"no newline at the end", "7 + 1", sums{First: 7 * ms, Last: 7 * ms, In: Tally{1, 1}, InBins: map[int64]int64{0: 1}}},
		{"other spaces", "7\t+  1 \r\n", sums{First: 7 * ms, Last: 7 * ms, In: Tally{1, 1}, InBins: map[int64]int64{0: 1}}},
		{"no packets dropped", "7 d 0 0\n", sums{First: 7 * ms, Last: 7 * ms}},
		{"a long comment", "# command line: " + strings.Repeat("x", 3*longestLine) + "\n7 + 1\n", sums{First: 7 * ms,
			Last: 7 * ms, In: Tally{1, 1}, InBins: map[int64]int64{0: 1}}},
		{"a comment among events", "7 + 1\n# x\n8 + 1\n", sums{First: 7 * ms, Last: 8 * ms, In: Tally{2, 2},
			InBins: map[int64]int64{0: 2}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := read(t, row.text)
			got := sums{First: l.First, Last: l.Last, Opportunities: l.Opportunities, In: l.Arrivals, Out: l.Departures,
				Lost: l.Dropped, Delivered: l.delivered, Drops: l.drops}
			for k, b := range l.bins {
				put(&got.CapacityBins, k, b.capacity)
				put(&got.InBins, k, b.ingress)
				put(&got.OutBins, k, b.egress)
			}
			if d := cmp.Diff(row.want, got, cmp.AllowUnexported(delivery{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func put(m *map[int64]int64, k, v int64) {
	if v == 0 {
		return
	}
	if *m == nil {
		*m = map[int64]int64{}
	}
	(*m)[k] = v
}

func TestReadErrors(t *testing.T) {
	const again = "a log has the events of one run and one direction"
	for _, row := range []struct{ name, text, problem, hint string }{
		{"empty", "", "a.log: no events", forms},
		{"a header alone", "# base timestamp: 3\n", "a.log: no events", forms},
		{"an empty line", "7 + 1\n\n", "a.log:2: an empty line", forms},
		{"a trace", "0\n", `a.log:1: no event: "0"`, forms},
		{"cut off", "7 + 1\n8 +", `a.log:2: no event: "8 +"`, forms},
		{"no time", "x + 1\n", `a.log:1: "x" is no time`, forms},
		{"a negative time", "-1 + 1\n", `a.log:1: "-1" is no time`, forms},
		{"a point alone", ". + 1\n", `a.log:1: "." is no time`, forms},
		{"a point last", "1. + 1\n", `a.log:1: "1." is no time`, forms},
		{"an exponent", "1e3 + 1\n", `a.log:1: "1e3" is no time`, forms},
		{"30 years", "1000000000000 + 1\n", `a.log:1: "1000000000000" is no time`, forms},
		{"another kind", "1 x 1\n", `a.log:1: "x" is no kind of event`, forms},
		{"a long kind", "1 ++ 1\n", `a.log:1: "++" is no kind of event`, forms},
		{"no size", "1 + x\n", `a.log:1: "x" is no number of bytes`, forms},
		{"a negative size", "1 # -4\n", `a.log:1: "-4" is no number of bytes`, forms},
		{"too large", "1 # 99999999999999999999\n", `a.log:1: "99999999999999999999" is no number of bytes`, forms},
		{"no delay", "1 - 100\n", "a.log:1: - has 4 fields, not 3", forms},
		{"a wrong delay", "1 - 100 x\n", `a.log:1: "x" is no delay`, forms},
		{"a delay from before", "5 - 100 6\n", "a.log:1: a delay of 6 ms at 5 ms began before the link", forms},
		{"too many fields", "1 + 100 2\n", "a.log:1: + has 3 fields, not 4", forms},
		{"drops without bytes", "1 d 2\n", "a.log:1: d has 4 fields, not 3", forms},
		{"drops of what", "1 d x 2\n", `a.log:1: "x" is no number of packets`, forms},
		{"no base", "# base timestamp: x\n", `a.log:1: "x" is no base timestamp`, "write # base timestamp: MS"},
		{"two bases", "# base timestamp: 1\n# base timestamp: 1\n", "a.log:2: a second log begins", again},
		{"a base after events", "7 + 1\n# base timestamp: 1\n", "a.log:2: a second log begins", again},
		{"long input", strings.Repeat("x", 50) + "\n", `a.log:1: no event: "` + strings.Repeat("x", 40) + `"...`, forms},
		{"a long line", "7 + 1\n" + strings.Repeat("x", longestLine+1), "a.log:2: the line is longer than 65536 bytes", forms},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Read("a.log", strings.NewReader(row.text), perBin)
			if want := row.problem + "\nhint: " + row.hint; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	_, err := Read("a.log", io.MultiReader(strings.NewReader("7 + 1\n"), iotest.ErrReader(errors.New("gone"))), perBin)
	if err == nil || err.Error() != "reading a.log: gone" {
		t.Errorf("a reader that fails: %v", err)
	}
}

// However odd a log is: it is refused with a hint, or its figures are those of the plain reference and it can be drawn.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"# base timestamp: 3\n7 # 1504\n7 + 100\n9 - 100 2\n9 d 1 100\n", "1.5 - 7 0.25\n", "1 + 1",
		"0 - 1 0\n900 - 1 300\n800 - 1 0\n", "# base timestamp: 9\n5 - 9 5\n70 - 1 1.000001\n", "999999999999.9 + 1\n1 + 1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Read("a.log", strings.NewReader(text), perBin)
		if err != nil {
			if !strings.Contains(err.Error(), "\nhint: ") {
				t.Errorf("no hint: %v", err)
			}
			return
		}
		got := l.Figures()
		if span := l.Last - l.First; span < time.Hour && len(l.delivered) < 1000 {
			if d := cmp.Diff(reference(text), got.distributions(), near); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
		for _, p := range []*Picture{Throughput([]*Log{l}), Delay([]*Log{l, l})} {
			if err := p.Write(io.Discard, SVG); err != nil {
				t.Error(err)
			}
		}
	})
}
