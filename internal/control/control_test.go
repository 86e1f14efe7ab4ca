package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomahi/internal/testutil"
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
	s.Handle("GET /v1/stage", func(*Request) (any, error) { return map[string]int{"n": 7}, nil })
	var got struct{ A string }
	s.Handle("POST /v1/guests", func(r *Request) (any, error) { return nil, r.Read(&got) })
	s.Handle("GET /v1/no", func(*Request) (any, error) { return nil, &Refusal{400, "no"} })
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
	if err := c.Post("/v1/guests", map[string]string{"A": "b"}, nil); err != nil || got.A != "b" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Get("/v1/no", &answer); err == nil || err.Error() != "no" {
		t.Errorf("%v", err)
	}
	if pid, err := c.PID(); pid != os.Getpid() {
		t.Errorf("process %d, %v", pid, err)
	}
	s.Close()
	if all, _ := Running(); len(all) != 0 {
		t.Errorf("%d run after the end", len(all))
	}
}

// What any HTTP client sends is understood, and what is no HTTP refused.
func TestHTTP(t *testing.T) {
	runtimeDir(t)
	s, err := Listen("gm-test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Handle("GET /v1/stage", func(r *Request) (any, error) { return r.Query.Get("q"), nil })
	s.Handle("POST /v1/guests", func(r *Request) (any, error) {
		var n int
		err := r.Read(&n)
		return n, err
	})
	s.Handle("POST /v1/object", func(r *Request) (any, error) {
		var o struct{ A int }
		err := r.Read(&o)
		return o.A, err
	})
	s.Serve()
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", s.Path) }
	client := http.Client{Transport: &http.Transport{DialContext: dial}}
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/stage?q=a%20b", "", 200, `"a b"`},
		{"GET", "/v1/stage", "", 200, `""`},
		{"POST", "/v1/guests", "17", 200, "17"},
		{"POST", "/v1/guests", "x", 500, "invalid character"},
		{"POST", "/v1/guests", "17 18", 500, "after top-level value"},
		{"POST", "/v1/object", `{"a": 1}`, 200, "1"},
		{"POST", "/v1/object", `{"b": 1}`, 500, `unknown field "b"`},
		{"DELETE", "/v1/stage", "", 405, "/v1/stage does not take DELETE"},
		{"GET", "/v1/other", "", 404, "there is no /v1/other"},
	} {
		r, _ := http.NewRequest(row.method, "http://tool"+row.path, strings.NewReader(row.body))
		a, err := client.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", row.method, row.path, err)
			continue
		}
		b, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if a.StatusCode != row.status || !strings.Contains(string(b), row.want) {
			t.Errorf("%s %s: %d %s, want %d %s", row.method, row.path, a.StatusCode, b, row.status, row.want)
		}
	}
	for _, row := range []struct{ sent, want string }{
		{"hello\r\n", "HTTP/1.1 400 Bad Request"},
		{"GET nowhere HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"POST /v1/guests HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 411 Length Required"},
		{"POST /v1/guests HTTP/1.1\r\n\r\n", "HTTP/1.1 411 Length Required"},
		{"POST /v1/guests HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 Content Too Large"},
		{"GET /v1/stage HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"},
		{"", ""},
	} {
		c, err := net.Dial("unix", s.Path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, row.sent)
		c.(*net.UnixConn).CloseWrite()
		b, _ := io.ReadAll(c)
		c.Close()
		if !strings.HasPrefix(string(b), row.want) || row.want == "" && len(b) > 0 {
			t.Errorf("%q: %q, want %q", row.sent, b, row.want)
		}
	}
}

// Whatever is sent, each request is answered with HTTP that another implementation understands, and with no more of it than
// there were requests; a handler hears only of what it takes.
func FuzzHTTP(f *testing.F) {
	for _, sent := range []string{
		"GET /v1/stage?a=b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
		"POST /v1/set HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"delay\":\"80ms\"}GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n",
		"POST http://gm/v1/set HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /v1/set HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET * HTTP/1.1\r\n\r\n", "hello\r\n",
	} {
		f.Add([]byte(sent))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		asked := 0
		heard := func(method string) Handler {
			return func(r *Request) (any, error) {
				asked++
				if r.Method != method || r.Path != "/v1/set" && r.Path != "/metrics" || len(r.body) > mostBody {
					t.Errorf("%s heard of %s %s with %d bytes", method, r.Method, r.Path, len(r.body))
				}
				var what any
				if err := r.Read(&what); err != nil && method == "POST" {
					return nil, &Refusal{400, err.Error()}
				}
				return Text(r.Query.Encode()), nil
			}
		}
		s := &Server{handlers: map[string]Handler{"POST /v1/set": heard("POST"), "GET /metrics": heard("GET")}}
		var out bytes.Buffer
		in := bufio.NewReader(bytes.NewReader(sent))
		requests, gone := 0, false
		for last := false; !last; {
			var answered bool
			if last, answered = s.turn(in, &out); answered {
				requests++
			} else {
				gone = true
			}
		}
		answers := bufio.NewReader(&out)
		for n := range requests {
			a, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("answer %d of %d: %v", n, requests, err)
			}
			b, err := io.ReadAll(a.Body)
			if err != nil || reasons[a.StatusCode] == "" || a.StatusCode >= 400 && len(b) == 0 || a.Close != (n == requests-1 && !gone) {
				t.Errorf("answer %d: %s %q %v, the last: %v", n, a.Status, b, err, a.Close)
			}
		}
		if answers.Buffered() > 0 || asked > requests {
			t.Errorf("%d bytes more than %d answers; %d were for a handler", answers.Buffered(), requests, asked)
		}
	})
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
		testutil.Skip(t, "it takes root to be somebody else")
	}
	dir := runtimeDir(t)
	s, err := Listen("gm-test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Handle("GET /v1/stage", func(*Request) (any, error) { return "secret", nil })
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
