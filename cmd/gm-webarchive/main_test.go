package main

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomahi/web"
)

func call(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(args, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

// A recording of the original's, through all commands.
func TestRun(t *testing.T) {
	original, err := filepath.Abs("../../web/testdata/original")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.CopyFS("site", os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	must := func(wantErr string, args ...string) string {
		t.Helper()
		status, out, stderr := call("", args...)
		if status != 0 || stderr != wantErr {
			t.Fatalf("%v: status %d, %s", args, status, stderr)
		}
		return out
	}
	list := must("", "ls", "site")
	for _, want := range []string{"METHOD  STATUS  TYPE", "GET     200     text/html        108   192.0.2.10:80     HTTP/1.1  http://www.test/\n",
		"GET     200     image/png        3000  192.0.2.10:80     HTTP/1.1  http://www.test/a.png\n"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	const script = "console.log(\"hi\")\n"
	if got := must("", "cat", "site", "http://cdn.test/app.js?v=3"); got != script {
		t.Errorf("%q", got)
	}
	if got := must("", "cat", "--headers", "--decode", "site", "http://cdn.test/app.js?v=3"); !strings.HasPrefix(got,
		"GET /app.js?v=3 HTTP/1.1\nHost: cdn.test\n") || !strings.HasSuffix(got, "\n\n"+script) {
		t.Errorf("%q", got)
	}
	har := must("", "export", "--har", "site")
	for name, text := range map[string]string{"site.har": har, "half.har": har[:len(har)-10]} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, stderr := call("", "import", "--har", "half.har", "half"); status != 1 || !strings.Contains(stderr, "half.har: ") {
		t.Error(status, stderr)
	}
	if _, err := os.Stat("half"); err == nil {
		t.Error("half a recording is left")
	}
	must("gm-webarchive: 3 exchanges, 0 left out that are no HTTP or have no response, or not its body\n", "import", "--har", "site.har", "again")
	if got := must("", "ls", "again"); len(strings.Split(got, "\n")) != 5 {
		t.Error(got)
	}
	must("gm-webarchive: 1 exchanges, 2 left out\n", "strip", "--drop=www", "--header=Server", "again", "public")
	if got := must("", "cat", "--headers", "public", "http://cdn.test/app.js?v=3"); strings.Contains(got, "Server:") {
		t.Error(got)
	}
	must("gm-webarchive: 3 exchanges, 0 left out\n", "strip", "site", "placed") // files of the original, which have no order
	all, err := web.Load("placed")
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range all {
		if x.Order != web.Placed+uint64(i)+1 {
			t.Error(i, x.Order)
		}
	}
	if got := must("", "ls", "placed"); got != list {
		t.Errorf("%s\nis not in the order of\n%s", got, list)
	}
	must("gm-webarchive: 4 exchanges\n", "merge", "all", "site", "public")
	must("gm-webarchive: 4 exchanges, all whole\n", "verify", "all")
	os.WriteFile("all/junk", []byte("junk"), 0o600)
	status, out, stderr := call("", "verify", "all")
	if status != 1 || !strings.HasPrefix(out, "all/junk is not a recorded exchange: ") || !strings.Contains(stderr, "1 of 5 files are no whole exchange") {
		t.Error(status, out, stderr)
	}
}

// All codings are undone, and there is nothing to undo of nothing.
func TestDecode(t *testing.T) {
	t.Chdir(t.TempDir())
	d, err := web.Create("site", false)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("hi")
	for range 2 {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(body)
		z.Close()
		body = b.Bytes()
	}
	for path, body := range map[string][]byte{"twice": body, "empty": nil} {
		x := &web.Exchange{Server: netip.MustParseAddrPort("192.0.2.1:80"), Scheme: "http",
			Request: web.Message{First: "GET /" + path + " HTTP/1.1", Header: []web.Field{{Name: "Host", Value: "a.test"}}},
			Response: web.Message{First: "HTTP/1.1 200 OK", Body: web.Bytes(body),
				Header: []web.Field{{Name: "Content-Encoding", Value: "gzip"}, {Name: "Content-Encoding", Value: "gzip"}}}}
		if _, err := d.Write(x); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"twice": "hi", "empty": ""} {
		if status, out, stderr := call("", "cat", "--decode", "site", "http://a.test/"+path); status != 0 || out != want {
			t.Errorf("%s: %d %q %s", path, status, out, stderr)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	os.Mkdir("empty", 0o700)
	os.WriteFile("file", []byte("<html>"), 0o600)
	for _, row := range []struct {
		line   string
		status int
		want   string
	}{
		{"", 2, "the command is missing\ngm-webarchive: hint: one of ls, cat, export, import, strip, merge, verify; see"},
		{"rm x", 2, `"rm" is no command`},
		{"ls", 2, "ls does not take 0 arguments\ngm-webarchive: hint: usage: gm-webarchive ls DIRECTORY"},
		{"ls nowhere", 2, "open nowhere: no such file or directory\ngm-webarchive: hint: name a directory that gm-webrecord made"},
		{"ls empty", 1, "empty has no recorded exchanges"},
		{"verify nowhere", 2, "open nowhere: no such file"},
		{"export empty", 2, "the format is missing"},
		{"import file new", 2, "the format is missing, or there are two"},
		{"import --har nowhere new", 2, "open nowhere: no such file"},
		{"import --har file empty", 2, "empty: it exists already"},
		{"import --har file new", 1, "file: this is no HTTP archive: invalid character '<'"},
		{"import --wprgo file new", 1, "file: this is no archive of Web Page Replay: "},
		{"strip --drop=( empty new", 2, "--drop: error parsing regexp"},
		{"merge new nowhere", 2, "open nowhere"},
		{"ls --nonsense", 2, "unknown flag --nonsense"},
	} {
		t.Run(row.line, func(t *testing.T) {
			status, out, stderr := call("", strings.Fields(row.line)...)
			if status != row.status || !strings.HasPrefix(stderr, "gm-webarchive: error: "+row.want) || out != "" {
				t.Errorf("status %d\n%s%s", status, out, stderr)
			}
			if _, err := os.Stat("new"); err == nil {
				t.Error("something is left")
			}
		})
	}
}

func TestHelp(t *testing.T) {
	_, all, _ := call("", "--help")
	for _, c := range commands() {
		if !strings.Contains(all, "\n  "+c.Name+" ") {
			t.Errorf("%s is not in the overview", c.Name)
		}
		status, out, _ := call("", c.Name, "--help")
		if status != 0 || !strings.HasPrefix(out, "Usage: gm-webarchive "+c.Name+" "+c.Usage) || !strings.Contains(out, "Examples:") {
			t.Errorf("%s: %s", c.Name, out)
		}
	}
	if status, out, _ := call("", "--version"); status != 0 || !strings.HasPrefix(out, "gm-webarchive (gomahi)") {
		t.Error(out)
	}
}
