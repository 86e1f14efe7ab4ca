package trace

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func readSchedule(name string, r io.Reader, _ time.Duration) (*Schedule, profile, error) {
	s, err := Parse(name, r)
	return s, nil, err
}

// eachLine calls f with what stands in a line before any comment, if anything does.
func eachLine(name string, r io.Reader, hint string, f func(line int, text string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, longestLine)
	line := 0
	for s.Scan() {
		line++
		if text := uncomment(s.Text()); text != "" {
			if err := f(line, text); err != nil {
				return err
			}
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return at(name, line+1, hint, "the line is longer than %d bytes", longestLine)
	}
	if s.Err() != nil {
		return unreadable(name, s.Err())
	}
	return nil
}

// some refuses a profile without a step, or one that is too long.
func some(name, hint string, p profile, err error) (*Schedule, profile, error) {
	switch {
	case err != nil:
		return nil, nil, err
	case len(p) == 0:
		return nil, nil, errors.New(name + ": there is no rate in it\nhint: " + hint)
	}
	total := 0.0
	for _, s := range p {
		total += float64(s.hold)
	}
	if total > float64(longest) {
		return nil, nil, errTooLong
	}
	return nil, p, nil
}

func plainNumber(text string) (float64, bool) {
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// rateIn parses a rate of a file in a unit of bit/s.
func rateIn(name string, line int, text string, unit float64) (float64, error) {
	const hint = "a rate is a number from 0 to what 1 Tbit/s is in its unit"
	v, ok := plainNumber(text)
	switch {
	case !ok:
		return 0, at(name, line, hint, "%q is not a number", text)
	case v < 0:
		return 0, at(name, line, hint, "rate %q is negative", text)
	case v*unit > fastest:
		return 0, at(name, line, hint, "rate %q is too high", text)
	}
	return v * unit, nil
}

func readMbps(name string, r io.Reader, interval time.Duration) (*Schedule, profile, error) {
	const hint = "one rate in Mbit/s per line: 12 or 0.5"
	var p profile
	err := eachLine(name, r, hint, func(line int, text string) error {
		rate, err := rateIn(name, line, text, 1e6)
		p = append(p, step{interval, rate})
		return err
	})
	return some(name, hint, p, err)
}

// rows are rates that hold from a time on.
type rows struct {
	at   []time.Duration
	rate []float64
}

// add takes one more row, in whose line the time stands as text.
func (r *rows) add(name string, line int, text string, unit time.Duration, rate float64) error {
	t, ok := timeIn(text, unit)
	if !ok {
		return at(name, line, "a number from 0, and no date", "%q is not a time", text)
	}
	if n := len(r.at); n > 0 && t <= r.at[n-1] {
		return at(name, line, "each time is after the one before", "time %s does not ascend", text)
	}
	r.at, r.rate = append(r.at, t), append(r.rate, rate)
	return nil
}

// timeIn parses a time in a unit, which does not lose what a float has no room for in seconds since 1970.
func timeIn(text string, unit time.Duration) (time.Duration, bool) {
	whole, decimals, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || !digits([]byte(decimals)) {
		v, ok := plainNumber(text)
		v *= float64(unit)
		return time.Duration(math.Round(v)), ok && v >= 0 && v <= float64(longest)
	}
	part, _ := plainNumber("0." + decimals + "0")
	return time.Duration(n)*unit + time.Duration(math.Round(part*float64(unit))), n <= int64(9*longest/unit)
}

// profile is that of a step function. The last row holds as long as the one before it, and a single one for a second.
func (r rows) profile() profile {
	p := make(profile, len(r.at))
	for i := range p {
		hold := time.Second
		if i+1 < len(p) {
			hold = r.at[i+1] - r.at[i]
		} else if i > 0 {
			hold = p[i-1].hold
		}
		p[i] = step{hold, r.rate[i]}
	}
	return p
}

// readPensieve reads seconds and Mbit/s in two columns. A row ends the time in which its rate holds, and the first
// row's is not used, as in Pensieve's own simulator.
func readPensieve(name string, r io.Reader, _ time.Duration) (*Schedule, profile, error) {
	const hint = "two numbers per line, seconds and Mbit/s: 0.5 3.2"
	var all rows
	err := eachLine(name, r, hint, func(line int, text string) error {
		fields := strings.Fields(text)
		if len(fields) != 2 {
			return at(name, line, hint, "%d numbers in place of two", len(fields))
		}
		rate, err := rateIn(name, line, fields[1], 1e6)
		if err != nil {
			return err
		}
		return all.add(name, line, fields[0], time.Second, rate)
	})
	var p profile
	if len(all.at) == 1 {
		p = all.profile()
	}
	for i := 1; i < len(all.at); i++ {
		p = append(p, step{all.at[i] - all.at[i-1], all.rate[i]})
	}
	return some(name, hint, p, err)
}

// eachRecord calls f with the header and each record of a CSV file.
func eachRecord(name string, r io.Reader, hint string, f func(line int, header, record []string) error) error {
	c := csv.NewReader(r)
	c.Comment, c.TrimLeadingSpace, c.ReuseRecord = '#', true, true
	var header []string
	for {
		record, err := c.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			return at(name, wrong.Line, hint, "%v", wrong.Err)
		case err != nil:
			return unreadable(name, err)
		case header == nil:
			header = slices.Clone(record)
		}
		line, _ := c.FieldPos(0)
		if err := f(line, header, record); err != nil {
			return err
		}
	}
}

var (
	timeColumn = regexp.MustCompile(`(?i)^(?:time|timestamp|t)[^a-z]+(ns|us|ms|s|sec|seconds)[^a-z]*$`)
	rateColumn = regexp.MustCompile(`(?:^|[^A-Za-z])([kKmMgG]?)` +
		`(bps|b/s|bits?(?:/s|_s|_sec)?|Bps|B/s|[bB]ytes?(?:/s|_s|_sec))(?:$|[^A-Za-z])`)
	timeUnits = map[string]time.Duration{"ns": 1, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
		"sec": time.Second, "seconds": time.Second}
)

const csvHint = "the first line names the columns with their units: time_s,rate_mbps"

func readCSV(name string, r io.Reader, _ time.Duration) (*Schedule, profile, error) {
	return readTable(name, r, false)
}

// readPhantomlink differs in that the first row applies at once, whatever its time.
func readPhantomlink(name string, r io.Reader, _ time.Duration) (*Schedule, profile, error) {
	return readTable(name, r, true)
}

func readTable(name string, r io.Reader, atOnce bool) (*Schedule, profile, error) {
	var all rows
	t, v := -1, -1
	var timeUnit time.Duration
	var rateUnit float64
	err := eachRecord(name, r, csvHint, func(line int, header, record []string) error {
		if t < 0 {
			for i, column := range header {
				if m := timeColumn.FindStringSubmatch(column); m != nil && t < 0 {
					t, timeUnit = i, timeUnits[strings.ToLower(m[1])]
				} else if m := rateColumn.FindStringSubmatch(column); m != nil && v < 0 {
					v, rateUnit = i, map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[strings.ToLower(m[1])]
					if strings.Contains(strings.ToLower(m[2]), "byte") || strings.HasPrefix(m[2], "B") {
						rateUnit *= 8
					}
				}
			}
			if t < 0 || v < 0 {
				return at(name, line, csvHint, "there is no time with a unit and rate with a unit in the header")
			}
			return nil
		}
		rate, err := rateIn(name, line, record[v], rateUnit)
		if err != nil {
			return err
		}
		return all.add(name, line, record[t], timeUnit, rate)
	})
	p := all.profile()
	if atOnce && len(p) > 1 {
		p[0].hold += all.at[0]
	}
	return some(name, csvHint, p, err)
}

// fccRow is how long a measurement counts, as Pensieve has it.
const fccRow = 5 * time.Second

// readFCC reads the table of one unit of Measuring Broadband America, row after row, whatever the dates.
func readFCC(name string, r io.Reader, _ time.Duration) (*Schedule, profile, error) {
	const hint = "a line of column names with bytes_sec, and the rows of one unit_id"
	var p profile
	unit, first := -1, ""
	v := -1
	err := eachRecord(name, r, hint, func(line int, header, record []string) error {
		if v < 0 {
			unit, v = slices.Index(header, "unit_id"), slices.Index(header, "bytes_sec")
			if v < 0 {
				return at(name, line, hint, "there is no column bytes_sec")
			}
			return nil
		}
		if unit >= 0 {
			if first == "" {
				first = record[unit]
			}
			if record[unit] != first {
				return at(name, line, "choose one: awk -F, 'NR == 1 || $1 == "+first+"'",
					"unit %s after unit %s", record[unit], first)
			}
		}
		rate, err := rateIn(name, line, record[v], 8)
		p = append(p, step{fccRow, rate})
		return err
	})
	return some(name, hint, p, err)
}
