package shell

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// A container that is the outside of those within it says so, wherever it is itself.
func TestEnvironmentOfHost(t *testing.T) {
	t.Setenv("GM_BASE", "100.64.9.9")
	env := environment(pair(0), true, true, true, "", 1)
	for _, want := range []string{"GM_BASE=100.64.0.2", "MAHIMAHI_BASE=100.64.0.2", "GM_BASE6=fd67:6d61:6869::6440:2"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
}

func TestEnvironment(t *testing.T) {
	ours := []string{"GM_BASE", "MAHIMAHI_BASE", "GM_BASE6", "GM_SHELL_PREFIX", "MAHIMAHI_SHELL_PREFIX", "PROMPT_COMMAND"}
	const prompt = `PS1="$GM_SHELL_PREFIX$PS1" PROMPT_COMMAND=`
	for _, row := range []struct {
		name        string
		caller      map[string]string
		six, nested bool
		want        map[string]string
	}{
		{"the outermost", nil, false, false, map[string]string{"GM_BASE": "100.64.0.1", "MAHIMAHI_BASE": "100.64.0.1",
			"GM_SHELL_PREFIX": "[x] ", "MAHIMAHI_SHELL_PREFIX": "[x] ", "PROMPT_COMMAND": prompt}},
		{"with IPv6", nil, true, false, map[string]string{"GM_BASE": "100.64.0.1", "MAHIMAHI_BASE": "100.64.0.1",
			"GM_BASE6": "fd67:6d61:6869::6440:1", "GM_SHELL_PREFIX": "[x] ", "MAHIMAHI_SHELL_PREFIX": "[x] ",
			"PROMPT_COMMAND": prompt}},
		{"nested", map[string]string{"GM_BASE": "100.64.9.9", "MAHIMAHI_BASE": "100.64.9.9", "GM_BASE6": "fd::9",
			"GM_SHELL_PREFIX": "[o] ", "MAHIMAHI_SHELL_PREFIX": "[o] ", "PROMPT_COMMAND": prompt}, true, true,
			map[string]string{"GM_BASE": "100.64.9.9", "MAHIMAHI_BASE": "100.64.9.9", "GM_BASE6": "fd::9",
				"GM_SHELL_PREFIX": "[o] [x] ", "MAHIMAHI_SHELL_PREFIX": "[o] [x] ", "PROMPT_COMMAND": prompt}},
		{"nested, the outermost without IPv6", map[string]string{"GM_BASE": "100.64.9.9"}, true, true,
			map[string]string{"GM_BASE": "100.64.9.9", "MAHIMAHI_BASE": "100.64.9.9", "GM_SHELL_PREFIX": "[x] ",
				"MAHIMAHI_SHELL_PREFIX": "[x] ", "PROMPT_COMMAND": prompt}},
		{"nested in the original", map[string]string{"MAHIMAHI_BASE": "100.64.0.7", "MAHIMAHI_SHELL_PREFIX": "[o] "}, false, true,
			map[string]string{"GM_BASE": "100.64.0.7", "MAHIMAHI_BASE": "100.64.0.7", "GM_SHELL_PREFIX": "[o] [x] ",
				"MAHIMAHI_SHELL_PREFIX": "[o] [x] ", "PROMPT_COMMAND": prompt}},
		{"nested, without variables", nil, false, true, map[string]string{"GM_BASE": "100.64.0.1",
			"MAHIMAHI_BASE": "100.64.0.1", "GM_SHELL_PREFIX": "[x] ", "MAHIMAHI_SHELL_PREFIX": "[x] ", "PROMPT_COMMAND": prompt}},
		{"somebody's variables outside a container", map[string]string{"GM_BASE": "10.0.0.1", "GM_BASE6": "fd::9"}, false, false,
			map[string]string{"GM_BASE": "100.64.0.1", "MAHIMAHI_BASE": "100.64.0.1", "GM_SHELL_PREFIX": "[x] ",
				"MAHIMAHI_SHELL_PREFIX": "[x] ", "PROMPT_COMMAND": prompt}},
		{"the user's own prompt command", map[string]string{"PROMPT_COMMAND": "history -a"}, false, false,
			map[string]string{"GM_BASE": "100.64.0.1", "MAHIMAHI_BASE": "100.64.0.1", "GM_SHELL_PREFIX": "[x] ",
				"MAHIMAHI_SHELL_PREFIX": "[x] ", "PROMPT_COMMAND": prompt + `'history -a'; eval "$PROMPT_COMMAND"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, name := range ours {
				t.Setenv(name, "") // so that it is put back
				os.Unsetenv(name)
				if v, ok := row.caller[name]; ok {
					os.Setenv(name, v)
				}
			}
			t.Setenv("GM_TEST_OTHER", "kept")
			env := environment(pair(0), row.six, row.nested, false, "[x] ", 1)
			got := map[string]string{}
			for _, e := range env {
				name, value, _ := strings.Cut(e, "=")
				if slices.Contains(ours, name) {
					if _, twice := got[name]; twice {
						t.Errorf("%s is there twice", name)
					}
					got[name] = value
				}
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if !slices.Contains(env, "GM_TEST_OTHER=kept") {
				t.Error("another variable is lost")
			}
		})
	}
}

// bash itself says what becomes of the prompt and of PROMPT_COMMAND at the first prompt and at the second.
func TestBashPrompt(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		testutil.Skip(t, "needs bash")
	}
	const ours = `PS1="$GM_SHELL_PREFIX$PS1" PROMPT_COMMAND=`
	for _, row := range []struct{ name, own, ran string }{
		{"none", "", ""},
		{"one", "echo ran", "ran\n"},
		{"two", "echo ran; echo again", "ran\nagain\n"},
		{"quotes", `echo "it's" 'a "b"'`, "it's a \"b\"\n"},
		{"variables", `echo "$GM_SHELL_PREFIX" \$x`, "[a] [b]  $x\n"},
		{"lines", "echo ran\necho again", "ran\nagain\n"},
		{"the status", "(exit 3); echo $?", "3\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			value := bashPrompt(row.own)
			if again := bashPrompt(value); again != value {
				t.Errorf("within another container it becomes %q, was %q", again, value)
			}
			const script = `PS1='$ '; eval "$PROMPT_COMMAND"; echo "<$PS1|$PROMPT_COMMAND>"; eval "$PROMPT_COMMAND"; echo "<$PS1>"`
			c := exec.Command(bash, "--norc", "-c", script)
			c.Env = append(os.Environ(), "PROMPT_COMMAND="+value, "GM_SHELL_PREFIX=[a] [b] ")
			out, err := c.CombinedOutput()
			want := row.ran + "<[a] [b] $ |" + row.own + ">\n" + row.ran + "<[a] [b] $ >\n"
			if err != nil || string(out) != want {
				t.Errorf("%v, bash says\n%swant\n%s", err, out, want)
			}
		})
	}
	if got := bashPrompt(""); got != ours {
		t.Errorf("%q, want %q", got, ours)
	}
}

func TestPrompting(t *testing.T) {
	env := []string{"A=1", "ZDOTDIR=/z", "B=2"}
	for _, row := range []struct {
		name, path string
		argv       []string
		wantArgv   []string
		wantEnv    []string // a %d stands for the descriptor
	}{
		{"bash", "/bin/bash", []string{"bash"}, []string{"bash"}, env},
		{"another command", "/bin/ls", []string{"ls", "-l"}, []string{"ls", "-l"}, env},
		{"fish", "/usr/bin/fish", []string{"fish"}, []string{"fish", "-C", fishPrompt}, env},
		{"fish for a login", "/usr/bin/fish", []string{"fish", "-l"}, []string{"fish", "-l", "-C", fishPrompt}, env},
		{"fish, interactive", "/usr/bin/fish", []string{"-fish", "--login", "--interactive"},
			[]string{"-fish", "--login", "--interactive", "-C", fishPrompt}, env},
		{"fish with a script", "/usr/bin/fish", []string{"fish", "x.fish"}, []string{"fish", "x.fish"}, env},
		{"fish with a command", "/usr/bin/fish", []string{"fish", "-c", "ls"}, []string{"fish", "-c", "ls"}, env},
		{"zsh", "/bin/zsh", []string{"zsh"}, []string{"zsh"},
			[]string{"A=1", "GM_ZDOTDIR=/z", "B=2", "ZDOTDIR=/proc/self/fd/%d"}},
		{"zsh for a login", "/bin/zsh", []string{"zsh", "-l", "-i"}, []string{"zsh", "-l", "-i"},
			[]string{"A=1", "GM_ZDOTDIR=/z", "B=2", "ZDOTDIR=/proc/self/fd/%d"}},
		{"zsh with a script", "/bin/zsh", []string{"zsh", "x.zsh"}, []string{"zsh", "x.zsh"}, env},
		{"zsh with a command", "/bin/zsh", []string{"zsh", "-c", "ls"}, []string{"zsh", "-c", "ls"}, env},
		{"zsh without startup files", "/bin/zsh", []string{"zsh", "-f"}, []string{"zsh", "-f"}, env},
	} {
		t.Run(row.name, func(t *testing.T) {
			if strings.Contains(fmt.Sprint(row.wantEnv), "%d") {
				testutil.NeedNamespaces(t)
			}
			before, beforeEnv := slices.Clone(row.argv), slices.Clone(env)
			argv, got, err := prompting(row.path, row.argv, env)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.wantArgv, argv); d != "" {
				t.Errorf("arguments (-want +got):\n%s", d)
			}
			fd := -1
			want := slices.Clone(row.wantEnv)
			for i := range want {
				if strings.Contains(want[i], "%d") && i < len(got) {
					fmt.Sscanf(got[i], want[i], &fd)
					want[i] = fmt.Sprintf(want[i], fd)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("environment (-want +got):\n%s", d)
			}
			if d := cmp.Diff([][]string{before, beforeEnv}, [][]string{row.argv, env}); d != "" {
				t.Errorf("what was passed in has changed (-before +after):\n%s", d)
			}
			if fd < 0 {
				return
			}
			defer unix.Close(fd)
			b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/.zshenv", fd))
			if err != nil || !strings.HasSuffix(string(b), fmt.Sprintf("\n_gm_fd=%d; exec {_gm_fd}<&-; unset _gm_fd\n", fd)) {
				t.Errorf("%v; .zshenv is\n%s", err, b)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
				t.Errorf("the command does not inherit the directory: %v", err)
			}
		})
	}
}
