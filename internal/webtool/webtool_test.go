package webtool

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomahi/internal/tool"
	"gomahi/shell"
	"gomahi/web/authority"
)

func TestHelp(t *testing.T) {
	for name, made := range map[string]tool.Tool{"gm-webrecord": new(Record), "gm-webreplay": new(Replay)} {
		var out, complaint bytes.Buffer
		if status := tool.Main(made, []string{"--help"}, &out, &complaint); status != 0 {
			t.Error(status, complaint.String())
		}
		for _, want := range []string{"Usage: " + name + " [OPTION...] DIRECTORY [COMMAND...]\n", "Examples:\n  " + name, "--strict"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	}
}

// Wrong command lines end with status 2, what is wrong and what would be right.
func TestWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	os.Mkdir("site", 0o700)
	os.WriteFile("file", nil, 0o600)
	for _, row := range []struct{ line, problem, hint string }{
		{"gm-webreplay", "too few arguments", "usage: gm-webreplay [OPTION...] DIRECTORY [COMMAND...]"},
		{"gm-webreplay file true", "file is not a directory", "name a directory that gm-webrecord made"},
		{"gm-webreplay nowhere true", "stat nowhere: no such file or directory", "name a directory that gm-webrecord made"},
		{"gm-webreplay --match=some site", `--match must be one of "strict","mahimahi","fuzzy" but got "some"`, "see gm-webreplay --help"},
		{"gm-webreplay --think-time=-1 site", `think time "-1" is none of these`, "give none, recorded, or a time: 20ms"},
		{"gm-webreplay --ignore-query=[ site", "--ignore-query: error parsing regexp", "see https://"},
		{"gm-webreplay --http3=no site", "--http3 must be one of", "see gm-webreplay --help"},
		{"gm-webrecord", "too few arguments", "usage: gm-webrecord"},
		{"gm-webrecord site true", "site: it exists already", "name another directory, or give --append"},
		{"gm-webrecord file true", "file: it exists already", "name another directory"},
		{"gm-webrecord --port=0 new", "--port=0", "give a number from 1 to 65535"},
		{"gm-webrecord --port=http new", `--port: expected a valid 64 bit int but got "http"`, "see gm-webrecord --help"},
	} {
		t.Run(row.line, func(t *testing.T) {
			f := strings.Fields(row.line)
			var made tool.Tool = new(Replay)
			if f[0] == "gm-webrecord" {
				made = new(Record)
			}
			var out, complaint bytes.Buffer
			status := tool.Main(made, f[1:], &out, &complaint)
			if status != 2 || !strings.HasPrefix(complaint.String(), f[0]+": error: "+row.problem) ||
				!strings.Contains(complaint.String(), "\n"+f[0]+": hint: "+row.hint) {
				t.Errorf("status %d\n%s", status, complaint.String())
			}
		})
	}
}

// The command's files of trusted certificates are the system's and the caller's, and the authority's.
func TestTrust(t *testing.T) {
	dir := t.TempDir()
	system, own := filepath.Join(dir, "system.pem"), filepath.Join(dir, "own.pem")
	os.WriteFile(system, []byte("system"), 0o600)
	os.WriteFile(own, []byte("own"), 0o600)
	before := bundles
	defer func() { bundles = before }()
	for _, v := range variables {
		t.Setenv(v, "")
	}
	t.Setenv("CURL_CA_BUNDLE", own)
	bundles = []string{filepath.Join(dir, "absent.pem"), system}
	a, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	o := &shell.Options{Argv: []string{"gm-delay", "5", "/usr/bin/chromium", "--headless", "chromium"}}
	b := new(Browser)
	if err := b.trust(a, o); err != nil {
		t.Fatal(err)
	}
	if got := string(o.Files[system]); got != "system\nown\n"+string(a.PEM()) || len(o.Files) != 1 {
		t.Errorf("%q", got)
	}
	if len(o.Env) != len(variables)+1 || o.Env[0] != "SSL_CERT_FILE="+system {
		t.Error(o.Env)
	}
	if got := strings.Join(o.Argv, " "); got != "gm-delay 5 /usr/bin/chromium --ignore-certificate-errors-spki-list="+a.SPKI()+" --user-data-dir="+b.profile+" --headless chromium" {
		t.Error(got)
	}
	bundles = nil
	if err := b.trust(a, &shell.Options{}); err == nil || !strings.Contains(err.Error(), "hint: install the package ca-certificates") {
		t.Error(err)
	}
}

// Within a run the options for Chromium are printed, elsewhere not.
func TestChromium(t *testing.T) {
	for name, made := range map[string]func() tool.Tool{"gm-webrecord": func() tool.Tool { return new(Record) },
		"gm-webreplay": func() tool.Tool { return new(Replay) }} {
		var out, complaint bytes.Buffer
		t.Setenv(chromiumVar, "--x --y")
		if status := tool.Main(made(), []string{"--chromium"}, &out, &complaint); status != 0 || out.String() != "--x --y\n" {
			t.Error(status, out.String(), complaint.String())
		}
		t.Setenv(chromiumVar, "")
		if status := tool.Main(made(), []string{"--chromium"}, &out, &complaint); status != 2 ||
			complaint.String() != name+": error: there is no recording or replay here\n"+name+": hint: within the command of gm-webrecord or "+
				"gm-webreplay: chromium $(gm-webrecord --chromium) URL\n" {
			t.Error(status, complaint.String())
		}
	}
}

func TestIsChromium(t *testing.T) {
	for word, want := range map[string]bool{"chromium": true, "/usr/bin/chromium-browser": true, "google-chrome-stable": true,
		"chrome": true, "chrome-headless-shell": true, "chromedriver": false, "--user-data-dir=x/chromium": false, "curl": false} {
		if isChromium(word) != want {
			t.Errorf("%s: %v", word, !want)
		}
	}
}
