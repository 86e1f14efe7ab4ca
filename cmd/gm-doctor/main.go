// Command gm-doctor: see man/gm-doctor.1.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"gomahi/internal/cli"
	"gomahi/internal/host"
)

const name = "gm-doctor"

// Exit statuses but 0.
const (
	failed   = 1
	misusage = 2
)

func main() {
	if host.IsTrial() {
		os.Exit(host.RunTrial(os.Stdout))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	JSON    bool `name:"json" help:"Print the findings and figures as JSON."`
	Quick   bool `help:"Look, but measure nothing."`
	Offline bool `help:"Ask no name server."`
	cli.Standard
}

func (o *options) grammar() *cli.Grammar {
	return &cli.Grammar{
		Name: name, Usage: "[OPTION...]", Options: o,
		About: "What works here and what does not, each with the command that mends it; then what the tools achieve, measured\n" +
			"within five seconds. Nothing on this machine is changed. The exit status is 0 if the tools will work, 1 if not.",
		Examples: []string{
			"gm-doctor",
			"gm-doctor --quick  # without measuring",
			"gm-doctor --json | jq '.findings[] | select(.ok == false)'",
		},
		Own: func(map[string]bool) int { return 0 },
	}
}

// run returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] { // this program again, for its measurements
		case measureWord:
			return report(stderr, measureAll(stdout))
		case probeWord:
			return report(stderr, runProbe(args[1:], stdout))
		}
	}
	o := new(options)
	_, rest, err := o.grammar().Parse(args)
	switch {
	case err != nil:
	case o.Help:
		err = o.grammar().Help(stdout)
	case o.Version:
		_, err = io.WriteString(stdout, cli.Version(name)+"\n")
	case len(rest) > 0:
		err = cli.Usagef("see gm-doctor --help", "%q: there are no arguments, only options", rest[0])
	default:
		var works bool
		if works, err = o.examine(stdout); err == nil && !works {
			return failed
		}
	}
	return report(stderr, err)
}

// report writes an error, if there is one, and returns the exit status.
func report(stderr io.Writer, err error) int {
	var usage *cli.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		cli.Report(stderr, name, err)
		return misusage
	}
	cli.Report(stderr, name, err)
	return failed
}

// results are all that there is to say.
type results struct {
	Works    bool           `json:"works"` // the tools do
	Findings []host.Finding `json:"findings"`
	Measured []host.Finding `json:"measured,omitempty"`
}

// examine finds out, prints, and says whether the tools will work.
func (o *options) examine(w io.Writer) (works bool, err error) {
	m := host.Here()
	var r results
	p := &page{w: w, coloured: coloured(w)}
	r.Findings = append(m.Findings(o.Offline), programs(m.Privileged()))
	if !o.JSON {
		p.findings(r.Findings)
	}
	if r.Works = host.Works(r.Findings); r.Works && !o.Quick {
		r.Measured = measureInRoom()
		r.Works = host.Works(r.Measured)
		if !o.JSON {
			p.heading("Measured:")
			p.findings(r.Measured)
		}
	}
	if o.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return r.Works, e.Encode(r)
	}
	p.verdict(r)
	return r.Works, p.err
}
