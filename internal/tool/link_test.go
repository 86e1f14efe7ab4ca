package tool

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomahi/effects"
	"gomahi/packet"
)

// A link's stages are in the order of a real path, and each direction has its own.
func TestLinkStages(t *testing.T) {
	tool, _ := fill(t, "gm-link 12Mbps 1.2Mbps --uplink-delay=20 --downlink-loss=1 true")
	l := &Link{UpDrops: new(tally), DownDrops: new(tally)}
	if err := tool.Link(l); err != nil {
		t.Fatal(err)
	}
	var pool packet.Pool
	for _, row := range []struct {
		name  string
		stage effects.Stage
		due   time.Duration // 0: lost
	}{{"uplink", l.Uplink, 21 * time.Millisecond}, {"downlink", l.Downlink, 0}} {
		f := pool.Get()
		f.FilledPlain(1500)
		row.stage.Push(0, f.Packet(0, 0))
		var due time.Duration
		for at, ok := row.stage.Next(); ok; at, ok = row.stage.Next() {
			if p, ok := row.stage.Pop(at); ok {
				due = p.Due
				p.Release()
			}
		}
		if due != row.due {
			t.Errorf("%s: due at %v, want %v", row.name, due, row.due)
		}
	}
	if drops := l.DownDrops.(*tally).drops; len(drops) != 1 || drops[0].name != "random loss" {
		t.Errorf("downlink drops %+v", drops)
	}
}

// Outputs are opened all or none.
func TestOpenOutputs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{"old": "old", "trace": "1\n"} {
		if err := os.WriteFile(at(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(at("old"), at("other")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		files   []string
		problem string
	}{
		{"two names of one", []string{at("new"), at("old"), at("other")}, "are one file"},
		{"one new name twice", []string{at("new"), "", at("./new")}, "are one file"},
		{"the trace", []string{at("new"), at("trace")}, "would be overwritten"},
		{"nowhere", []string{at("new"), at("no/where")}, "no such file or directory"},
		{"a directory", []string{at("new"), dir}, "is a directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := openOutputs(row.files, []string{at("trace"), "12Mbps"})
			if err == nil || !strings.Contains(err.Error(), row.problem) || !strings.Contains(err.Error(), "\nhint: ") {
				t.Errorf("error %v, want %q", err, row.problem)
			}
			if _, err := os.Stat(at("new")); err == nil {
				t.Error("a file was left")
			}
			for name, want := range map[string]string{"old": "old", "trace": "1\n"} {
				if b, _ := os.ReadFile(at(name)); string(b) != want {
					t.Errorf("%s was changed to %q", name, b)
				}
			}
		})
	}
	for _, line := range []string{"--uplink-log=FILE FILE 12Mbps", "--events=FILE 12Mbps FILE", "--report=FILE FILE FILE"} {
		args := strings.Fields(strings.ReplaceAll(line, "FILE", at("trace")) + " true")
		var said bytes.Buffer
		if status := Main(new(LinkTool), args, &said, &said); status != 2 || !strings.Contains(said.String(), "is in use and would be overwritten") {
			t.Errorf("gm-link %v: status %d, %s", args, status, said.String())
		}
	}
	out, err := openOutputs([]string{at("new"), at("old"), "/dev/null", "/dev/null"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 3 {
		t.Errorf("%d outputs, want 3", len(out))
	}
	if b, _ := os.ReadFile(at("old")); len(b) > 0 {
		t.Errorf("what was in the file stays: %q", b)
	}
	for _, o := range out {
		o.Close()
	}
}
