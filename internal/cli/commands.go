package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// A Program has several commands: NAME COMMAND [OPTION...] [ARGUMENT...].
type Program struct {
	Name, About string
	End         string // of the help, below the commands; an example of each, if ""
	Commands    []*Command
}

// A Command is one of a program's.
type Command struct {
	Name, Usage, About string // as those of a Grammar
	Examples           []string
	Least, Most        int // arguments
	Options            CommandOptions
}

// NewCommand makes one.
func NewCommand(name, usage, about string, examples []string, least, most int, options CommandOptions) *Command {
	return &Command{name, usage, about, examples, least, most, options}
}

// CommandOptions are a pointer to a struct with kong's tags in which there are Arguments.
type CommandOptions interface{ arguments() *Arguments }

// Arguments are a command's, and what all commands answer.
type Arguments struct {
	Args []string `arg:"" optional:"" hidden:""`
	Standard
}

func (a *Arguments) arguments() *Arguments { return a }

// Run answers what asks for help, the version or completion, or has do do what its command is about.
func (p *Program) Run(args []string, out io.Writer, do func(*Command) error) error {
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
		if len(args) > 0 && c.Name == args[0] {
			return p.run(c, args[1:], out, do)
		}
	}
	if shell, asks := AsksCompletion(args); asks {
		return p.complete(out, shell)
	}
	hint := "one of " + strings.Join(names, ", ") + "; see " + p.Name + " --help"
	if len(args) == 0 {
		return Usagef(hint, "the command is missing")
	}
	switch args[0] {
	case "-h", "--help", "help":
		_, err := io.WriteString(out, p.help())
		return err
	case "--version":
		_, err := fmt.Fprintln(out, Version(p.Name))
		return err
	}
	return Usagef(hint, "%q is no command", args[0])
}

func (p *Program) run(c *Command, args []string, out io.Writer, do func(*Command) error) error {
	k, err := kong.New(c.Options, kong.Name(p.Name), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	if _, err := k.Parse(args); err != nil {
		return Usagef("see "+p.Name+" "+c.Name+" --help", "%v", err)
	}
	a := c.Options.arguments()
	switch {
	case a.Completion != "":
		return p.complete(out, a.Completion)
	case a.Asked():
		_, err := a.Answer(&Grammar{Name: p.Name, Usage: c.Name + " " + c.Usage, About: c.About, Examples: c.Examples, Options: c.Options}, out)
		return err
	case len(a.Args) < c.Least || len(a.Args) > c.Most:
		return Usagef("usage: "+p.Name+" "+c.Name+" "+c.Usage, "%s does not take %d arguments", c.Name, len(a.Args))
	}
	return do(c)
}

// complete writes what a shell completes all commands with.
func (p *Program) complete(out io.Writer, shell string) error {
	var names []string
	var options []any
	for _, c := range p.Commands {
		names, options = append(names, c.Name), append(options, c.Options)
	}
	return CompleteCommands(out, p.Name, shell, names, options)
}

// help is that of all commands together.
func (p *Program) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s COMMAND ...\n\n%s\n\nCommands:\n", p.Name, p.About)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.Name, strings.SplitN(c.About, ".", 2)[0])
	}
	if p.End != "" {
		b.WriteString("\n" + p.End)
	} else {
		b.WriteString("\n" + p.Name + " COMMAND --help says more.\n\nExamples:\n")
		for _, c := range p.Commands {
			b.WriteString("  " + c.Examples[0] + "\n")
		}
	}
	b.WriteString("\nThe manual: man " + p.Name + "\n")
	return b.String()
}
