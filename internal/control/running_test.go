package control

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A tool runs until it is killed, whether its parent has noticed or not.
func TestRunning(t *testing.T) {
	if os.Getenv("GM_TEST_TOOL") != "" { // this is it
		time.Sleep(time.Minute)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(t.TempDir(), "gm-test")
	if err := os.Symlink(self, tool); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(tool, "-test.run=^TestRunning$")
	c.Env = append(os.Environ(), "GM_TEST_TOOL=1")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	socket := func(name string) string {
		return fmt.Sprintf("/run/gomahi/gm-%s-%d-abcdefgh.sock", name, c.Process.Pid)
	}
	if !running(socket("test")) {
		t.Error("a tool that runs does not")
	}
	if running(socket("other")) {
		t.Error("another with its process ID runs")
	}
	c.Process.Kill()
	for end := time.Now().Add(5 * time.Second); running(socket("test")); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("a zombie runs")
			break
		}
	}
	c.Wait()
	if running(socket("test")) {
		t.Error("one that is gone runs")
	}
}
