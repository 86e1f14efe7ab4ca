// Package cli is what the programs share of their command lines: options before, between or after the program's own
// arguments, then a command with options of its own; errors with hints; help with examples; the version.
package cli

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// A Grammar is one program's command line.
type Grammar struct {
	Name      string   // the program's
	Usage     string   // its arguments: "DELAY [COMMAND...]"
	About     string   // one or two sentences
	Examples  []string // command lines, each optionally followed by "  # what it does"
	Options   any      // a pointer to a struct with kong's tags, flags only
	First     []string // words that the first argument may be, if the usage does not say
	Completed []Words  // what the arguments may be, if the usage does not say
	// Own says how many arguments are the program's, given the options seen before them; what follows is the command.
	Own func(seen map[string]bool) int
}

// Words are what an argument may be, for shells to complete.
type Words struct {
	All   []string
	From  string // a command that prints more of them
	Files bool   // or a file
}

// Standard options of every program.
type Standard struct {
	Help       bool   `short:"h" help:"Show this help."`
	Version    bool   `help:"Show the version."`
	Completion string `placeholder:"SHELL" help:"Print a script that completes its command lines in bash, zsh or fish."`
}

// A UsageError says what is wrong with which argument, and what would be right.
type UsageError struct{ Problem, Hint string }

func (e *UsageError) Error() string {
	if e.Hint == "" {
		return e.Problem
	}
	return e.Problem + "\nhint: " + e.Hint
}

// Usagef makes a UsageError with a hint.
func Usagef(hint, format string, a ...any) error {
	return &UsageError{fmt.Sprintf(format, a...), hint}
}

var number = regexp.MustCompile(`^-\.?[0-9]`)

// Parse fills in the options, and returns the program's own arguments and the command.
func (g *Grammar) Parse(args []string) (own, command []string, err error) {
	k, err := g.parser()
	if err != nil {
		return nil, nil, err
	}
	takesValue := map[string]bool{}
	for _, f := range k.Model.Flags {
		takesValue["--"+f.Name] = !f.IsBool()
		if f.Short != 0 {
			takesValue["-"+string(f.Short)] = !f.IsBool()
		}
	}
	var options []string
	seen := map[string]bool{}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest := args[i+1:]
			n := min(len(rest), max(0, g.Own(seen)-len(own)))
			own, command = append(own, rest[:n]...), rest[n:]
			i = len(args)
		case len(a) > 1 && a[0] == '-' && !number.MatchString(a):
			name, _, valued := strings.Cut(a, "=")
			if word, long := strings.CutPrefix(name, "--"); long {
				seen[word] = true
			} else {
				for _, letter := range name[1:] {
					seen[string(letter)] = true
				}
			}
			options = append(options, a)
			if takesValue[name] && !valued && i+1 < len(args) {
				i++
				options[len(options)-1] = a + "=" + args[i]
			}
		case len(own) >= g.Own(seen):
			command = args[i:]
			i = len(args)
		default:
			own = append(own, a)
		}
	}
	if _, err := k.Parse(options); err != nil {
		var p *kong.ParseError
		var u *UsageError
		if errors.As(err, &u) {
			return nil, nil, u
		}
		if errors.As(err, &p) {
			return nil, nil, Usagef(fmt.Sprintf("see %s --help; options of a command come after it", g.Name), "%v", err)
		}
		return nil, nil, err
	}
	switch n := g.Own(seen); {
	case asked(k, "help") || asked(k, "version") || asked(k, "completion"):
	case len(own) < n:
		return nil, nil, Usagef("usage: "+g.Name+" "+g.Usage, "too few arguments")
	case len(own) > n: // an option after them took their place
		return nil, nil, Usagef("usage: "+g.Name+" "+g.Usage, "%q does not go with these options", own[n])
	}
	return own, command, nil
}

// asked says whether a flag is set, however it was written: by --help and -vh, not by --help=false.
func asked(k *kong.Kong, name string) bool {
	for _, f := range k.Model.Flags {
		if f.Name == name {
			return !f.Target.IsZero()
		}
	}
	return false
}

func (g *Grammar) parser() (*kong.Kong, error) {
	return kong.New(g.Options, kong.Name(g.Name), kong.NoDefaultHelp(), kong.Exit(func(int) {}))
}

// Help writes what --help shows.
func (g *Grammar) Help(w io.Writer) error {
	k, err := g.parser()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Usage: %s %s\n\n%s\n\nOptions:\n", g.Name, g.Usage, g.About)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range k.Model.Flags {
		name := "    --" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", --" + f.Name
		}
		if !f.IsBool() {
			name += "=" + f.FormatPlaceHolder()
		}
		fmt.Fprintf(t, "  %s\t%s\n", name, f.Help)
	}
	t.Flush()
	fmt.Fprintf(w, "\nExamples:\n")
	for _, e := range g.Examples {
		fmt.Fprintf(t, "  %s\n", strings.Replace(e, "  #", "\t#", 1))
	}
	t.Flush()
	_, err = fmt.Fprintf(w, "\nThe manual: man %s\n", g.Name)
	return err
}

// Answer shows the help, the version or a shell's completion, if asked to, and says whether it was.
func (s *Standard) Answer(g *Grammar, w io.Writer) (answered bool, err error) {
	switch {
	case s.Help:
		err = g.Help(w)
	case s.Version:
		_, err = fmt.Fprintln(w, Version(g.Name))
	case s.Completion != "":
		err = g.Complete(w, s.Completion)
	}
	return s.Asked(), err
}

// Asked says whether something is asked that Answer answers.
func (s *Standard) Asked() bool { return s.Help || s.Version || s.Completion != "" }

// Exit statuses of programs that start no command.
const (
	StatusFailed = 1
	StatusUsage  = 2
)

// Status writes an error, if there is one, and returns the exit status of a program that starts no command.
func Status(w io.Writer, name string, err error) int {
	if err == nil {
		return 0
	}
	Report(w, name, err)
	var usage *UsageError
	if errors.As(err, &usage) {
		return StatusUsage
	}
	return StatusFailed
}

// Report writes an error, its hint on a line of its own.
func Report(w io.Writer, name string, err error) { Say(w, name, "error", err.Error()) }

// Say writes a message of a kind ("error", "warning") and its hint.
func Say(w io.Writer, name, kind, message string) {
	message, hint, found := strings.Cut(message, "\nhint: ")
	fmt.Fprintf(w, "%s: %s: %s\n", name, kind, message)
	if found {
		fmt.Fprintf(w, "%s: hint: %s\n", name, hint)
	}
}

// Version is what --version shows.
func Version(name string) string {
	v := name + " (gomahi) 0.1"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v += " " + s.Value[:12]
			}
		}
	}
	return v
}
