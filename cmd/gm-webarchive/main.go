// Command gm-webarchive: see man/gm-webarchive.1.
package main

import (
	"io"
	"os"

	"gomahi/internal/cli"
)

const name = "gm-webarchive"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	program := &cli.Program{Name: name, Commands: commands(),
		About: "Look into recordings of web sites, change them, and exchange them with other formats."}
	err := program.Run(args, stdout, func(c *cli.Command) error {
		o := c.Options.(options)
		o.base().stdin, o.base().stdout, o.base().stderr = stdin, stdout, stderr
		return o.do()
	})
	return cli.Status(stderr, name, err)
}
