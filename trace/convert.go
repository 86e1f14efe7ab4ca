package trace

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"time"
)

// A Conversion is between formats: "mahimahi", "mbps", "csv", "pensieve", "phantomlink", and, only to be read, "fcc".
type Conversion struct {
	From     string        // or "", to be guessed from the content
	To       string        //
	Interval time.Duration // of a line of mbps, and of the rates that a schedule becomes; or 0 for what is usual
	Fine     bool          // schedules are to the nanosecond, else whole milliseconds, rounded up
}

// A format's reader returns a schedule or a profile. A format without a writer is only read.
type format struct {
	name  string
	read  func(name string, r io.Reader, interval time.Duration) (*Schedule, profile, error)
	write func(w *bufio.Writer, p profile) error
}

var formats = []format{
	{"mahimahi", readSchedule, nil},
	{"mbps", readMbps, writeMbps},
	{"csv", readCSV, writeCSV},
	{"pensieve", readPensieve, writePensieve},
	{"phantomlink", readPhantomlink, writePhantomlink},
	{"fcc", readFCC, nil},
}

const (
	// mbpsLine is what a line stands for in the original's mm-rate-to-events.
	mbpsLine = time.Millisecond
	// usual is the interval of rates made of a schedule.
	usual = 100 * time.Millisecond
)

// Convert reads the one format and writes the other. A mean rate stays within 0.1 % of what it was, if need be by
// repeating what would otherwise be too short. The name is for errors.
func (c Conversion) Convert(name string, r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, longestLine)
	from := c.From
	if from == "" {
		head, err := in.Peek(longestLine)
		if from = guess(head, err != nil); from == "" {
			return argument("give --from=mahimahi, mbps, csv, pensieve, phantomlink or fcc", "%s: its format is unclear", name)
		}
	}
	i, o := c.find(from), c.find(c.To)
	if i < 0 {
		return argument("one of mahimahi, mbps, csv, pensieve, phantomlink, fcc", "%q is no format to read", from)
	}
	if o < 0 || c.To == "fcc" {
		return argument("one of mahimahi, mbps, csv, pensieve, phantomlink", "%q is no format to write", c.To)
	}
	line := c.Interval
	if line == 0 {
		line = mbpsLine
	}
	s, p, err := formats[i].read(name, in, line)
	if err != nil {
		return err
	}
	if c.To == "mahimahi" {
		return c.writeSchedule(w, s, p)
	}
	if p, err = c.rates(s, p); err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, longestLine)
	if err := formats[o].write(b, p); err != nil {
		return err
	}
	return b.Flush()
}

func (c Conversion) find(name string) int {
	return slices.IndexFunc(formats, func(f format) bool { return f.name == name })
}

func (c Conversion) writeSchedule(w io.Writer, s *Schedule, p profile) (err error) {
	switch {
	case s == nil:
		s, err = p.scheduleOf(c.Fine)
	case !c.Fine:
		s, err = s.Whole()
	}
	if err != nil {
		return err
	}
	return s.Write(w)
}

// rates are the steps to be written: of a schedule or a profile, in the interval asked for or in what the format needs.
func (c Conversion) rates(s *Schedule, p profile) (profile, error) {
	each := c.Interval
	switch {
	case each == 0 && c.To == "mbps":
		each = mbpsLine
	case each == 0 && (s != nil || c.To == "phantomlink" && !p.whole()):
		each = usual
	}
	if c.To == "phantomlink" && each%time.Millisecond != 0 {
		return nil, argument("give an --interval of whole milliseconds", "phantomlink's times have no part of a millisecond")
	}
	switch {
	case s != nil:
		return s.profile(each)
	case each == 0:
		return p, nil
	}
	return p.every(each)
}

// whole says whether all steps begin at whole milliseconds.
func (p profile) whole() bool {
	return !slices.ContainsFunc(p, func(s step) bool { return s.hold%time.Millisecond != 0 })
}

// guess says what a file's beginning looks like, or "". Of bare numbers, those that decrease somewhere are rates, and
// those that increase are times.
func guess(head []byte, all bool) string {
	var last float64
	count, increases := 0, false
	for text := range bytes.Lines(head) {
		if !all && text[len(text)-1] != '\n' {
			break
		}
		fields := strings.Fields(uncomment(string(text)))
		line := strings.Join(fields, " ")
		switch {
		case line == "":
			continue
		case strings.Contains(line, "RouteID"):
			return "phantomlink"
		case strings.Contains(line, "bytes_sec") && strings.Contains(line, ","):
			return "fcc"
		case strings.Contains(line, ","):
			return "csv"
		case len(fields) == 2:
			return "pensieve"
		}
		v, ok := plainNumber(line)
		if !ok {
			return ""
		}
		if count++; count > 1 && v < last {
			return "mbps"
		}
		increases = increases || count > 1 && v > last
		last = v
	}
	if count == 1 || increases {
		return "mahimahi"
	}
	return ""
}

func uncomment(text string) string {
	text, _, _ = strings.Cut(text, "#")
	return strings.TrimSpace(text)
}
