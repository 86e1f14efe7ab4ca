package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// longestLine is in bytes, its end included.
const longestLine = 1 << 16

// oneTime is the hint for what is not one.
const oneTime = "a trace has one time per line, in milliseconds since its start: 12 or 0.25"

// Load reads a trace file, or a pipe such as /dev/fd/63.
func Load(path string) (*Schedule, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(path, f)
}

// Open opens what is to be read, which is no directory. Errors say the path and have a hint.
func Open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s: is a directory\nhint: give a file in it", path)
	}
	return f, nil
}

func unreadable(path string, err error) error {
	hint := "give a file that can be read, or - for standard input"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "is the name right, and is it relative to this directory?"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // which does not say the path once more
	}
	return fmt.Errorf("%s: %w\nhint: %s", path, err, hint)
}

// Parse reads a trace file: one time per line, in milliseconds with at most six decimals, never decreasing, the last
// above 0. What follows a # is a comment, and empty lines mean nothing. The name is for errors, which say the line.
func Parse(name string, r io.Reader) (*Schedule, error) {
	s := &Schedule{}
	var last time.Duration
	line, lastLine := 0, 0
	for b := bufio.NewReaderSize(r, longestLine); ; {
		text, err := b.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			if errors.Is(err, bufio.ErrBufferFull) {
				return nil, at(name, line+1, oneTime, "the line is longer than %d bytes", longestLine)
			}
			return nil, unreadable(name, err)
		}
		if len(text) > 0 {
			line++
		}
		t, problem, hint := parseLine(text)
		switch {
		case problem != "":
			return nil, at(name, line, hint, "%s", problem)
		case t < 0:
		case t < last:
			return nil, at(name, line, "times never decrease; sort -n puts them in order",
				"%s comes after %s", appendMillis(nil, t), appendMillis(nil, last))
		default:
			s.add(t)
			last, lastLine = t, line
		}
		if err != nil {
			break
		}
	}
	switch {
	case s.n == 0:
		return nil, fmt.Errorf("%s: there is no time in it\nhint: %s", name, oneTime)
	case last == 0:
		return nil, at(name, lastLine, "the last time is the one after which the trace repeats", "the last time is not above 0")
	}
	return s.done(), nil
}

// at makes an error about a line.
func at(name string, line int, hint, format string, a ...any) error {
	return fmt.Errorf("%s:%d: %s\nhint: %s", name, line, fmt.Sprintf(format, a...), hint)
}

// parseLine returns the line's time, or -1 if there is none, or what is wrong.
func parseLine(text []byte) (t time.Duration, problem, hint string) {
	var ms int64
	i := 0
	for i < len(text) && text[i]-'0' <= 9 && i < 12 {
		ms = 10*ms + int64(text[i]-'0')
		i++
	}
	if i > 0 && i < len(text) && text[i] == '\n' { // nearly all lines
		return time.Duration(ms) * time.Millisecond, "", ""
	}
	if i := bytes.IndexByte(text, '#'); i >= 0 {
		text = text[:i]
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return -1, "", ""
	}
	return parseMillis(text)
}

// parseMillis parses a number of milliseconds.
func parseMillis(text []byte) (t time.Duration, problem, hint string) {
	quoted := fmt.Sprintf("%q", text[:min(len(text), 40)])
	if len(text) > 40 {
		quoted += "..."
	}
	whole, decimals, point := bytes.Cut(text, []byte{'.'})
	switch {
	case !digits(whole) || !digits(decimals) || len(whole)+len(decimals) == 0:
		if text[0] == '-' && len(text) > 1 && (digits(text[1:2]) || text[1] == '.') {
			return 0, quoted + " is negative", oneTime
		}
		return 0, quoted + " is not a number of milliseconds", oneTime
	case point && len(decimals) > 6:
		return 0, quoted + " has more than 6 decimals", "times are exact to the nanosecond, 0.000001"
	}
	for _, c := range whole {
		if t = 10*t + time.Duration(c-'0'); t > longest/time.Millisecond {
			return 0, quoted + " is too long", "at most 1000000000000, which is 30 years"
		}
	}
	for i := range 6 {
		t *= 10
		if i < len(decimals) {
			t += time.Duration(decimals[i] - '0')
		}
	}
	if t > longest {
		return 0, quoted + " is too long", "at most 1000000000000, which is 30 years"
	}
	return t, "", ""
}

// digits says whether there is nothing else.
func digits(text []byte) bool {
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}
