package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gomahi/internal/host"
)

func same(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFinding(t *testing.T) {
	for _, row := range []struct {
		name     string
		f        host.Finding
		coloured bool
		want     string
	}{
		{"fine", host.Finding{Name: "kernel", OK: true, Vital: true, Says: "Linux 6.18"}, false,
			"ok  kernel           Linux 6.18\n"},
		{"fine, in colour", host.Finding{Name: "kernel", OK: true, Says: "Linux 6.18"}, true,
			"\x1b[32mok\x1b[m  kernel           Linux 6.18\n"},
		{"vital", host.Finding{Name: "packet devices", Vital: true, Says: "/dev/net/tun is not open to you (mode 0600, owner root)",
			Means: "cannot make packet devices", Mend: "sudo chmod 0666 /dev/net/tun", Keep: "say it twice"}, false,
			"no  packet devices   /dev/net/tun is not open to you (mode 0600, owner root):\n" +
				"                     the tools cannot make packet devices\n" +
				"      to mend it: sudo chmod 0666 /dev/net/tun\n" +
				"      to keep it: say it twice\n"},
		{"vital, in colour", host.Finding{Name: "x", Vital: true, Says: "y"}, true, "\x1b[31mno\x1b[m  x                y\n"},
		{"a limit", host.Finding{Name: "CPUs", Says: "1", Means: "they take turns", Mend: "buy " + strings.Repeat("more ", 20)}, false,
			"!!  CPUs             1: they take turns\n      to mend it: buy " + strings.Repeat("more ", 20) + "\n"},
		{"a limit, in colour", host.Finding{Name: "x", Says: "y"}, true, "\x1b[33m!!\x1b[m  x                y\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b bytes.Buffer
			p := &page{w: &b, coloured: row.coloured}
			p.finding(row.f)
			same(t, row.want, b.String())
		})
	}
}

func TestVerdict(t *testing.T) {
	fine, limit := host.Finding{OK: true}, host.Finding{}
	for _, row := range []struct {
		name string
		r    results
		want string
	}{
		{"fine", results{true, []host.Finding{fine}, []host.Finding{fine}}, "\nThe tools work here.\n"},
		{"a limit", results{true, []host.Finding{limit, fine}, nil}, "\nThe tools work here. What is marked \"!!\" limits them.\n"},
		{"a measured limit", results{true, []host.Finding{fine}, []host.Finding{limit}},
			"\nThe tools work here. What is marked \"!!\" limits them.\n"},
		{"no", results{false, []host.Finding{limit}, nil}, "\nThe tools do not work here. Mend what is marked \"no\", from the top.\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b bytes.Buffer
			(&page{w: &b}).verdict(row.r)
			same(t, row.want, b.String())
		})
	}
}

func TestWrap(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"short", "two words", []string{"two words"}},
		{"just", "ten chars!", []string{"ten chars!"}},
		{"long", "eleven characters", []string{"eleven", "characters"}},
		{"a long word", "an /unbreakable/path", []string{"an", "/unbreakable/path"}},
		{"nothing", "", []string{""}},
	} {
		t.Run(row.name, func(t *testing.T) { same(t, row.want, wrap(row.text, 10)) })
	}
}

func TestColoured(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if coloured(f) || coloured(new(bytes.Buffer)) {
		t.Error("a file got colours")
	}
}

// A page that cannot be written is an error.
func TestPageFull(t *testing.T) {
	f, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &page{w: f}
	p.finding(host.Finding{})
	if p.err == nil {
		t.Error("it was written")
	}
}
