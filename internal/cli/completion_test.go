package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"gomahi/internal/testutil"
)

// completed is the script of a program with all kinds of arguments.
func completed(t *testing.T, shell string) (script string) {
	t.Helper()
	var options struct {
		When   string `placeholder:"WHEN" enum:"now,never" default:"now" help:"It's [when]: now."`
		Kind   string `placeholder:"NAME" words:"red,blue,FILE" help:"Red, blue, or as the file says."`
		Output string `short:"o" placeholder:"FILE" help:"Where to."`
		Size   string `placeholder:"BYTES" help:"How much."`
		Fast   bool   `help:"Be fast."`
		Hidden bool   `hidden:""`
		Standard
	}
	g := &Grammar{Name: "gm-test", Usage: "[OPTION...] uplink|downlink|both SCENARIO SIZE [COMMAND...]", Options: &options}
	var b bytes.Buffer
	if err := g.Complete(&b, shell); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// needs skips a test where there is no such shell.
func needs(t *testing.T, shell string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		testutil.Skip(t, err.Error())
	}
}

// What comes of a line, its last word being completed.
var lines = []struct {
	line string
	want []string
}{
	{"gm-test up", []string{"uplink"}},
	{"gm-test --fast -o x do", []string{"downlink"}},
	{"gm-test --wh", []string{"--when="}},
	{"gm-test --hid", nil},
	{"gm-test --when=ne", []string{"never"}},
	{"gm-test --when ne", []string{"never"}},
	{"gm-test --kind=re", []string{"red"}},
	{"gm-test --kind bl", []string{"blue"}},
	{"gm-test --kind=fi", []string{"file.csv"}},
	{"gm-test --output=file", []string{"file.csv"}},
	{"gm-test -o file", []string{"file.csv"}},
	{"gm-test --size=f", nil},
	{"gm-test uplink --size=7 fi", []string{"file.csv"}},
	{"gm-test uplink file.csv f", nil},
	{"gm-test uplink file.csv 5 gm-subj", []string{"gm-subject"}},
	{"gm-test uplink file.csv 5 --fa", []string{"--fast"}},
	{"gm-test uplink file.csv 5 --when=ne", []string{"never"}},
	{"gm-test uplink file.csv 5 --fast gm-subj", []string{"gm-subject"}},
	{"gm-test uplink file.csv 5 --fast gm-subject --fa", nil},
	{"gm-test uplink file.csv 5 gm-subject --fa", nil},
	{"gm-test uplink file.csv 5 gm-test bo", []string{"both"}},
}

// room is a directory with a file and a program on PATH.
func room(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"file.csv", "gm-subject"} {
		if err := os.WriteFile(name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir, _ := os.Getwd()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("HOME", dir)
}

func TestCompleteBash(t *testing.T) {
	needs(t, "bash")
	script := completed(t, "bash")
	room(t)
	for _, row := range lines {
		words := strings.Fields(strings.ReplaceAll(row.line, "=", " = ")) // as COMP_WORDBREAKS has it
		out, err := exec.Command("bash", append([]string{"--norc", "-c", script + fmt.Sprintf(
			"COMP_WORDS=(\"$@\") COMP_CWORD=%d; _gm_test; printf '%%s\\n' \"${COMPREPLY[@]}\"", len(words)-1), "bash"}, words...)...).CombinedOutput()
		if d := cmp.Diff(row.want, strings.Fields(string(out)), cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", row.line, err, d)
		}
	}
}

func TestCompleteFish(t *testing.T) {
	needs(t, "fish")
	script := completed(t, "fish")
	room(t)
	for _, row := range lines {
		out, err := exec.Command("fish", "--no-config", "-c", script+"complete -C "+quote(row.line)).CombinedOutput()
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if option, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(option, "--") { // it says the whole word
				word = value
			}
			got = append(got, word)
		}
		want := slices.Clone(row.want)
		for i := range want {
			want[i] = strings.TrimSuffix(want[i], "=") // it adds that by itself
		}
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %v, got %q, want %q", row.line, err, got, want)
		}
	}
}

// zsh completes on a terminal alone.
func TestCompleteZsh(t *testing.T) {
	needs(t, "zsh")
	script := completed(t, "zsh")
	room(t)
	dir, _ := os.Getwd()
	if err := os.WriteFile(filepath.Join(dir, "_gm-test"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("zsh", "-f", "-i")
	c.Env = append(os.Environ(), "TERM=dumb", "PS1=> ")
	tty, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		tty.Close()
		c.Process.Kill()
		c.Wait()
	}()
	said := make(chan string)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			if err != nil {
				close(said)
				return
			}
			said <- string(buf[:n])
		}
	}()
	var all strings.Builder
	await := func(what string) bool {
		t.Helper()
		all.Reset()
		for end := time.After(10 * time.Second); ; {
			select {
			case text := <-said:
				if all.WriteString(text); strings.Contains(all.String(), what) {
					return true
				}
			case <-end:
				t.Errorf("no %q in %q", what, all.String())
				return false
			}
		}
	}
	fmt.Fprintf(tty, "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep; PS1=rea''dy\n")
	await("ready")
	for _, row := range lines {
		if row.want == nil {
			continue // silence is not waited for
		}
		// ^U clears the line, ^A and ^E make it harmless to run.
		fmt.Fprintf(tty, "\x15%s\t\x01: '\x05' end\n", row.line)
		if !await("ready") { // the next prompt
			return
		}
		if want := row.want[0]; !strings.Contains(all.String(), want) {
			t.Errorf("%s: no %q in %q", row.line, want, all.String())
		}
	}
}

// Arguments may be words that a command prints, such as PIDs, or files.
func TestCompleteFromCommand(t *testing.T) {
	g := &Grammar{Name: "gm-test", Options: new(struct{ Standard }),
		Completed: []Words{{All: []string{"show"}, From: "gm-subject pids"}, {All: []string{"rate="}, Files: true}}}
	room(t)
	if err := os.WriteFile("gm-subject", []byte("#!/bin/sh\necho 4711; echo 4720; echo $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		line string
		want []string
	}{
		{"gm-test 4", []string{"4711", "4720"}},
		{"gm-test p", []string{"pids"}},
		{"gm-test sh", []string{"show"}},
		{"gm-test show r", []string{"rate="}},
		{"gm-test show fi", []string{"file.csv"}},
	} {
		for shell, line := range map[string]string{
			"bash": "COMP_WORDS=(" + row.line + ") COMP_CWORD=" + fmt.Sprint(len(strings.Fields(row.line))-1) + "; _gm_test; printf '%s\\n' \"${COMPREPLY[@]}\"",
			"fish": "complete -C " + quote(row.line)} {
			t.Run(shell+" "+row.line, func(t *testing.T) {
				needs(t, shell)
				var script bytes.Buffer
				if err := g.Complete(&script, shell); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(shell, "-c", script.String()+line).CombinedOutput()
				if got := strings.Fields(string(out)); !slices.Equal(got, row.want) || err != nil {
					t.Errorf("%v, got %q, want %q", err, got, row.want)
				}
			})
		}
	}
}

func TestCompleteElse(t *testing.T) {
	g := &Grammar{Name: "gm-test", Options: new(struct{ Standard })}
	if err := g.Complete(new(bytes.Buffer), "tcsh"); err == nil || err.Error() != "\"tcsh\" is no shell that this can complete for\nhint: give bash, zsh or fish" {
		t.Errorf("%v", err)
	}
}
