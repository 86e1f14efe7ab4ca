package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gomahi/internal/host"
)

// The test is gm-doctor too, when it starts itself.
func TestMain(m *testing.M) {
	switch {
	case host.IsTrial():
		os.Exit(host.RunTrial(os.Stdout))
	case len(os.Args) > 1 && os.Args[1] == probeWord:
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	t.Setenv("GM_BASE", "")
	for _, row := range []struct {
		name   string
		args   []string
		status int
		out    string // its beginning
		errs   string
	}{
		{"help", []string{"--help"}, 0, "Usage: gm-doctor [OPTION...]\n", ""},
		{"version", []string{"--version"}, 0, "gm-doctor (gomahi) ", ""},
		{"an unknown option", []string{"--fast"}, 2, "", "gm-doctor: error: unknown flag --fast\ngm-doctor: hint: see gm-doctor --help; options of a command come after it\n"},
		{"an argument", []string{"--quick", "now"}, 2, "", "gm-doctor: error: \"now\": there are no arguments, only options\ngm-doctor: hint: see gm-doctor --help\n"},
		{"measuring nowhere", []string{measureWord}, 1, "", "gm-doctor: error: GM_BASE is not set\ngm-doctor: hint: this is for gm-sandbox --no-network\n"},
		{"no such probe", []string{probeWord, "dig"}, 1, "", "gm-doctor: error: \"dig\" is no probe\n"},
		{"no probe", []string{probeWord}, 1, "", "gm-doctor: error: there is no such probe\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			same(t, row.status, run(row.args, &out, &errs))
			if !strings.HasPrefix(out.String(), row.out) || row.out == "" && out.Len() > 0 {
				t.Errorf("%s", out.String())
			}
			same(t, row.errs, errs.String())
		})
	}
}

// The page and the JSON say the same, and the exit status says whether the tools work.
func TestQuick(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without the tools they cannot
	var page, list, errs bytes.Buffer
	same(t, 1, run([]string{"--quick", "--offline"}, &page, &errs))
	same(t, 1, run([]string{"--quick", "--offline", "--json"}, &list, &errs))
	same(t, "", errs.String())
	for _, want := range []string{"ok  kernel           Linux ", "no  programs         beside gm-doctor and on PATH there is no gm-delay, no\n",
		"\nThe tools do not work here."} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%s\nhas no %q", page.String(), want)
		}
	}
	for line := range strings.Lines(page.String()) {
		if len(strings.TrimSuffix(line, "\n")) > width && !strings.HasPrefix(line, indent+"to ") {
			t.Errorf("more than %d columns: %s", width, line)
		}
	}
	for _, want := range []string{"{\n  \"works\": false,\n", `"name": "kernel"`, `"name": "programs"`} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("%s\nhas no %s", list.String(), want)
		}
	}
	if strings.Contains(list.String(), "measured") {
		t.Error("something was measured")
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	add := func(names ...string) {
		for _, n := range names {
			if err := os.WriteFile(filepath.Join(dir, n), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("gm-delay", "gm-loss", "gm-sandbox")
	same(t, host.Finding{Name: "programs", Vital: true, Says: "beside gm-doctor and on PATH there is no gm-link",
		Means: "cannot start one another", Mend: "make install"}, programs(true))
	add("gm-link")
	same(t, true, programs(true).OK)
	same(t, false, programs(false).OK)
	add("gm-gateway")
	same(t, true, programs(false).OK)
}

// The AppArmor profile names all programs that start themselves again in a user namespace: the container tools, and
// this one.
func TestProfile(t *testing.T) {
	want := []string{"doctor"}
	mains, err := filepath.Glob("../gm-*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mains {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("tool.Main(")) {
			want = append(want, strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "gm-"))
		}
	}
	slices.Sort(want)
	b, err := os.ReadFile("../../apparmor/gomahi")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^profile gomahi @PREFIX@/bin/gm-\{(.*)\} flags=\(unconfined\) \{\n  userns,$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("%s", b)
	}
	same(t, want, strings.Split(string(m[1]), ","))
}
