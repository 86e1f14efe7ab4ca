package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// environment is the caller's with what we add: the outside's addresses, and the prefix of prompts. Both also go by the
// original's names. Within another container the outermost outside stays; host is whether this one is the outside of those
// within it, and levels how many it stands for.
func environment(a addresses, six, nested, host bool, prefix string, levels int) []string {
	env := os.Environ()
	get := func(names ...string) string {
		for _, n := range names {
			if v := os.Getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	base, base6 := a.outside4.String(), ""
	if six {
		base6 = a.outside6.String()
	}
	if outer := get("GM_BASE", "MAHIMAHI_BASE"); host {
		base, base6 = a.inside4.String(), ""
		if six {
			base6 = a.inside6.String()
		}
	} else if nested && outer != "" {
		base, base6 = outer, get("GM_BASE6")
	}
	prefix = get("GM_SHELL_PREFIX", "MAHIMAHI_SHELL_PREFIX") + prefix
	set := func(name, value string) {
		for i, e := range env {
			if strings.HasPrefix(e, name+"=") {
				env = append(env[:i:i], env[i+1:]...)
				break
			}
		}
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	set("GM_BASE", base)
	set("MAHIMAHI_BASE", base)
	set("GM_BASE6", base6)
	set("GM_LEVEL", strconv.Itoa(level(nested)+levels-1))
	set("GM_SHELL_PREFIX", prefix)
	set("MAHIMAHI_SHELL_PREFIX", prefix)
	set("PROMPT_COMMAND", bashPrompt(os.Getenv("PROMPT_COMMAND")))
	return env
}

// level is how many containers there are from the outermost to the one that is about to be made.
func level(nested bool) int {
	outer := 0
	if nested {
		outer, _ = strconv.Atoi(os.Getenv("GM_LEVEL"))
	}
	return outer + 1
}

// bashPrompt makes bash, before its first prompt, put the prefix before it; then it gives the variable back.
func bashPrompt(own string) string {
	const ours = `PS1="$GM_SHELL_PREFIX$PS1" PROMPT_COMMAND=`
	if strings.HasPrefix(own, ours) {
		return own // a container around this one
	}
	if own == "" {
		return ours
	}
	quoted := "'" + strings.ReplaceAll(own, "'", `'\''`) + "'"
	return ours + quoted + `; eval "$PROMPT_COMMAND"`
}

// fishPrompt wraps the prompt that fish has after its own startup files, which may look at the last command's status.
const fishPrompt = `functions -q fish_prompt; and functions -c fish_prompt __gm_prompt; ` +
	`function __gm_status; return $argv; end; ` +
	`function fish_prompt; set -l s $status; echo -n "$GM_SHELL_PREFIX"; __gm_status $s; __gm_prompt; end`

// zshPrompt is the .zshenv of a directory that zsh takes for the user's at first: it puts things right, reads the user's
// own, and prefixes the prompt as late as possible. %% is a literal percent sign in a prompt; the last line closes what
// memoryDir left open, whose number may have two digits.
const zshPrompt = `if [[ -n ${GM_ZDOTDIR+x} ]]; then ZDOTDIR=$GM_ZDOTDIR; else unset ZDOTDIR; fi
unset GM_ZDOTDIR
[[ -r ${ZDOTDIR:-$HOME}/.zshenv ]] && . "${ZDOTDIR:-$HOME}/.zshenv"
_gm_prefix() { [[ $PS1 == "${GM_SHELL_PREFIX//\%%/%%%%}"* ]] || PS1="${GM_SHELL_PREFIX//\%%/%%%%}$PS1" }
typeset -ga precmd_functions; precmd_functions+=(_gm_prefix)
_gm_fd=%d; exec {_gm_fd}<&-; unset _gm_fd
`

// prompting changes how a shell is started so that its prompt shows the prefix: fish and zsh, unless they run a script
// or a command. (bash sees to it by the environment alone, whoever starts it.) For zsh a descriptor
// stays open for it to inherit.
func prompting(path string, argv, env []string) (newArgv, newEnv []string, err error) {
	for _, a := range argv[1:] {
		if a != "-i" && a != "-l" && a != "--login" && a != "--interactive" {
			return argv, env, nil
		}
	}
	switch filepath.Base(path) {
	case "fish":
		return append(append([]string{}, argv...), "-C", fishPrompt), env, nil
	case "zsh":
		dir, err := memoryDir(".zshenv")
		if err != nil {
			return nil, nil, fmt.Errorf("preparing zsh: %w", err)
		}
		env := append([]string{}, env...)
		for i, e := range env {
			if own, ok := strings.CutPrefix(e, "ZDOTDIR="); ok {
				env[i] = "GM_ZDOTDIR=" + own
			}
		}
		return argv, append(env, fmt.Sprintf("ZDOTDIR=/proc/self/fd/%d", dir)), nil
	}
	return argv, env, nil
}

// memoryDir makes a directory with a zshPrompt of the given name, in a file system that is mounted nowhere and ends with
// its descriptor, which children inherit.
func memoryDir(name string) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "mode", "755"); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	dir, err := unix.Fsmount(fs, 0, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, os.NewSyscallError("fsmount", err)
	}
	path := fmt.Sprintf("/proc/thread-self/fd/%d/%s", dir, name)
	return dir, os.WriteFile(path, fmt.Appendf(nil, zshPrompt, dir), 0o644)
}
