// Command gm-gateway: see man/gm-gateway.1.
package main

import (
	"io"
	"os"

	"gomahi/gateway"
	"gomahi/internal/cli"
)

const name = "gm-gateway"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o := new(options)
	serve, err := o.parse(args)
	if err == nil {
		var answered bool
		if answered, err = o.Answer(o.grammar(), stdout); !answered {
			err = gateway.Run(serve)
		}
	}
	return cli.Status(stderr, name, err)
}
