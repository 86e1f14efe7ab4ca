package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The machine's clock is not ours to step, and time namespaces have no CLOCK_REALTIME (time_namespaces(7)). So the tools
// are built with another time.Now, whose wall clock jumps every few seconds of CLOCK_MONOTONIC: the same jumps in all
// processes, hours and years forth and back. All of Go that asks for the time of day asks there.
const unsteadyNow = `
	sec += [...]int64{0, 3600, -3600, 1, 86400 * 400, -86400 * 3650, -1, 0}[mono>>32*5&7]`

// unsteadySteps is how often the clock has been stepped at a time of CLOCK_MONOTONIC, in nanoseconds.
func unsteadySteps(mono int64) int64 {
	if !unsteady {
		return 0
	}
	return mono >> 32
}

var unsteady bool

// unsteadyClock builds the tools with such a clock, and returns where they are.
func unsteadyClock(t *testing.T) string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	now := regexp.MustCompile(`(?m)^func Now\(\) Time \{\n\tsec, nsec, mono := .*$`).FindIndex(source)
	if now == nil {
		t.Fatalf("time.Now of this Go is not as it was: see %s", original)
	}
	dir := filepath.Join(bin, "unsteady")
	changed, overlay := filepath.Join(bin, "time.go"), filepath.Join(bin, "overlay.json")
	replace, _ := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	for file, content := range map[string]string{changed: string(source[:now[1]]) + unsteadyNow + string(source[now[1]:]), overlay: string(replace)} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", dir+"/", "gomahi/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, out))
	}
	unsteady = true
	return dir
}
