// Command gm-doctor: see man/gm-doctor.1.
package main

import (
	"encoding/json"
	"io"
	"os"

	"gomahi/internal/cli"
	"gomahi/internal/host"
)

const name = "gm-doctor"

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
			return cli.Status(stderr, name, measureAll(stdout))
		case probeWord:
			return cli.Status(stderr, name, runProbe(args[1:], stdout))
		}
	}
	o := new(options)
	_, rest, err := o.grammar().Parse(args)
	works := true
	if err == nil {
		var answered bool
		if answered, err = o.Answer(o.grammar(), stdout); !answered {
			works, err = o.examine(rest, stdout)
		}
	}
	if err == nil && !works {
		return cli.StatusFailed
	}
	return cli.Status(stderr, name, err)
}

// results are all that there is to say.
type results struct {
	Works    bool           `json:"works"` // the tools do
	Findings []host.Finding `json:"findings"`
	Measured []host.Finding `json:"measured,omitempty"`
}

// examine finds out, prints, and says whether the tools will work.
func (o *options) examine(arguments []string, w io.Writer) (works bool, err error) {
	if len(arguments) > 0 {
		return false, cli.Usagef("see gm-doctor --help", "%q: there are no arguments, only options", arguments[0])
	}
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
