// Command gm-trace: see man/gm-trace.1.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"gomahi/internal/cli"
	"gomahi/trace"
)

const name = "gm-trace"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(args, stdin, stdout)
	var argument *trace.ArgumentError
	if errors.As(err, &argument) {
		err = cli.Usagef(argument.Hint, "%s", argument.Problem)
	}
	return cli.Status(stderr, name, err)
}

func dispatch(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) > 0 {
		if shell, asks := cli.AsksCompletion(args); asks {
			return complete(stdout, shell)
		}
		switch args[0] {
		case "-h", "--help", "help":
			_, err := io.WriteString(stdout, overview())
			return err
		case "--version":
			_, err := fmt.Fprintln(stdout, cli.Version(name))
			return err
		}
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(args[1:], stdin, stdout)
			}
		}
	}
	const hint = "one of info, plot, make, convert, cut, scale, repeat, join; see gm-trace --help"
	if len(args) == 0 {
		return cli.Usagef(hint, "the command is missing")
	}
	return cli.Usagef(hint, "%q is no command", args[0])
}

// complete writes what a shell completes all commands with.
func complete(w io.Writer, shell string) error {
	var names []string
	var options []any
	for _, c := range commands() {
		names, options = append(names, c.name), append(options, c.options)
	}
	return cli.CompleteCommands(w, name, shell, names, options)
}

func (c *command) run(args []string, stdin io.Reader, stdout io.Writer) error {
	o := c.options.base()
	o.stdin, o.stdout = stdin, stdout
	k, err := kong.New(c.options, kong.Name(name), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	if _, err := k.Parse(args); err != nil {
		return cli.Usagef("see gm-trace "+c.name+" --help", "%v", err)
	}
	g := &cli.Grammar{Name: name, Usage: c.name + " " + c.usage, About: c.about, Examples: c.examples, Options: c.options}
	switch {
	case o.Completion != "":
		return complete(stdout, o.Completion)
	case o.Asked():
		_, err := o.Answer(g, stdout)
		return err
	case len(o.Args) < c.least || len(o.Args) > c.most:
		return cli.Usagef("usage: gm-trace "+c.name+" "+c.usage, "%s does not take %d arguments", c.name, len(o.Args))
	}
	var out bytes.Buffer
	if err := c.options.do(&out); err != nil {
		return err
	}
	return o.put(out.Bytes())
}
