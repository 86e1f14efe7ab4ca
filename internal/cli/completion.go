package cli

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completion is what a shell has to know of a program to complete its command lines.
type completion struct {
	name    string
	flags   []*kong.Flag
	own     []takes // its own arguments
	command bool    // then comes a command
}

// takes is what an argument or a flag's value may be.
type takes struct {
	words []string
	file  bool   // or a file
	from  string // a command that prints more words
}

// list is the words for shells that expand words themselves: bash and fish, whose ways to write a command's output are these.
func (t takes) list(open, end string) string {
	list := strings.Join(t.words, " ")
	if t.from != "" {
		list += " " + open + t.from + " 2>/dev/null" + end
	}
	return quote(list)
}

// words are alternatives in a usage, "uplink|downlink|both", all of which mean themselves.
var words = regexp.MustCompile(`^[a-z]+(\|[a-z]+)+$`)

// files are the arguments that are.
var files = regexp.MustCompile(`^(FILE|SCENARIO|UPLINK|DOWNLINK)`)

// Complete writes a script with which a shell, bash, zsh or fish, completes command lines of the program. The flags of
// others, of its commands, are added to its own.
func (g *Grammar) Complete(w io.Writer, shell string, others ...any) error {
	c := completion{name: g.Name}
	seen := map[string]bool{}
	for _, options := range append([]any{g.Options}, others...) {
		k, err := kong.New(options, kong.Name(g.Name), kong.NoDefaultHelp())
		if err != nil {
			return err
		}
		for _, f := range k.Model.Flags {
			if !f.Hidden && !seen[f.Name] {
				seen[f.Name] = true
				c.flags = append(c.flags, f)
			}
		}
	}
	for _, word := range strings.Fields(g.Usage) {
		switch {
		case word == "[COMMAND...]":
			c.command = true
		case strings.HasPrefix(word, "["), strings.HasPrefix(word, "-"):
		case words.MatchString(word):
			c.own = append(c.own, takes{words: strings.Split(word, "|")})
		default:
			c.own = append(c.own, takes{file: files.MatchString(word)})
		}
	}
	if g.First != nil {
		c.own[0] = takes{words: g.First}
	}
	if g.Completed != nil {
		c.own = nil
		for _, w := range g.Completed {
			c.own = append(c.own, takes{words: w.All, from: w.From, file: w.Files})
		}
	}
	write := map[string]func(io.Writer) error{"bash": c.bash, "zsh": c.zsh, "fish": c.fish}[shell]
	if write == nil {
		return Usagef("give bash, zsh or fish", "%q is no shell that this can complete for", shell)
	}
	return write(w)
}

// CompleteCommands is Complete of a program that has commands, each with options.
func CompleteCommands(w io.Writer, name, shell string, commands []string, options []any) error {
	g := &Grammar{Name: name, Usage: strings.Join(commands, "|"), Options: new(struct{ Standard })}
	return g.Complete(w, shell, options...)
}

// AsksCompletion says for which shell the first argument of such a program asks that, if it does.
func AsksCompletion(args []string) (shell string, asks bool) {
	if len(args) == 0 {
		return "", false
	}
	option, shell, valued := strings.Cut(args[0], "=")
	if !valued && len(args) > 1 {
		shell = args[1]
	}
	return shell, option == "--completion"
}

// value is what a flag takes.
func value(f *kong.Flag) takes {
	t := takes{file: strings.HasPrefix(f.PlaceHolder, "FILE")}
	for _, word := range f.EnumSlice() {
		if word != "" {
			t.words = append(t.words, word)
		}
	}
	if words := f.Tag.Get("words"); words != "" {
		words, t.file = strings.CutSuffix(words, ",FILE")
		t.words = strings.Split(words, ",")
	}
	if f.Name == "completion" {
		t.words = []string{"bash", "zsh", "fish"}
	}
	return t
}

// bash is what the script makes of it.
func (t takes) bash() string {
	switch {
	case t.words != nil && t.file:
		return "FILE" + t.list("$(", ")")
	case t.words != nil:
		return t.list("$(", ")")
	case t.file:
		return "FILE"
	}
	return "VALUE"
}

// zsh is an action of _arguments.
func (t takes) zsh() string {
	switch {
	case t.from != "" || t.words != nil && t.file:
		begun := func(word string) bool { return strings.HasSuffix(word, "=") }
		whole, more := slices.DeleteFunc(slices.Clone(t.words), begun), ""
		for _, word := range t.words {
			if begun(word) {
				more += " " + word
			}
		}
		do := "{compadd -- " + strings.Join(whole, " ")
		if t.from != "" {
			do += " $(" + t.from + " 2>/dev/null)"
		}
		if more != "" {
			do += "; compadd -S '' --" + more
		}
		if t.file {
			do += "; _files"
		}
		return do + "}"
	case t.words != nil:
		return "(" + strings.Join(t.words, " ") + ")"
	case t.file:
		return "_files"
	}
	return " "
}

// fish are options of complete.
func (t takes) fish() string {
	switch {
	case t.words != nil && t.file:
		return "-r -F -a " + t.list("(", ")")
	case t.words != nil:
		return "-x -a " + t.list("(", ")")
	case t.file:
		return "-r -F"
	}
	return "-x"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// bashScript is about COMP_WORDS, where a word --a=b is three.
const bashScript = `	local cur=${COMP_WORDS[COMP_CWORD]} option= n=0 i word ended= sub
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == '=' ]]; then
			option=${option:-=}
		elif [[ $option ]]; then
			option=
		elif [[ ! $ended && $word == -- ]]; then
			ended=yes
		elif [[ ! $ended && $word == -[^0-9.]* ]]; then
			[[ ${value[$word]} ]] && option=$word
		elif ((n < ${#own[@]})); then
			((n++))
		elif [[ $command ]]; then
			sub=_${word##*/}
			if declare -F _comp_command_offset >/dev/null; then
				_comp_command_offset $i
			elif declare -F _command_offset >/dev/null; then
				_command_offset $i
			elif declare -F "${sub//-/_}" >/dev/null; then
				COMP_WORDS=("${COMP_WORDS[@]:i}") COMP_CWORD=$((COMP_CWORD - i))
				"${sub//-/_}"
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			fi
			return
		fi
	done
	[[ $cur == '=' ]] && cur=
	if [[ $option ]]; then
		word=${value[$option]}
	elif [[ ! $ended && $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
		return
	elif ((n < ${#own[@]})); then
		word=${own[n]}
	elif [[ $command ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
	else
		word=FILE
	fi
	if [[ $word == FILE* ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -W "${word#FILE}" -- "$cur"; compgen -f -- "$cur")
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	elif [[ $word != VALUE ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
	fi
}
`

func (c *completion) bash(w io.Writer) error {
	function := "_" + strings.ReplaceAll(c.name, "-", "_")
	fmt.Fprintf(w, "# bash completion for %s: %[1]s --completion=bash\n%s() {\n\tlocal -A value=(", c.name, function)
	var options []string
	for _, f := range c.flags {
		if f.IsBool() {
			options = append(options, "--"+f.Name)
			continue
		}
		options = append(options, "--"+f.Name+"=")
		fmt.Fprintf(w, " [--%s]=%s", f.Name, value(f).bash())
		if f.Short != 0 {
			fmt.Fprintf(w, " [-%c]=%s", f.Short, value(f).bash())
		}
	}
	fmt.Fprint(w, " )\n\tlocal -a own=(")
	for _, t := range c.own {
		fmt.Fprint(w, " ", t.bash())
	}
	fmt.Fprintf(w, " )\n\tlocal options=%s command=", quote(strings.Join(options, " ")))
	if c.command {
		fmt.Fprint(w, "yes")
	}
	_, err := fmt.Fprintf(w, "\n%scomplete -F %s %s\n", bashScript, function, c.name)
	return err
}

// zshRest completes what follows the program's own arguments: more of its options, and then the command, of which words are
// then those alone.
const zshRest = `*:::command:{
	if [[ $words[1] == -* ]]; then
		words=(%s "${(@)words}")
		((CURRENT++))
		_arguments -s -S "${(@)options}" "*:::command:_normal"
	else
		_normal
	fi
}`

func (c *completion) zsh(w io.Writer) error {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	fmt.Fprintf(w, "#compdef %s\n# zsh completion for %[1]s: %[1]s --completion=zsh\nlocal -a options=(", c.name)
	for _, f := range c.flags {
		takes, equals := "", ""
		if !f.IsBool() {
			takes, equals = ":"+f.Name+":"+value(f).zsh(), "="
		}
		help := "[" + escape.Replace(f.Help) + "]"
		fmt.Fprintf(w, "\n\t%s", quote("--"+f.Name+equals+help+takes))
		if f.Short != 0 {
			fmt.Fprintf(w, "\n\t%s", quote("-"+string(f.Short)+help+takes))
		}
	}
	fmt.Fprint(w, "\n)\n_arguments -s -S \"${(@)options}\"")
	for i, t := range c.own {
		fmt.Fprintf(w, " \\\n\t%s", quote(fmt.Sprintf("%d:argument:%s", i+1, t.zsh())))
	}
	rest := "*:file:_files"
	if c.command {
		rest = fmt.Sprintf(zshRest, c.name)
	}
	_, err := fmt.Fprintf(w, " \\\n\t%s\n", quote(rest))
	return err
}

// fishScript is of a function that counts the words so far that are neither the program, nor options or their values.
const fishScript = `function %s
	set -l words
	set -l option
	for word in (commandline -opc)[2..]
		if set -q option[1]
			set option
		else if contains -- $word %s
			set option $word
		else if not string match -qr -- '^-[^0-9.]' $word
			set -a words $word
		end
	end
	count $words
end
`

func (c *completion) fish(w io.Writer) error {
	var valued []string
	for _, f := range c.flags {
		if !f.IsBool() {
			valued = append(valued, "--"+f.Name)
			if f.Short != 0 {
				valued = append(valued, "-"+string(f.Short))
			}
		}
	}
	function := "__" + strings.ReplaceAll(c.name, "-", "_") + "_words"
	fmt.Fprintf(w, "# fish completion for %s: %[1]s --completion=fish\n", c.name)
	fmt.Fprintf(w, fishScript, function, strings.Join(valued, " "))
	within := func(test string, n int) string { return fmt.Sprintf(`-n "test (%s) %s %d"`, function, test, n) }
	last := len(c.own)
	if !c.command {
		last = 1000 // files
	}
	for _, f := range c.flags {
		fmt.Fprintf(w, "complete -c %s %s -l %s", c.name, within("-le", last), f.Name)
		if f.Short != 0 {
			fmt.Fprintf(w, " -s %c", f.Short)
		}
		if !f.IsBool() {
			fmt.Fprint(w, " ", value(f).fish())
		}
		fmt.Fprintf(w, " -d %s\n", quote(f.Help))
	}
	for i, t := range c.own {
		fmt.Fprintf(w, "complete -c %s %s %s\n", c.name, within("-eq", i), t.fish())
	}
	if c.command {
		_, err := fmt.Fprintf(w, "complete -c %s %s -x -a '(__fish_complete_subcommand --fcs-skip=%d -- %s)'\n", c.name, within("-ge", last), last+1,
			strings.Join(valued, " "))
		return err
	}
	return nil
}
