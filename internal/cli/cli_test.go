package cli

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// options is what the programs' option structs look like.
type options struct {
	Uplink  *string `placeholder:"DELAY" help:"In place of DELAY."`
	Seed    *uint64 `placeholder:"N" help:"Draw from this seed."`
	Linger  string  `placeholder:"TIME" default:"5s" help:"At most TIME."`
	Contain bool    `help:"Nothing outlives the tool."`
	Verbose bool    `short:"v" help:"Say more."`
	Standard
}

// grammar takes two arguments, or one with --uplink.
func grammar() (*Grammar, *options) {
	o := new(options)
	return &Grammar{
		Name: "gm-test", Usage: "[OPTION...] WHERE DELAY [COMMAND...]", About: "About it.",
		Examples: []string{"gm-test a 1  # a comment", "gm-test a 1 x"},
		Options:  o,
		Own: func(seen map[string]bool) int {
			if seen["uplink"] {
				return 1
			}
			return 2
		},
	}, o
}

// found is what Parse makes of a command line; pointers' values stand for themselves.
type found struct {
	Own, Command           []string
	Uplink, Linger         string
	Seed                   uint64
	Contain, Verbose       bool
	Help, Version, Seeding bool
}

func parse(args []string) (found, error) {
	g, o := grammar()
	own, command, err := g.Parse(args)
	f := found{Own: own, Command: command, Linger: o.Linger, Contain: o.Contain, Verbose: o.Verbose, Help: o.Help,
		Version: o.Version, Seeding: o.Seed != nil}
	if o.Uplink != nil {
		f.Uplink = *o.Uplink
	}
	if o.Seed != nil {
		f.Seed = *o.Seed
	}
	return f, err
}

func TestParse(t *testing.T) {
	own := []string{"a", "1"}
	for _, row := range []struct {
		name string
		args string // separated by spaces
		want found
	}{
		{"no command", "a 1", found{Own: own}},
		{"a command", "a 1 ls", found{Own: own, Command: []string{"ls"}}},
		{"the command's arguments", "a 1 ls a 1 2", found{Own: own, Command: []string{"ls", "a", "1", "2"}}},
		{"options before", "-v --seed=7 a 1 ls",
			found{Own: own, Command: []string{"ls"}, Verbose: true, Seeding: true, Seed: 7}},
		{"options between", "a --seed=7 -v 1 ls",
			found{Own: own, Command: []string{"ls"}, Verbose: true, Seeding: true, Seed: 7}},
		{"options after", "a 1 --contain --seed=7 ls",
			found{Own: own, Command: []string{"ls"}, Contain: true, Seeding: true, Seed: 7}},
		{"options everywhere", "-v a --contain 1 --linger=2 ls",
			found{Own: own, Command: []string{"ls"}, Verbose: true, Contain: true, Linger: "2"}},
		{"the command's options are its own", "a 1 ls -v --seed=x --help --bogus",
			found{Own: own, Command: []string{"ls", "-v", "--seed=x", "--help", "--bogus"}}},
		{"even our own values", "a 1 ls --seed 7", found{Own: own, Command: []string{"ls", "--seed", "7"}}},
		{"a dash within the command", "a 1 ls -- -v", found{Own: own, Command: []string{"ls", "--", "-v"}}},
		{"a value with a space", "--seed 7 a 1 ls", found{Own: own, Command: []string{"ls"}, Seeding: true, Seed: 7}},
		{"a value with a space, last", "a 1 --linger 2s", found{Own: own, Linger: "2s"}},
		{"a negative value with a space", "a 1 --linger -5 ls", found{Own: own, Command: []string{"ls"}, Linger: "-5"}},
		{"an empty value", "a 1 --linger= ls", found{Own: own, Command: []string{"ls"}, Linger: "empty"}},
		{"a value with an equals sign", "a 1 --linger=a=b ls", found{Own: own, Command: []string{"ls"}, Linger: "a=b"}},
		{"the last of two counts", "--seed 7 --seed=8 a 1", found{Own: own, Seeding: true, Seed: 8}},
		{"a seed of 0 is one", "--seed=0 a 1", found{Own: own, Seeding: true}},
		{"the largest seed", "--seed=18446744073709551615 a 1", found{Own: own, Seeding: true, Seed: 1<<64 - 1}},
		{"dashes before the command", "a 1 -- ls -v", found{Own: own, Command: []string{"ls", "-v"}}},
		{"dashes before everything", "-- a 1 ls", found{Own: own, Command: []string{"ls"}}},
		{"dashes between", "-v a -- 1 ls", found{Own: own, Command: []string{"ls"}, Verbose: true}},
		{"dashes last", "a 1 --", found{Own: own}},
		{"after dashes nothing is an option", "a -- -v --help", found{Own: []string{"a", "-v"}, Command: []string{"--help"}}},
		{"a negative number", "a -1 ls", found{Own: []string{"a", "-1"}, Command: []string{"ls"}}},
		{"a negative decimal", "a -.5s ls", found{Own: []string{"a", "-.5s"}, Command: []string{"ls"}}},
		{"a dash", "- 1 -", found{Own: []string{"-", "1"}, Command: []string{"-"}}},
		{"an option in place of an argument", "--uplink=9 a ls", found{Own: []string{"a"}, Command: []string{"ls"}, Uplink: "9"}},
		{"an option in place of an argument, after it", "a --uplink 9 ls -v",
			found{Own: []string{"a"}, Command: []string{"ls", "-v"}, Uplink: "9"}},
		{"help", "--help", found{Help: true}},
		{"short help", "-h", found{Help: true}},
		{"help among short options", "-vh", found{Help: true, Verbose: true}},
		{"help after arguments", "a 1 --help", found{Own: own, Help: true}},
		{"version", "--version", found{Version: true}},
		{"version with an argument", "a --version", found{Own: []string{"a"}, Version: true}},
		{"help with too many arguments", "a 1 --uplink=9 --help", found{Own: own, Help: true, Uplink: "9"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := parse(strings.Fields(row.args))
			if err != nil {
				t.Fatal(err)
			}
			switch row.want.Linger {
			case "":
				row.want.Linger = "5s"
			case "empty":
				row.want.Linger = ""
			}
			if len(got.Command) == 0 {
				got.Command = nil
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const (
		see   = "see gm-test --help; options of a command come after it"
		usage = "usage: gm-test [OPTION...] WHERE DELAY [COMMAND...]"
	)
	for _, row := range []struct{ name, args, problem, hint string }{
		{"nothing", "", "too few arguments", usage},
		{"too few", "a", "too few arguments", usage},
		{"too few after dashes", "-v -- a", "too few arguments", usage},
		{"too few with an option", "--seed 7 a", "too few arguments", usage},
		{"no help", "--help=false", "too few arguments", usage},
		{"an option that takes an argument's place too late", "a 1 --uplink=9 ls", `"1" does not go with these options`, usage},
		{"the same without a command", "a 1 --uplink=9", `"1" does not go with these options`, usage},
		{"an unknown option", "--bogus a 1", "unknown flag --bogus", see},
		{"an unknown short option", "-x a 1", `unknown flag -x, did you mean one of "-v", "-h"?`, see},
		{"an unknown option after the arguments", "a 1 --bogus ls", "unknown flag --bogus", see},
		{"a slip", "--sed=7 a 1", `unknown flag --sed, did you mean "--seed"?`, see},
		{"not a number", "--seed=x a 1", `--seed: expected a valid 64 bit uint but got "x"`, see},
		{"a negative seed", "--seed -7 a 1", `--seed: expected a valid 64 bit uint but got "-7"`, see},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := parse(strings.Fields(row.args))
			checkUsage(t, err, row.problem, row.hint)
		})
	}
}

func TestHelp(t *testing.T) {
	g, _ := grammar()
	var b bytes.Buffer
	if err := g.Help(&b); err != nil {
		t.Fatal(err)
	}
	const want = `Usage: gm-test [OPTION...] WHERE DELAY [COMMAND...]

About it.

Options:
      --uplink=DELAY      In place of DELAY.
      --seed=N            Draw from this seed.
      --linger=TIME       At most TIME.
      --contain           Nothing outlives the tool.
  -v, --verbose           Say more.
  -h, --help              Show this help.
      --version           Show the version.
      --completion=SHELL  Print a script that completes its command lines in bash, zsh or fish.

Examples:
  gm-test a 1  # a comment
  gm-test a 1 x

The manual: man gm-test
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReport(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("it broke"), "gm-test: error: it broke\n"},
		{"usage", Usagef("do so", "%q is wrong", "x"), "gm-test: error: \"x\" is wrong\ngm-test: hint: do so\n"},
		{"usage without a hint", Usagef("", "wrong"), "gm-test: error: wrong\n"},
		{"a hint in the text", errors.New("it broke\nhint: mend it"), "gm-test: error: it broke\ngm-test: hint: mend it\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b bytes.Buffer
			Report(&b, "gm-test", row.err)
			if b.String() != row.want {
				t.Errorf("got  %q\nwant %q", b.String(), row.want)
			}
		})
	}
	var b bytes.Buffer
	Say(&b, "gm-test", "warning", "look out\nhint: there")
	if want := "gm-test: warning: look out\ngm-test: hint: there\n"; b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestVersion(t *testing.T) {
	if v := Version("gm-test"); !strings.HasPrefix(v, "gm-test (gomahi) ") {
		t.Errorf("the version is %q", v)
	}
}

// However odd a command line is: it is parsed or refused, and the command is its end, untouched.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a 1 ls -v", "--seed 7 a 1", "-vh", "-- a 1 -- ls", "a -1 - --", "--uplink=9 a", "--help=x",
		"-v=true a 1", "--no-contain a 1", "a 1 --linger"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		got, err := parse(slices.Clone(args))
		var u *UsageError
		if err != nil {
			if !errors.As(err, &u) {
				t.Errorf("%q: %v is not a usage error", args, err)
			}
			return
		}
		if n := len(args) - len(got.Command); n < 0 || !slices.Equal(args[n:], got.Command) {
			t.Errorf("%q: the command is %q", args, got.Command)
		}
		if n := len(got.Own); !got.Help && !got.Version && n != 1 && n != 2 {
			t.Errorf("%q: its own arguments are %q", args, got.Own)
		}
	})
}
