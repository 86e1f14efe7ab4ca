package tool

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/internal/cli"
	"gomahi/shell"
)

// level is a tool that runs, with its link, what its link counts and what it reports.
type level struct {
	Tool
	name     string
	own      []string // its own arguments
	link     *Link
	up, down tally
	stderr   io.Writer
	report   *os.File

	// Of tools that share a process.
	fused            bool
	uplink, downlink *passage
}

func newLevel(t Tool, args, own []string, stderr io.Writer) *level {
	v := &level{Tool: t, own: own, name: t.Grammar().Name, stderr: stderr}
	v.link = &Link{Args: append([]string{v.name}, args...), Seed: rand.Uint64(), Stderr: stderr, UpDrops: &v.up, DownDrops: &v.down,
		Warn: func(m string) { cli.Say(stderr, v.name, "warning", m) }}
	return v
}

// open makes the link and its files.
func (v *level) open(start time.Time) (err error) {
	v.link.Start = start
	if s, ok := v.Tool.(interface{ seed() *uint64 }); ok && s.seed() != nil {
		v.link.Seed = *s.seed()
	}
	if err := v.Link(v.link); err != nil {
		return err
	}
	c := v.common()
	if v.report, err = c.open(v.link); err == nil && c.Verbose && v.link.random.Load() {
		fmt.Fprintf(v.stderr, "%s: seed %d\n", v.name, v.link.Seed)
	}
	return err
}

// finish ends the link's files and what else it needs, and returns the exit status of what went wrong.
func (v *level) finish() (status int) {
	for _, finish := range v.link.Finish {
		if err := finish(time.Since(v.link.Start)); err != nil {
			cli.Report(v.stderr, v.name, err)
			status = statusOf(err)
		}
	}
	return status
}

// conclude says how the run went where that is wanted. It returns the exit status, which was to be another.
func (v *level) conclude(sum shell.Summary, status unix.WaitStatus, code int) int {
	c := v.common()
	if c.Verbose {
		summarize(v.stderr, v.name, "uplink", sum.Uplink, &v.up)
		summarize(v.stderr, v.name, "downlink", sum.Downlink, &v.down)
		if v.link.began != nil {
			v.sayBegan()
		}
		if sum.Untranslated > 0 {
			fmt.Fprintf(v.stderr, "%s: %d packets dropped that NAT could not translate\n", v.name, sum.Untranslated)
		}
	}
	r := makeReport(v.link, sum, status, &v.up, &v.down)
	if v.fused {
		r.Fused, r.CPUSeconds, r.Resident = true, 0, 0
	}
	return c.deliver(r, v.report, v.stderr, v.name, code)
}

func (v *level) sayBegan() {
	if at, ok := v.link.began(); ok {
		fmt.Fprintf(v.stderr, "%s: the scenario began %v after the start\n", v.name, at)
	} else {
		fmt.Fprintf(v.stderr, "%s: the scenario did not begin\n", v.name)
	}
}
