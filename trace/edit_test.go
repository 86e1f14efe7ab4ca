package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEdit(t *testing.T) {
	type edit func(*Schedule) (*Schedule, error)
	cut := func(from, to time.Duration) edit {
		return func(s *Schedule) (*Schedule, error) { return s.Cut(from, to) }
	}
	scale := func(f float64) edit { return func(s *Schedule) (*Schedule, error) { return s.Scale(f) } }
	repeat := func(n int) edit { return func(s *Schedule) (*Schedule, error) { return s.Repeat(n) } }
	join := func(other string) edit {
		return func(s *Schedule) (*Schedule, error) { return Join(s, parse(t, other)) }
	}
	for _, row := range []struct {
		name, text string
		do         edit
		want       string
	}{
		{"cut all", "0 1 2 3", cut(0, 3*ms), "0 1 2 3"},
		{"cut the beginning", "0 1 2 3", cut(0, 2*ms), "0 1 2"},
		{"cut the end", "0 1 2 3", cut(ms, 3*ms), "1 2"},
		{"two cuts share nothing", "1 2 3 4", cut(2*ms, 4*ms), "1 2"},
		{"cut between", "1 5 9", cut(3*ms, 8*ms), "2"},
		{"cut finely", "1 5 9", cut(4500*us, 9*ms), "0.5 4.5"},
		{"scale by one", "0 1 2 3", scale(1), "0 1 2 3"},
		{"scale by two", "1 2", scale(2), "1 1 2 2"},
		{"scale by half", "1 2 3 4", scale(0.5), "2 4"},
		{"scale by one and a half", "1 2 3 4", scale(1.5), "1 2 2 3 4 4"},
		{"scale by a third, of six", "1 2 3 4 5 6", scale(1. / 3), "3 6"},
		{"a half is lent", "1 2 3 4 5", scale(0.5), "2 4 5"},
		{"the end stays", "1 2 3 4 5 6 7", scale(0.3), "4 7"},
		{"repeat once", "1 3", repeat(1), "1 3"},
		{"repeat", "0 1 3", repeat(3), "0 1 3 3 4 6 6 7 9"},
		{"join", "1 2", join("0\n5\n"), "1 2 2 7"},
		{"whole already", "1 2", (*Schedule).Whole, "1 2"},
		{"whole", "0.25 0.5", (*Schedule).Whole, "1 1 1 1"},
		{"whole, twice", "0.25 1.5", (*Schedule).Whole, "1 2 2 3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := row.do(parse(t, strings.ReplaceAll(row.text, " ", "\n")))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(written(t, got)), " "); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
	many := parse(t, lines(100))
	far := parse(t, "1000000000000\n")
	for _, row := range []struct {
		name string
		do   func() (*Schedule, error)
		want string
	}{
		{"cut nothing", func() (*Schedule, error) { return many.Cut(5*ms, 5*ms) },
			"the cut from 5ms to 5ms keeps nothing\nhint: gm-trace cut 10s 20s keeps the ten seconds between"},
		{"cut past the end", func() (*Schedule, error) { return many.Cut(5*ms, 101*ms) },
			"101ms is after the trace's end at 100ms\nhint: gm-trace repeat makes it longer"},
		{"cut an outage", func() (*Schedule, error) { return many.Cut(5*ms, 5500*us) },
			"there is no opportunity from 5ms to 5.5ms\nhint: gm-trace info says the longest outage"},
		{"scale by zero", func() (*Schedule, error) { return many.Scale(0) },
			"the factor 0 is not above 0\nhint: give a number above 0: 0.5, 2"},
		{"scale to nothing", func() (*Schedule, error) { return many.Scale(0.001) },
			"nothing is left of 100 opportunities\nhint: give a larger factor, or gm-trace repeat it before"},
		{"scale to too much", func() (*Schedule, error) { return many.Scale(1e9) }, errTooMany.Error()},
		{"repeat never", func() (*Schedule, error) { return many.Repeat(0) }, "0 times is never\nhint: give a whole number from 1"},
		{"repeat too often", func() (*Schedule, error) { return many.Repeat(1e9) }, errTooMany.Error()},
		{"repeat too long", func() (*Schedule, error) { return far.Repeat(2) }, errTooLong.Error()},
	} {
		if got, err := row.do(); got != nil || err == nil || err.Error() != row.want {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"constant", lines(1000), "opportunities   1000\nduration        1 s\nmean            12 Mbit/s\n" +
			"p5 p50 p95      12 Mbit/s, 12 Mbit/s, 12 Mbit/s over 100 ms\nlongest outage  1 ms\n██████████\n"},
		{"steps", "100\n200\n200\n300\n300\n300\n350\n350\n", "opportunities   8\nduration        0.35 s\nmean            274.3 kbit/s\n" +
			"p5 p50 p95      120 kbit/s, 240 kbit/s, 360 kbit/s over 100 ms\nlongest outage  100 ms\n▂▄█\n"},
		{"an outage across the end", "500\n550\n1000\n", "opportunities   3\nduration        1 s\nmean            36 kbit/s\n" +
			"p5 p50 p95      0 bit/s, 0 bit/s, 120 kbit/s over 100 ms\nlongest outage  500 ms\n▁▁▁▁██▁▁▁█\n"},
		{"shorter than a bin", "0.0025\n", "opportunities   1\nduration        0.0000025 s\nmean            4.8 Gbit/s\n" +
			"p5 p50 p95      4.8 Gbit/s, 4.8 Gbit/s, 4.8 Gbit/s over 0.0025 ms\nlongest outage  0.0025 ms\n█\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := parse(t, row.text).Describe(&b); err != nil || b.String() != row.want {
				t.Errorf("%v\n%s\nwant\n%s", err, &b, row.want)
			}
		})
	}
	long := parse(t, lines(100_000))
	if line := []rune(long.sparkline()); len(line) != 60 {
		t.Errorf("%d cells", len(line))
	}
	if err := long.Describe(broken{}); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if err := long.Write(broken{}); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

type broken struct{}

var errBroken = errors.New("it broke")

func (broken) Write([]byte) (int, error) { return 0, errBroken }
