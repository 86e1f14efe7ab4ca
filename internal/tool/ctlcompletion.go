package tool

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gomahi/internal/cli"
)

// programs are all of gomahi's.
var programs = strings.Fields("gm-burst gm-corrupt gm-ctl gm-delay gm-doctor gm-duplicate gm-gateway gm-graph gm-intermittent gm-jitter " +
	"gm-link gm-loss gm-losstrace gm-meter gm-onoff gm-path gm-profile gm-reorder gm-report gm-sandbox gm-shape gm-trace gm-webarchive " +
	"gm-webrecord gm-webreplay")

// completion prints a script that completes the command lines of all programs, as far as they are here: each knows its own.
func (c *Ctl) completion(args []string) error {
	if len(args) != 1 || args[0] != "bash" && args[0] != "zsh" && args[0] != "fish" {
		return cli.Usagef("usage: gm-ctl completion bash|zsh|fish", "completion takes the name of a shell")
	}
	for _, name := range programs {
		script, err := completionOf(name, args[0])
		if err != nil {
			return err
		}
		if args[0] == "zsh" && script != "" { // a file for each would begin with #compdef, in place of this
			function := "_" + strings.ReplaceAll(name, "-", "_")
			script = fmt.Sprintf("%s() {\n%s}\ncompdef %[1]s %[3]s\n", function, script, name)
		}
		if _, err := fmt.Fprint(c.stdout, script); err != nil {
			return err
		}
	}
	return nil
}

// completionOf asks a program, beside this one or on PATH: "" if there is none.
func completionOf(name, shell string) (string, error) {
	path := ""
	if self, err := os.Executable(); err == nil {
		path = filepath.Join(filepath.Dir(self), name)
	}
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath(name); err != nil {
			return "", nil
		}
	}
	out, err := exec.Command(path, "--completion="+shell).Output()
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", path, err)
	}
	return string(out), nil
}
