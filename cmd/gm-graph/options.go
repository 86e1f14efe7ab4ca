package main

import (
	"errors"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"gomahi/internal/cli"
	"gomahi/internal/graph"
)

// options is the command line.
type options struct {
	Output string `short:"o" placeholder:"FILE" help:"Write the graph to FILE, which ends in .svg or .png."`
	JSON   bool   `name:"json" help:"Print the figures as JSON, in place of the graph unless -o says where that goes."`
	cli.Standard

	delay  bool // the kind of graph; else throughput
	perBin time.Duration
	logs   []string
	format graph.Format
}

const usage = "throughput [MS-PER-BIN] [LOG...] | gm-graph delay [LOG...]"

func (o *options) grammar() *cli.Grammar {
	return &cli.Grammar{
		Name: name, Usage: usage, Options: o, First: []string{"throughput", "delay"},
		About: "Graphs of the logs of gm-link and of mahimahi's mm-link, as SVG on standard output or as the file that -o\n" +
			"names, with their figures on standard error. Without a LOG, or for -, the log is standard input.",
		Examples: []string{
			"gm-graph throughput up.log >up.svg  # capacity, ingress and egress, in bins of 500 ms",
			"gm-graph throughput 100 up.log -o up.png  # in bins of 100 ms, as PNG",
			"gm-graph throughput cubic.log bbr.log -o both.svg  # two runs on one graph",
			"gm-graph delay down.log -o delay.png  # each packet's delay, and the signal delay",
			"gm-graph throughput --json up.log  # the figures alone",
		},
	}
}

const defaultPerBin = 500 * time.Millisecond

var number = regexp.MustCompile(`^[-+]?\.?[0-9][0-9.]*$`)

// parse fills in the options and checks them.
func (o *options) parse(args []string) error {
	k, err := kong.New(o, kong.Name(name), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	flags, own := split(args)
	if _, err := k.Parse(flags); err != nil {
		var p *kong.ParseError
		if errors.As(err, &p) {
			return cli.Usagef("see gm-graph --help", "%v", err)
		}
		return err
	}
	if o.Asked() {
		return nil
	}
	if len(own) == 0 {
		return cli.Usagef("usage: gm-graph "+usage, "too few arguments")
	}
	o.perBin, o.logs = defaultPerBin, own[1:]
	switch own[0] {
	case "throughput":
		if len(o.logs) > 0 && number.MatchString(o.logs[0]) {
			const longest = 1e9
			ms, err := strconv.ParseInt(o.logs[0], 10, 64)
			if err != nil || ms < 1 || ms > longest {
				return cli.Usagef("give a whole number of milliseconds from 1, such as 500; a log of that name is ./"+o.logs[0],
					"MS-PER-BIN %q is no length of a bin", o.logs[0])
			}
			o.perBin, o.logs = time.Duration(ms)*time.Millisecond, o.logs[1:]
		}
	case "delay":
		o.delay = true
	default:
		return cli.Usagef("usage: gm-graph "+usage, "%q is no kind of graph", own[0])
	}
	if len(o.logs) == 0 {
		o.logs = []string{"-"}
	}
	return o.check()
}

// split parts options, which may stand anywhere before --, from the program's own arguments.
func split(args []string) (flags, own []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
			return flags, append(own, args[i+1:]...)
		case (a == "-o" || a == "--output") && i+1 < len(args):
			i++
			flags = append(flags, "--output="+args[i])
		case len(a) > 1 && a[0] == '-' && !number.MatchString(a):
			flags = append(flags, a)
		default:
			own = append(own, a)
		}
	}
	return flags, own
}

// check checks what goes with what.
func (o *options) check() error {
	o.format = graph.SVG
	switch ending := strings.ToLower(filepath.Ext(o.Output)); {
	case ending == ".png":
		o.format = graph.PNG
	case o.Output != "" && ending != ".svg":
		return cli.Usagef("end it in .svg or .png", "-o %q does not say what format to write", o.Output)
	}
	fromStdin := 0
	for _, l := range o.logs {
		if l == "-" {
			fromStdin++
		}
		if o.Output != "" && filepath.Clean(l) == filepath.Clean(o.Output) {
			return cli.Usagef("name another file", "-o %q would overwrite a log", o.Output)
		}
	}
	switch {
	case fromStdin > 1:
		return cli.Usagef("give - once", "standard input cannot be two logs")
	case o.draws() && len(o.logs) > graph.MostLogs:
		return cli.Usagef("more can be listed with --json", "%d logs are too many for one graph, which can tell %d apart",
			len(o.logs), graph.MostLogs)
	}
	return nil
}

// draws says whether there will be a graph.
func (o *options) draws() bool { return !o.JSON || o.Output != "" }
