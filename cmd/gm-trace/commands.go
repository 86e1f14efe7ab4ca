package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomahi/internal/cli"
	"gomahi/trace"
)

// options are a command's, and what it does with them.
type options interface {
	cli.CommandOptions
	base() *shared
	do(out *bytes.Buffer) error
}

// shared is what all commands have.
type shared struct {
	Output string `short:"o" placeholder:"FILE" help:"Write FILE in place of standard output."`
	cli.Arguments
	stdin  io.Reader
	stdout io.Writer
}

func (o *shared) base() *shared { return o }

// put writes where it is asked to. Nothing is written before all of it is known.
func (o *shared) put(data []byte) error {
	if o.Output == "" || o.Output == "-" {
		if _, err := o.stdout.Write(data); err != nil {
			return fmt.Errorf("writing standard output: %w\nhint: is there room, and is the reader still there?", err)
		}
		return nil
	}
	err := os.WriteFile(o.Output, data, 0o666)
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("writing %s: %w\nhint: is there such a directory, and may you write there?", o.Output, p.Err)
	}
	return err
}

// open opens argument i, standard input if it is - or missing.
func (o *shared) open(i int) (name string, r io.ReadCloser, err error) {
	if i >= len(o.Args) || o.Args[i] == "-" {
		return "standard input", io.NopCloser(o.stdin), nil
	}
	r, err = trace.Open(o.Args[i])
	return o.Args[i], r, err
}

func (o *shared) load(i int) (*trace.Schedule, error) {
	name, r, err := o.open(i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return trace.Parse(name, r)
}

// change loads the trace of argument i, changes it and writes it.
func (o *shared) change(i int, out *bytes.Buffer, f func(*trace.Schedule) (*trace.Schedule, error)) error {
	s, err := o.load(i)
	if err == nil {
		s, err = f(s)
	}
	if err != nil {
		return err
	}
	return s.Write(out)
}

type info struct{ shared }

func (o *info) do(out *bytes.Buffer) error {
	s, err := o.load(0)
	if err != nil {
		return err
	}
	return s.Describe(out)
}

type makes struct {
	Seed    uint64  `placeholder:"N" default:"1" help:"Draw from this seed (1)."`
	Seconds float64 `placeholder:"N" default:"60" help:"How long the trace is (60)."`
	Gaps    string  `placeholder:"ON,OFF" help:"Outages on top, exponentially distributed, with these means: 5s,200ms."`
	Fine    bool    `help:"Times to the nanosecond, which the original cannot read."`
	Comment bool    `help:"Begin with the command line and seed, which the original cannot read."`
	shared
}

func (o *makes) do(out *bytes.Buffer) error {
	if !(o.Seconds >= 0.001 && o.Seconds <= 1e9) {
		return cli.Usagef("from 0.001 to 1000000000", "%v seconds is no length for a trace", o.Seconds)
	}
	length := time.Duration(math.Round(o.Seconds * float64(time.Second)))
	s, err := trace.Make(o.Args, trace.Options{Seed: o.Seed, Length: length, Fine: o.Fine, Gaps: o.Gaps})
	if err != nil {
		return err
	}
	if o.Comment {
		fmt.Fprintf(out, "# command line: gm-trace make %s --seconds=%v", strings.Join(o.Args, " "), o.Seconds)
		if o.Gaps != "" {
			fmt.Fprintf(out, " --gaps=%s", o.Gaps)
		}
		if o.Fine {
			fmt.Fprint(out, " --fine")
		}
		fmt.Fprintf(out, " --seed=%d\n# seed: %d\n", o.Seed, o.Seed)
	}
	return s.Write(out)
}

type convert struct {
	From     string `placeholder:"FORMAT" help:"What is read: mahimahi, mbps, csv, pensieve, phantomlink or fcc (guessed)."`
	To       string `placeholder:"FORMAT" default:"mahimahi" help:"What is written: any of these but fcc (mahimahi)."`
	Interval string `placeholder:"TIME" help:"What a line of mbps stands for (1ms), and each rate made of a schedule (100ms)."`
	Fine     bool   `help:"Times of schedules to the nanosecond, which the original cannot read."`
	shared
}

func (o *convert) do(out *bytes.Buffer) error {
	c := trace.Conversion{From: o.From, To: o.To, Fine: o.Fine}
	if o.Interval != "" {
		d, err := trace.ParseDuration("interval", o.Interval)
		if err != nil {
			return err
		}
		if d < time.Microsecond {
			return cli.Usagef("at least 1us", "interval %q is too short", o.Interval)
		}
		c.Interval = d
	}
	name, r, err := o.open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	return c.Convert(name, r, out)
}

type cut struct{ shared }

func (o *cut) do(out *bytes.Buffer) error {
	from, err := trace.ParseDuration("time", o.Args[0])
	if err != nil {
		return err
	}
	to, err := trace.ParseDuration("time", o.Args[1])
	if err != nil {
		return err
	}
	return o.change(2, out, func(s *trace.Schedule) (*trace.Schedule, error) { return s.Cut(from, to) })
}

type scale struct{ shared }

func (o *scale) do(out *bytes.Buffer) error {
	factor, err := strconv.ParseFloat(o.Args[0], 64)
	if err != nil {
		return cli.Usagef("give a number above 0: 0.5, 2", "%q is not a factor", o.Args[0])
	}
	return o.change(1, out, func(s *trace.Schedule) (*trace.Schedule, error) { return s.Scale(factor) })
}

type repeat struct{ shared }

func (o *repeat) do(out *bytes.Buffer) error {
	n, err := strconv.Atoi(o.Args[0])
	if err != nil {
		return cli.Usagef("give a whole number from 1", "%q is not a number of times", o.Args[0])
	}
	return o.change(1, out, func(s *trace.Schedule) (*trace.Schedule, error) { return s.Repeat(n) })
}

type join struct{ shared }

func (o *join) do(out *bytes.Buffer) error {
	if first := slices.Index(o.Args, "-"); first >= 0 && slices.Contains(o.Args[first+1:], "-") {
		return cli.Usagef("name one - and the others as files", "standard input can be read only once")
	}
	var all []*trace.Schedule
	for i := range o.Args {
		s, err := o.load(i)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	s, err := trace.Join(all...)
	if err != nil {
		return err
	}
	return s.Write(out)
}
