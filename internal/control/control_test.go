package control

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Where the sockets are, and that nobody else can have prepared it.
func TestDir(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(runtime, temp string)
		want    string // in which of them
		err     string
	}{
		{"the runtime directory", func(string, string) {}, "runtime/gomahi", ""},
		{"there already", func(r, _ string) { os.Mkdir(r+"/gomahi", 0o700) }, "runtime/gomahi", ""},
		{"it is open to others", func(r, _ string) { os.Chmod(r, 0o755) }, "temp/gomahi-UID", ""},
		{"ours in it is open to others", func(r, _ string) { os.Mkdir(r+"/gomahi", 0o700); os.Chmod(r+"/gomahi", 0o770) }, "temp/gomahi-UID", ""},
		{"it is missing", func(r, _ string) { os.Remove(r) }, "temp/gomahi-UID", ""},
		{"a link waits in its place", func(r, tmp string) { os.Remove(r); os.Symlink(tmp, tmp+"/gomahi-UID") }, "", "is not a directory"},
		{"one that is open waits", func(r, tmp string) {
			os.Remove(r)
			os.Mkdir(tmp+"/gomahi-UID", 0o700)
			os.Chmod(tmp+"/gomahi-UID", 0o777)
		},
			"", "is open to others (mode 0777)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			base := short(t)
			uid := strings.NewReplacer("UID", itoa(os.Geteuid()))
			runtime, temp := base+"/runtime", base+"/temp"
			os.Mkdir(runtime, 0o700)
			os.Mkdir(temp, 0o755)
			row.prepare(runtime, temp)
			os.Rename(temp+"/gomahi-UID", temp+uid.Replace("/gomahi-UID"))
			got, err := dirIn(runtime, temp, os.Geteuid())
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Errorf("%v, want %q", err, row.err)
				}
				return
			}
			if want := filepath.Join(base, uid.Replace(row.want)); err != nil || got != want {
				t.Errorf("%s, %v; want %s", got, err, want)
			}
		})
	}
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		os.Chmod(dir, 0o700)
		os.Mkdir(dir+"/gomahi-12345", 0o700)
		if _, err := dirIn("", dir, 12345); err == nil || !strings.Contains(err.Error(), "belongs to user 0, not to you (12345)") {
			t.Errorf("another's directory: %v", err)
		}
	}
}

// short is a directory whose name leaves room for sockets.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("", "gm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func runtimeDir(t *testing.T) string {
	dir := short(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

// A tool is found and answers; one that was killed is not, and its socket is gone.
func TestServer(t *testing.T) {
	dir := runtimeDir(t)
	stale := filepath.Join(dir, "gomahi", "gm-delay-1-abc.sock")
	os.Mkdir(filepath.Dir(stale), 0o700)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()

	s, err := Listen("gm-test")
	if err != nil {
		t.Fatal(err)
	}
	s.HandleFunc("GET /v1/stage", func(w http.ResponseWriter, _ *http.Request) { Answer(w, map[string]int{"n": 7}) })
	var got struct{ A string }
	s.HandleFunc("POST /v1/guests", func(w http.ResponseWriter, r *http.Request) { json.NewDecoder(r.Body).Decode(&got) })
	s.HandleFunc("GET /v1/no", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusConflict) })
	s.Serve()
	if _, err := os.Stat(stale); err == nil {
		t.Error("the stale socket is still there")
	}
	all, err := Running()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d run, %v", len(all), err)
	}
	c := all[0]
	var answer struct{ N int }
	if err := c.Get("/v1/stage", &answer); err != nil || answer.N != 7 {
		t.Errorf("%+v, %v", answer, err)
	}
	if err := c.Post("/v1/guests", map[string]string{"A": "b"}); err != nil || got.A != "b" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Get("/v1/no", &answer); err == nil || err.Error() != "no" {
		t.Errorf("%v", err)
	}
	if pid, err := c.PID(); pid != os.Getpid() {
		t.Errorf("process %d, %v", pid, err)
	}
	c.Close()
	s.Close()
	if all, _ := Running(); len(all) != 0 {
		t.Errorf("%d run after the end", len(all))
	}
}

// Another user gets no answer, even where the directory would let it in.
func TestOtherUser(t *testing.T) {
	if os.Getenv("GOMAHI_TEST_SOCKET") != "" {
		var answer any
		if err := Dial(os.Getenv("GOMAHI_TEST_SOCKET")).Get("/v1/stage", &answer); err == nil || errors.Is(err, os.ErrPermission) {
			t.Errorf("answered: %v, %v", answer, err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("it takes root to be somebody else")
	}
	dir := runtimeDir(t)
	s, err := Listen("gm-test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.HandleFunc("GET /v1/stage", func(w http.ResponseWriter, _ *http.Request) { Answer(w, "secret") })
	s.Serve()
	for d := s.Path; d != filepath.Dir(dir); d = filepath.Dir(d) {
		os.Chmod(d, 0o777)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOtherUser$", "-test.v")
	cmd.Env = append(os.Environ(), "GOMAHI_TEST_SOCKET="+s.Path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
