// Package e2e runs the programs for real, each test in a laboratory of its own (probe/lab.go): a host, and a server
// beyond it.
package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gomahi/internal/testutil"
)

// bin is where the programs under test are.
var bin string

// The tests run twice: as root, and once more as an ordinary user, for whom the tools go another way. That run has
// asUserVar in its environment.
const (
	asUserVar = "GOMAHI_TEST_AS_USER"
	user      = 12345
)

var asUser = os.Getenv(asUserVar) != ""

func TestMain(m *testing.M) {
	status := prepared(m.Run)
	if status == 0 && !asUser && os.Geteuid() == 0 && flag.Lookup("test.list").Value.String() == "" {
		again := exec.Command("/proc/self/exe", os.Args[1:]...)
		again.Env = append(os.Environ(), asUserVar+"=1")
		again.Stdout, again.Stderr = os.Stdout, os.Stderr
		fmt.Println("once more, as an ordinary user:")
		if err := again.Run(); err != nil {
			fmt.Println(err)
			status = 1
		}
	}
	os.Exit(status)
}

// prepared runs the tests with the programs built.
func prepared(run func() int) int {
	dir, err := os.MkdirTemp("", "gomahi-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	build := exec.Command("go", "build", "-o", dir, "gomahi/cmd/...", "gomahi/e2e/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	bin = dir
	os.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, v := range []string{"GM_BASE", "GM_BASE6", "MAHIMAHI_BASE", "GM_SHELL_PREFIX", "MAHIMAHI_SHELL_PREFIX"} {
		os.Unsetenv(v)
	}
	return run()
}

// temp is a directory that the user of this run may write to.
func temp(t testing.TB) string {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lab is a laboratory's processes.
type lab struct {
	t        testing.TB
	pid, tid string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	testutil.NeedNamespaces(t)
	c := exec.Command("probe", "lab")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the laboratory did not start: %v", err)
	}
	f := strings.Fields(line)
	return &lab{t, f[0], f[1]}
}

// host is a command in the host's namespace, as root.
func (l *lab) host(args ...string) *exec.Cmd { return l.in("host", args) }

// run is a command in the host's namespace, as who this run of the tests is about.
func (l *lab) run(args ...string) *exec.Cmd {
	if asUser {
		args = append([]string{"probe", "as", strconv.Itoa(user)}, args...)
	}
	return l.host(args...)
}

// server is a command in the server's namespace.
func (l *lab) server(args ...string) *exec.Cmd { return l.in("server", args) }

func (l *lab) in(where string, args []string) *exec.Cmd {
	return exec.Command("probe", append([]string{"enter", where, l.pid, l.tid}, args...)...)
}

// output runs a command on the host, which must succeed, and returns what it wrote to both outputs.
func (l *lab) output(args ...string) string {
	l.t.Helper()
	return output(l.t, l.run(args...))
}

func output(t testing.TB, c *exec.Cmd) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args[5:], err, out)
	}
	return string(out)
}

// state is what is there on the host: devices, addresses, routes, tables.
func (l *lab) state() string { return output(l.t, l.host("probe", "state")) }

// unchanged fails the test unless the host is as it was, soon.
func (l *lab) unchanged(before string) {
	l.t.Helper()
	eventually(l.t, 5*time.Second, func() error {
		if now := l.state(); now != before {
			return fmt.Errorf("the host is not as it was:\n%s\nbut was\n%s", now, before)
		}
		return nil
	})
}

// eventually fails the test if f has not returned nil within a time.
func eventually(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// attempts is how often something is measured that other work on the machine can only make slower: one good run is enough.
const attempts = 20

// quietly fails the test unless one of so many runs of f is good.
func quietly(t testing.TB, runs int, f func() error) {
	t.Helper()
	for n := 1; ; n++ {
		err := f()
		if err == nil {
			return
		}
		if n == runs {
			t.Fatal(err)
		}
		t.Logf("run %d: %v", n, err)
	}
}

// TestScripts runs testdata/script. In these, "host CMD..." and "server CMD..." run a command in the script's
// laboratory, "run CMD..." runs one on the host as who this run is about, who is [user] if not root (and [one] if there is
// nobody else), "until PATTERN CMD..." does so until what it prints matches (see attempts), "beside host|server CMD..." runs
// one beside the script, with which it ends, "status N CMD..." wants an exit status, and "unchanged" says that the host is
// as it was.
func TestScripts(t *testing.T) {
	testutil.NeedNamespaces(t)
	type value struct {
		*lab
		before string
	}
	key := struct{ name string }{"lab"}
	get := func(ts *testscript.TestScript) *value { return ts.Value(key).(*value) }
	// verb runs a command somewhere, and judges by what it returns.
	verb := func(where func(*lab, ...string) *exec.Cmd) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			c := where(get(ts).lab, args...)
			if err := ts.Exec(c.Args[0], c.Args[1:]...); (err != nil) != neg {
				ts.Fatalf("%v: %v", args, err)
			}
		}
	}
	dir := temp(t)
	testscript.Run(t, testscript.Params{
		Dir:         "testdata/script",
		WorkdirRoot: dir,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "user":
				return asUser, nil
			case "one": // there is nobody but root, in a user namespace
				ids, err := os.ReadFile("/proc/self/uid_map")
				f := strings.Fields(string(ids))
				return len(f) == 3 && f[2] == "1", err
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(env *testscript.Env) error {
			l := newLab(env.T().(testing.TB))
			env.Values[key] = &value{l, l.state()}
			env.Setenv("PATH", os.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			return os.Chmod(env.WorkDir, 0o777)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"host":   verb((*lab).host),
			"run":    verb((*lab).run),
			"server": verb((*lab).server),
			"until": func(ts *testscript.TestScript, _ bool, args []string) {
				pattern, out := regexp.MustCompile("(?m)"+args[0]), ""
				for range attempts {
					c := get(ts).run(args[1:]...)
					ts.Check(ts.Exec(c.Args[0], c.Args[1:]...))
					if out = ts.ReadFile("stdout"); pattern.MatchString(out) {
						return
					}
				}
				ts.Fatalf("never %q, but %s", args[0], out)
			},
			"beside": func(ts *testscript.TestScript, _ bool, args []string) {
				c := get(ts).in(args[0], args[1:])
				c.Dir = ts.Getenv("WORK")
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				ts.Check(c.Start())
				ts.Defer(func() {
					c.Process.Kill()
					c.Wait()
					ts.Logf("%s", out.String())
				})
				time.Sleep(300 * time.Millisecond)
			},
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				c := get(ts).run(args[1:]...)
				err := ts.Exec(c.Args[0], c.Args[1:]...)
				got := 0
				if e, ok := err.(*exec.ExitError); ok {
					got = e.ExitCode()
				}
				if fmt.Sprint(got) != args[0] {
					ts.Fatalf("%v: status %d, want %s", args[1:], got, args[0])
				}
			},
			"unchanged": func(ts *testscript.TestScript, _ bool, _ []string) {
				v := get(ts)
				for end := time.Now().Add(5 * time.Second); v.state() != v.before; time.Sleep(20 * time.Millisecond) {
					if time.Now().After(end) {
						ts.Fatalf("the host is not as it was:\n%s\nbut was\n%s", v.state(), v.before)
					}
				}
			},
		},
	})
}
