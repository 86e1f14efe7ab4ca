// Command gm-graph: see man/gm-graph.1.
package main

import (
	"errors"
	"io"
	"os"

	"gomahi/internal/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const name = "gm-graph"

// Exit statuses but 0.
const (
	failed   = 1
	misusage = 2
)

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o := new(options)
	err := o.parse(args)
	switch {
	case err != nil:
	case o.Help:
		err = o.grammar().Help(stdout)
	case o.Version:
		_, err = io.WriteString(stdout, cli.Version(name)+"\n")
	default:
		err = o.draw(stdin, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	cli.Report(stderr, name, err)
	var u *cli.UsageError
	if errors.As(err, &u) {
		return misusage
	}
	return failed
}
