package graph

import (
	"bytes"
	"fmt"
	"time"
)

// An event is one line.
type event struct {
	at             time.Duration
	kind           byte
	packets, bytes int64
	delay          time.Duration
}

// parse reads an event's line, or says what is wrong with it.
func parse(line []byte) (e event, problem string) {
	var f [5][]byte
	n := fields(line, &f)
	var ok bool
	switch {
	case n == 0:
		return e, "an empty line"
	case n < 3:
		return e, fmt.Sprintf("no event: %s", quoted(line))
	}
	if e.at, ok = milliseconds(f[0]); !ok {
		return e, fmt.Sprintf("%s is no time", quoted(f[0]))
	}
	want := 3
	e.kind = f[1][0]
	switch {
	case len(f[1]) != 1:
		e.kind = 0
	case e.kind == '-' || e.kind == 'd':
		want = 4
	}
	switch e.kind {
	case '#', '+', '-', 'd':
	default:
		return e, fmt.Sprintf("%s is no kind of event", quoted(f[1]))
	}
	if n != want {
		return e, fmt.Sprintf("%c has %d fields, not %d", e.kind, want, n)
	}
	size := f[2]
	if e.kind == 'd' {
		if e.packets, ok = whole(f[2]); !ok {
			return e, fmt.Sprintf("%s is no number of packets", quoted(f[2]))
		}
		size = f[3]
	}
	if e.bytes, ok = whole(size); !ok {
		return e, fmt.Sprintf("%s is no number of bytes", quoted(size))
	}
	if e.kind == '-' {
		if e.delay, ok = milliseconds(f[3]); !ok {
			return e, fmt.Sprintf("%s is no delay", quoted(f[3]))
		}
		if e.delay > e.at {
			return e, fmt.Sprintf("a delay of %s ms at %s ms began before the link", f[3], f[0])
		}
	}
	return e, ""
}

// fields finds a line's words, at most as many as there is room for, and returns how many.
func fields(line []byte, into *[5][]byte) int {
	n := 0
	for i := 0; i < len(line) && n < len(into); {
		if space(line[i]) {
			i++
			continue
		}
		from := i
		for i < len(line) && !space(line[i]) {
			i++
		}
		into[n] = line[from:i]
		n++
	}
	return n
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// most bounds numbers: times to 30 years, and sums to what they can hold.
const most = 1_000_000_000_000

// whole parses a whole number up to most.
func whole(b []byte) (int64, bool) {
	var v int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if v = v*10 + int64(c-'0'); v > most {
			return 0, false
		}
	}
	return v, len(b) > 0
}

// milliseconds parses a decimal number of them; what is below a nanosecond is cut off.
func milliseconds(b []byte) (time.Duration, bool) {
	ms, decimals, pointed := bytes.Cut(b, []byte("."))
	v, ok := whole(ms)
	if !ok || v == most || pointed && len(decimals) == 0 {
		return 0, false
	}
	t := time.Duration(v) * time.Millisecond
	unit := time.Millisecond
	for _, c := range decimals {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		t += time.Duration(c-'0') * unit
	}
	return t, true
}

// quoted is an input as errors show it: its beginning, if it is long.
func quoted(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) > 40 {
		return fmt.Sprintf("%q...", b[:40])
	}
	return fmt.Sprintf("%q", b)
}
