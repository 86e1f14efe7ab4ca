// Command gm-trace: see man/gm-trace.1.
package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"gomahi/internal/cli"
	"gomahi/trace"
)

const name = "gm-trace"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := program().Run(args, stdout, func(c *cli.Command) error {
		o := c.Options.(options)
		o.base().stdin, o.base().stdout = stdin, stdout
		var out bytes.Buffer
		if err := o.do(&out); err != nil {
			return err
		}
		return o.base().put(out.Bytes())
	})
	var argument *trace.ArgumentError
	if errors.As(err, &argument) {
		err = cli.Usagef(argument.Hint, "%s", argument.Problem)
	}
	return cli.Status(stderr, name, err)
}
