// Command gm-graph: see man/gm-graph.1.
package main

import (
	"io"
	"os"

	"gomahi/internal/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const name = "gm-graph"

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o := new(options)
	err := o.parse(args)
	if err == nil {
		var answered bool
		if answered, err = o.Answer(o.grammar(), stdout); !answered {
			err = o.draw(stdin, stdout, stderr)
		}
	}
	return cli.Status(stderr, name, err)
}
