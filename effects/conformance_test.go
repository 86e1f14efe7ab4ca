package effects

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gomahi/effects/queue"
	"gomahi/effects/record"
	"gomahi/packet"
	"gomahi/trace"
)

// The logs were written by mahimahi's mm-link under real TCP traffic. Given the trace and the arrivals, ours comes out
// the same, line by line: departures, drops, and opportunities where the log has them.
func TestConformance(t *testing.T) {
	here, _ := filepath.Glob("testdata/*.log.gz")
	if len(here) != 6 {
		t.Fatalf("%d logs, want 6", len(here))
	}
	// These are there for developers only: their traces may not be copied.
	more, _ := filepath.Glob("../../shared/vectors/[tv]*.log")
	for _, file := range append(here, more...) {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".log")
		t.Run(name, func(t *testing.T) {
			conforms(t, read(t, file), func(name string) *trace.Schedule {
				if strings.HasPrefix(name, "walk") {
					name = filepath.Join("testdata", name+".gz")
				} else {
					name = filepath.Join("../../shared/traces", name)
				}
				s, err := trace.Parse(name, bytes.NewReader(read(t, name)))
				if err != nil {
					t.Fatal(err)
				}
				return s
			})
		})
	}
}

// read reads a file, which may be compressed.
func read(t *testing.T, name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type memory struct{ bytes.Buffer }

func (*memory) Close() error { return nil }

func conforms(t *testing.T, log []byte, schedule func(name string) *trace.Schedule) {
	field := func(pattern string) string {
		m := regexp.MustCompile(`(?m)^# ` + pattern + `$`).FindSubmatch(log)
		if m == nil {
			t.Fatalf("no %s", pattern)
		}
		return string(m[1])
	}
	kind, args, _ := strings.Cut(field(`queue: (.*)`), " ")
	spec, err := queue.Parse(kind, strings.Trim(args, "[]"))
	if err != nil {
		t.Fatal(err)
	}
	var base int64
	fmt.Sscan(field(`base timestamp: (.*)`), &base)
	s := schedule(field(`mahimahi mm-link \(.*\) \[(.*)\] > .*`))

	var ours memory
	r := record.New()
	r.Log(record.Head{}, record.Capacity{Schedule: s, Overhead: Overhead, Size: Opportunity}, &ours)
	r.Start()
	link := NewTraced(s, false, spec.New(queue.Config{Overhead: Overhead, Seen: r}), r)

	var pool packet.Pool
	var want []string
	var last time.Duration
	opportunities := false
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		var at int64
		var sign string
		var size int
		if _, err := fmt.Sscan(line, &at, &sign, &size); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		_, rest, _ := strings.Cut(line, " ")
		want = append(want, fmt.Sprint(at-base, " ", rest))
		last = time.Duration(at-base) * ms
		opportunities = opportunities || sign == "#"
		if sign != "+" {
			continue
		}
		for p, ok := link.Pop(last); ok; p, ok = link.Pop(last) {
			p.Release()
		}
		f := pool.Get()
		f.FilledPlain(size - Overhead)
		link.Push(last, f.Packet(0, last))
	}
	for p, ok := link.Pop(last); ok; p, ok = link.Pop(last) {
		p.Release()
	}
	if err := r.Close(last); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(ours.String()), "\n") {
		if line[0] != '#' && (opportunities || !strings.Contains(line, "#")) {
			got = append(got, line)
		}
	}
	departures, drops := 0, 0
	for i, line := range want {
		if i == len(got) {
			break
		}
		if got[i] != line {
			t.Fatalf("line %d is %q, want %q", i, got[i], line)
		}
		if strings.Contains(line, " - ") {
			departures++
		} else if strings.Contains(line, " d ") {
			drops++
		}
	}
	// The original ended within a millisecond, so ours may have more of it.
	if len(got) < len(want) {
		t.Errorf("%d lines, want %d; the next would be %q", len(got), len(want), want[len(got)])
	}
	t.Logf("%d lines, %d departures, %d drops", len(want), departures, drops)
}
