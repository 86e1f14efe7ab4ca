// Command gm-gateway: see man/gm-gateway.1.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gomahi/gateway"
	"gomahi/internal/cli"
)

const name = "gm-gateway"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 2 if the command line is wrong, 1 if something else is.
func run(args []string, stdout, stderr io.Writer) int {
	o := new(options)
	serve, err := o.parse(args)
	switch {
	case err != nil:
	case o.Help:
		err = o.grammar().Help(stdout)
	case o.Version:
		_, err = fmt.Fprintln(stdout, cli.Version(name))
	default:
		err = gateway.Run(serve)
	}
	if err == nil {
		return 0
	}
	cli.Report(stderr, name, err)
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}
