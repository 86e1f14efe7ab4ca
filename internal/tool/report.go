package tool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/internal/report"
	"gomahi/meter"
	"gomahi/packet"
	"gomahi/shell"
)

// Reporting are the options of every container tool that say how the run went.
type Reporting struct {
	Report string    `placeholder:"FILE" help:"At the end write a report to FILE as JSON; - is standard error, as text."`
	Strict tolerance `placeholder:"TIME" help:"Exit with 120 if packets were lost unasked, or 1 % of them more than TIME late (1ms)."`
}

// statusPoor is the exit status of a strict run that was not kept up with, whose command succeeded.
const statusPoor = 120

// tolerance is an option whose value may be left out.
type tolerance struct {
	asked bool
	time.Duration
}

// IsBool makes kong accept the option by itself.
func (*tolerance) IsBool() bool { return true }

// Decode is kong's.
func (t *tolerance) Decode(ctx *kong.DecodeContext) (err error) {
	t.asked, t.Duration = true, shell.LateAfter
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		t.Duration, err = cli.Duration("tolerance", fmt.Sprint(ctx.Scan.Pop().Value), time.Millisecond)
	}
	return err
}

// lossReason, burstReason and tracedReason are why packets are dropped that a tool was asked to lose.
const (
	lossReason   = "random loss"
	burstReason  = "burst loss"
	tracedReason = "traced loss"
)

// reportDir is where every level writes a report of its own, if it is set.
const reportDir = "GM_REPORT_DIR"

// pace measures the rate at which a link departs packets while others wait, how long they waited, and how long what is
// not lost then takes behind the link.
type pace struct {
	effects.LinkObserver
	counter  *meter.Counter
	queueing shell.Histogram
	flight   shell.Histogram
	last     time.Duration // when the last packet left
	busy     time.Duration
	bytes    int64
}

// Arrive tells both of an arrival.
func (p *pace) Arrive(now time.Duration, k packet.Packet) {
	p.counter.Arrive(now, k)
	p.LinkObserver.Arrive(now, k)
}

func (p *pace) Depart(at time.Duration, k packet.Packet, opportunity int64) {
	p.counter.Depart(at, k, opportunity)
	p.leave(at, k)
	p.LinkObserver.Depart(at, k, opportunity)
}

func (p *pace) leave(at time.Duration, k packet.Packet) {
	p.queueing.Add(at-k.Arrival, 1)
	if k.Arrival < p.last {
		p.busy += at - p.last
		p.bytes += int64(k.Size)
	}
	p.last = at
}

func (p *pace) fly(d time.Duration) { p.flight.Add(d, 1) }

// measures is what was asked of a direction, and what its link knows of it beside the tally.
type measures struct {
	asked    map[string]float64 // nil for nothing
	pace     *pace
	changes  []report.Change
	knobs    knobs
	counter  *meter.Counter             // of the meters
	capacity func(time.Duration) uint64 // bytes that could pass until a time; nil where that means nothing
}

// Of what is asked: see report.Direction.
const (
	askedRate  = "rate_bits_per_second"
	askedDelay = "delay_ms"
	askedLoss  = "loss"
)

func (m *measures) ask(what string, v float64) {
	if m.asked == nil {
		m.asked = map[string]float64{}
	}
	m.asked[what] = v
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// open opens the file of the report, and makes the directory of reports.
func (o *Reporting) open(l *Link) (*os.File, error) {
	if dir := os.Getenv(reportDir); dir != "" {
		dir, err := filepath.Abs(dir) // for tools in the command, which may go elsewhere
		if err == nil {
			err = os.MkdirAll(dir, 0o777)
		}
		if err == nil {
			err = unix.Access(dir, unix.W_OK|unix.X_OK)
		}
		if err != nil {
			return nil, cli.Usagef("name a directory that can be written to, or one that can be made", "%s=%s: %v", reportDir, dir, err)
		}
		os.Setenv(reportDir, dir)
	}
	if o.Report == "" || o.Report == "-" {
		return nil, nil
	}
	out, err := l.create(o.Report)
	if err != nil {
		return nil, err
	}
	return out[o.Report].File, nil
}

// makeReport is the report of a run that has ended.
func makeReport(l *Link, sum shell.Summary, status unix.WaitStatus, up, down *tally) *report.Report {
	r := &report.Report{Tool: l.Args[0], Version: cli.Version(l.Args[0]), CommandLine: l.Args, Level: sum.Level, PID: os.Getpid(),
		Start: l.Start, End: l.Start.Add(time.Since(l.Start)), // whatever the clock was set to meanwhile
		Status: status.ExitStatus(), Untranslated: sum.Untranslated,
		Uplink: l.Up.report(&sum.Uplink, up), Downlink: l.Down.report(&sum.Downlink, down)}
	if l.random.Load() {
		r.Seed = &l.Seed
	}
	if l.began != nil {
		if at, ok := l.began(); ok {
			r.Began = new(int64(at))
		}
	}
	if status.Signaled() {
		r.Status = 128 + int(status.Signal())
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		r.CPUSeconds = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		r.Resident = u.Maxrss << 10
	}
	return r
}

func (m *measures) report(t *shell.Traffic, counts *tally) report.Direction {
	d := report.Direction{In: report.Count{Packets: t.PacketsIn, Bytes: t.BytesIn}, Out: report.Count{Packets: t.PacketsOut, Bytes: t.BytesOut},
		Refused: t.Refused, Unread: t.Unread, Late: t.Late.Packets, Reads: t.Reads, Writes: t.Writes,
		Delay: distribution(&t.Delay), Lateness: distribution(&t.Late.Histogram), Unseen: distribution(&t.Unseen),
		Dropped: map[string]report.Count{}, Changes: m.changes, Requested: map[string]float64{}, Achieved: map[string]float64{}}
	d.Lateness.Max = float64(t.Late.Max) / 1e6
	for _, c := range counts.drops {
		d.Dropped[c.name] = report.Count{Packets: c.n, Bytes: c.bytes}
	}
	d.Added, d.Undelivered = counts.copies(), counts.undelivered(t.PacketsIn, t.PacketsOut)
	if m.pace != nil {
		q := distribution(&m.pace.queueing)
		d.Queueing = &q
	}
	through := t.PacketsOut // what met random loss and was not lost
	if m.pace != nil && m.pace.flight.Count() > 0 {
		through = m.pace.flight.Count()
	}
	lost := d.Dropped[lossReason].Packets + d.Dropped[burstReason].Packets + d.Dropped[tracedReason].Packets
	for what, v := range m.asked {
		d.Requested[what] = v
		switch {
		case what == askedDelay && t.PacketsOut > 0 && m.pace != nil:
			d.Achieved[what] = inMS(m.pace.flight.Quantile(0.5)) + d.Lateness.P50
		case what == askedDelay && t.PacketsOut > 0:
			d.Achieved[what] = d.Delay.P50
		case what == askedLoss && lost+through > 0:
			d.Achieved[what] = float64(lost) / float64(lost+through)
		case what == askedRate && m.pace != nil && m.pace.busy > 0:
			d.Achieved[what] = 8 * float64(m.pace.bytes) / m.pace.busy.Seconds()
		}
	}
	return d
}

func distribution(h *shell.Histogram) report.Distribution {
	q := func(p float64) float64 { return inMS(h.Quantile(p)) }
	return report.Distribution{P50: q(0.5), P95: q(0.95), P99: q(0.99), P999: q(0.999), Max: inMS(h.Max)}
}

// deliver writes a report where it is wanted, and says what is wrong with the run. It returns the tool's exit status.
func (o *Reporting) deliver(r *report.Report, to *os.File, stderr io.Writer, name string, status int) int {
	limit := shell.LateAfter
	if o.Strict.asked {
		limit = o.Strict.Duration
	}
	r.Judge(limit)
	fail := func(err error) {
		cli.Report(stderr, name, err)
		if status == 0 {
			status = shell.StatusFailed
		}
	}
	if o.Report == "-" {
		report.Table(stderr, []*report.Report{r})
	} else if to != nil {
		to.Truncate(0) // if it is a file, and an inner tool has written its report there
		if err := errors.Join(r.Write(to), to.Close()); err != nil {
			fail(err)
		}
	}
	if dir := os.Getenv(reportDir); dir != "" {
		if err := r.Into(dir); err != nil {
			fail(err)
		}
	}
	const few = 10 // late packets are no news in a run of a handful
	switch {
	case r.Verdict.Good, !o.Strict.asked && r.Uplink.Late+r.Downlink.Late < few && r.Uplink.Unread+r.Downlink.Unread == 0:
	case o.Strict.asked:
		for _, why := range r.Verdict.Why {
			cli.Report(stderr, name, fmt.Errorf("%s; the tolerance is %v", why, limit))
		}
	default:
		cli.Say(stderr, name, "warning", r.Verdict.Why[0]+"; this machine was too slow for this link")
	}
	if o.Strict.asked && !r.Verdict.Good && status == 0 {
		return statusPoor
	}
	return status
}
