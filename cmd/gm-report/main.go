// Command gm-report: see man/gm-report.1.
package main

import (
	"io"
	"os"

	"gomahi/internal/cli"
	"gomahi/internal/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const name = "gm-report"

type options struct {
	Path bool `help:"Show nested tools, a report of each, as one path."`
	JSON bool `help:"Write JSON, an array of reports."`
	cli.Standard
}

const usage = "[OPTION...] FILE..."

func (o *options) grammar() *cli.Grammar {
	return &cli.Grammar{
		Name: name, Usage: usage, Options: o,
		About: "Show the reports of runs, as --report=FILE and GM_REPORT_DIR write them, side by side; of two also the\n" +
			"difference. \"-\" is standard input.",
		Examples: []string{
			"gm-delay --report=run.json 50 ./test; gm-report run.json",
			"gm-report before.json after.json",
			"GM_REPORT_DIR=reports gm-delay 20 gm-link 12Mbps 12Mbps ./test; gm-report --path reports/*.json",
		},
		Own: func(map[string]bool) int { return 0 },
	}
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o := new(options)
	_, files, err := o.grammar().Parse(args)
	if err == nil {
		var answered bool
		if answered, err = o.Answer(o.grammar(), stdout); !answered {
			err = o.show(files, stdin, stdout)
		}
	}
	return cli.Status(stderr, name, err)
}

func (o *options) show(files []string, stdin io.Reader, stdout io.Writer) error {
	if len(files) == 0 {
		return cli.Usagef("usage: "+name+" "+usage, "no file is named")
	}
	var all []*report.Report
	for _, f := range files {
		r, err := read(f, stdin)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	if o.Path {
		p, err := report.Path(all)
		if err != nil {
			return err
		}
		all = []*report.Report{p}
	}
	if o.JSON {
		return report.WriteAll(stdout, all)
	}
	return report.Table(stdout, all)
}

func read(name string, stdin io.Reader) (*report.Report, error) {
	if name == "-" {
		return report.Read("standard input", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.Usagef("give files that --report or GM_REPORT_DIR wrote", "%v", err)
	}
	defer f.Close()
	return report.Read(name, f)
}
