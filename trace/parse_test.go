package trace

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const us, ms = time.Microsecond, time.Millisecond

// times are those of a schedule, in a slice.
func times(s *Schedule) []time.Duration {
	var all []time.Duration
	for i := range s.Len() {
		all = append(all, s.At(i))
	}
	return all
}

func parse(t testing.TB, text string) *Schedule {
	t.Helper()
	s, err := Parse("up.trace", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func written(t testing.TB, s *Schedule) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       []time.Duration
		mean       float64
		written    string
	}{
		{"one", "12\n", []time.Duration{12 * ms}, 1e6, "12\n"},
		{"no end of line", "12", []time.Duration{12 * ms}, 1e6, "12\n"},
		{"several at once", "0\n0\n5\n5\n", []time.Duration{0, 0, 5 * ms, 5 * ms}, 9.6e6, "0\n0\n5\n5\n"},
		{"leading zeros", "007\n", []time.Duration{7 * ms}, 12e6 / 7., "7\n"},
		{"many leading zeros", "00000000000000000000007\n", []time.Duration{7 * ms}, 12e6 / 7., "7\n"},
		{"decimals", "0.25\n0.5\n1\n", []time.Duration{250 * us, 500 * us, ms}, 36e6, "0.25\n0.5\n1\n"},
		{"a nanosecond", "0.000001\n", []time.Duration{1}, 12e12, "0.000001\n"},
		{"whole decimals", "1.0\n2.000000\n", []time.Duration{ms, 2 * ms}, 12e6, "1\n2\n"},
		{"a point first and last", ".5\n2.\n", []time.Duration{500 * us, 2 * ms}, 12e6, "0.5\n2\n"},
		{"what binary cannot hold", "0.3\n", []time.Duration{300 * us}, 40e6, "0.3\n"},
		{"windows", "1\r\n2\r\n", []time.Duration{ms, 2 * ms}, 12e6, "1\n2\n"},
		{"comments", "# made\n1 # one\n#\n2# two\n", []time.Duration{ms, 2 * ms}, 12e6, "1\n2\n"},
		{"blank lines", "\n1\n \t\n2\n\n", []time.Duration{ms, 2 * ms}, 12e6, "1\n2\n"},
		{"spaces", " 1\t\n  2  \n", []time.Duration{ms, 2 * ms}, 12e6, "1\n2\n"},
		{"the longest", "1000000000000\n", []time.Duration{1e18}, 12e-6, "1000000000000\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := parse(t, row.text)
			if got := times(s); !slices.Equal(got, row.want) {
				t.Errorf("the times are %v, want %v", got, row.want)
			}
			if got := s.Period(); got != row.want[len(row.want)-1] {
				t.Errorf("the period is %v", got)
			}
			if got := s.Mean(); got < row.mean*(1-1e-12) || got > row.mean*(1+1e-12) {
				t.Errorf("the mean is %v, want %v", got, row.mean)
			}
			if got := written(t, s); got != row.written {
				t.Errorf("written %q, want %q", got, row.written)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const (
		decreases = "times never decrease; sort -n puts them in order"
		period    = "the last time is the one after which the trace repeats"
		long      = "at most 1000000000000, which is 30 years"
	)
	for _, row := range []struct{ name, text, problem, hint string }{
		{"empty", "", "up.trace: there is no time in it", oneTime},
		{"only comments", "# 1\n\n", "up.trace: there is no time in it", oneTime},
		{"a word", "1\n2\nabc\n", `up.trace:3: "abc" is not a number of milliseconds`, oneTime},
		{"a word at the end", "1\n2\nabc", `up.trace:3: "abc" is not a number of milliseconds`, oneTime},
		{"two numbers", "1 2\n", `up.trace:1: "1 2" is not a number of milliseconds`, oneTime},
		{"an exponent", "1e3\n", `up.trace:1: "1e3" is not a number of milliseconds`, oneTime},
		{"a unit", "5ms\n", `up.trace:1: "5ms" is not a number of milliseconds`, oneTime},
		{"two points", "1.2.3\n", `up.trace:1: "1.2.3" is not a number of milliseconds`, oneTime},
		{"a point", ".\n", `up.trace:1: "." is not a number of milliseconds`, oneTime},
		{"a plus", "+5\n", `up.trace:1: "+5" is not a number of milliseconds`, oneTime},
		{"infinity", "inf\n", `up.trace:1: "inf" is not a number of milliseconds`, oneTime},
		{"other digits", "٣\n", `up.trace:1: "٣" is not a number of milliseconds`, oneTime},
		{"a zero byte", "1\n\x00\n", `up.trace:2: "\x00" is not a number of milliseconds`, oneTime},
		{"a long word", strings.Repeat("a", 41), `up.trace:1: "` + strings.Repeat("a", 40) + `"... is not a number of milliseconds`, oneTime},
		{"negative", "-5\n", `up.trace:1: "-5" is negative`, oneTime},
		{"negative with a point first", "-.5\n", `up.trace:1: "-.5" is negative`, oneTime},
		{"a dash", "-\n", `up.trace:1: "-" is not a number of milliseconds`, oneTime},
		{"decreasing", "1\n\n7\n5.5\n", "up.trace:4: 5.5 comes after 7", decreases},
		{"only zero", "0\n0\n\n", "up.trace:2: the last time is not above 0", period},
		{"seven decimals", "0.0000001\n", `up.trace:1: "0.0000001" has more than 6 decimals`, "times are exact to the nanosecond, 0.000001"},
		{"too long", "1\n1000000000001\n", `up.trace:2: "1000000000001" is too long`, long},
		{"too long by a nanosecond", "1000000000000.000001\n", `up.trace:1: "1000000000000.000001" is too long`, long},
		{"beyond 64 bits", "18446744073709551617\n", `up.trace:1: "18446744073709551617" is too long`, long},
		{"an endless line", strings.Repeat(" ", longestLine+1), "up.trace:1: the line is longer than 65536 bytes", oneTime},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Parse("up.trace", strings.NewReader(row.text))
			if s != nil || err == nil {
				t.Fatalf("%v, %v", s, err)
			}
			if got, want := err.Error(), row.problem+"\nhint: "+row.hint; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestParseReadError(t *testing.T) {
	broken := errors.New("it broke")
	_, err := Parse("up.trace", iotest.ErrReader(broken))
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "up.trace: it broke\nhint: ") {
		t.Errorf("%v", err)
	}
	s, err := Parse("up.trace", iotest.DataErrReader(iotest.OneByteReader(strings.NewReader("1\n22"))))
	if err != nil || s.Len() != 2 || s.Period() != 22*ms {
		t.Errorf("byte by byte: %v, %v", s, err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "up.trace")
	if err := os.WriteFile(path, []byte("1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(path); err != nil || s.Len() != 2 {
		t.Errorf("%v, %v", s, err)
	}
	_, err := Load(dir)
	if want := dir + ": is a directory\nhint: give a file in it"; err == nil || err.Error() != want {
		t.Errorf("a directory: %v", err)
	}
	_, err = Load(path + "x")
	if want := path + "x: no such file or directory\nhint: is the name right, and is it relative to this directory?"; err == nil || err.Error() != want {
		t.Errorf("no file: %v", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("that there is no file is not in the error")
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() { w.WriteString("1\n2\n3\n"); w.Close() }()
	if s, err := Load("/dev/fd/" + string(appendMillis(nil, time.Duration(r.Fd())*ms))); err != nil || s.Len() != 3 {
		t.Errorf("a pipe: %v, %v", s, err)
	}
}

// Chunks neither lose nor double a time, and cost 8 bytes each.
func TestLong(t *testing.T) {
	for _, n := range []int{chunk - 1, chunk, chunk + 1, 3*chunk + 5} {
		s := parse(t, lines(n))
		if s.Len() != n {
			t.Errorf("%d of %d", s.Len(), n)
		}
		for i := range n {
			if s.At(i) != time.Duration(i+1)*ms {
				t.Fatalf("number %d of %d is at %v", i, n, s.At(i))
			}
		}
	}
	const n = 1_000_000
	text := lines(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := parse(t, text)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc); got > 8*n*102/100 {
		t.Errorf("%d bytes for %d lines", got, n)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(text)
}

func lines(n int) string {
	var b []byte
	for i := range n {
		b = append(appendMillis(b, time.Duration(i+1)*ms), '\n')
	}
	return string(b)
}

// BenchmarkParse reads ten million lines.
func BenchmarkParse(b *testing.B) {
	text := lines(10_000_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		parse(b, text)
	}
}

// What is accepted never decreases, ends above 0, and is the same when it is written and read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1\n2\n", "0.25\r\n.5 # x\n\n7.\n", "-5\n", "0\n", "1\n0\n", "1000000000000\n", "0.0000001", "#\n1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("x", strings.NewReader(text))
		if err != nil {
			if s != nil || !strings.HasPrefix(err.Error(), "x:") || !strings.Contains(err.Error(), "\nhint: ") {
				t.Errorf("%v, %v", s, err)
			}
			return
		}
		all := times(s)
		if !slices.IsSorted(all) || s.Period() <= 0 || all[0] < 0 || s.Period() > longest {
			t.Errorf("%q gives %v", text, all)
		}
		again := parse(t, written(t, s))
		if !slices.Equal(times(again), all) {
			t.Errorf("%q gives %v, and then %v", text, all, times(again))
		}
	})
}
