// Command gm-webarchive: see man/gm-webarchive.1.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"gomahi/internal/cli"
)

const name = "gm-webarchive"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Status(stderr, name, dispatch(args, stdin, stdout, stderr))
}

func dispatch(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
		if len(args) > 0 && c.name == args[0] {
			return c.run(args[1:], stdin, stdout, stderr)
		}
	}
	if shell, asks := cli.AsksCompletion(args); asks {
		return complete(stdout, shell)
	}
	if len(args) > 0 {
		switch args[0] {
		case "-h", "--help", "help":
			_, err := io.WriteString(stdout, overview())
			return err
		case "--version":
			_, err := fmt.Fprintln(stdout, cli.Version(name))
			return err
		}
	}
	hint := "one of " + strings.Join(names, ", ") + "; see " + name + " --help"
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

func (c *command) run(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o := c.options.base()
	o.stdin, o.stdout, o.stderr = stdin, stdout, stderr
	k, err := kong.New(c.options, kong.Name(name), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	if _, err := k.Parse(args); err != nil {
		return cli.Usagef("see "+name+" "+c.name+" --help", "%v", err)
	}
	switch {
	case o.Help:
		g := &cli.Grammar{Name: name, Usage: c.name + " " + c.usage, About: c.about, Examples: c.examples, Options: c.options}
		return g.Help(stdout)
	case o.Version:
		_, err := fmt.Fprintln(stdout, cli.Version(name))
		return err
	case o.Completion != "":
		return complete(stdout, o.Completion)
	case len(o.Args) < c.least || len(o.Args) > c.most:
		return cli.Usagef("usage: "+name+" "+c.name+" "+c.usage, "%s does not take %d arguments", c.name, len(o.Args))
	}
	return c.options.do()
}

// overview is the help of all commands together.
func overview() string {
	var b strings.Builder
	b.WriteString("Usage: " + name + " COMMAND ...\n\n" +
		"Look into recordings of web sites, change them, and exchange them with other formats.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, strings.SplitN(c.about, ".", 2)[0])
	}
	b.WriteString("\n" + name + " COMMAND --help says more.\n\nExamples:\n")
	for _, c := range commands() {
		b.WriteString("  " + c.examples[0] + "\n")
	}
	b.WriteString("\nThe manual: man " + name + "\n")
	return b.String()
}
