package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An Exit is the end of a tool with a status that says where it failed, as env and nohup have it.
type Exit struct {
	Status int
	Err    error
}

func (e *Exit) Error() string { return e.Err.Error() }
func (e *Exit) Unwrap() error { return e.Err }

// Statuses of a tool that are not its command's.
const (
	StatusUsage     = 2
	StatusFailed    = 125 // a failure of our own
	StatusCannotRun = 126
	StatusNotFound  = 127
)

// FindCommand returns the path of a command as a shell would find it. The error is an *Exit.
func FindCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, exec.ErrNotFound) && inPath(name):
		return "", &Exit{StatusCannotRun, fmt.Errorf("cannot run %q: %w", name, unix.EACCES)}
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", &Exit{StatusNotFound, fmt.Errorf("cannot run %q: command not found", name)}
	}
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "", &Exit{StatusCannotRun, fmt.Errorf("cannot run %q: %w", name, err)}
}

// inPath says whether PATH leads to a file of this name at all.
func inPath(name string) bool {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if i, err := os.Stat(filepath.Join(dir, name)); err == nil && !i.IsDir() {
			return true
		}
	}
	return false
}

// LoginShell is the user's shell by /etc/passwd, else by the environment, else /bin/sh.
func LoginShell() string {
	passwd, _ := os.ReadFile("/etc/passwd")
	for line := range bytes.Lines(passwd) {
		f := bytes.Split(bytes.TrimSpace(line), []byte(":"))
		if len(f) == 7 && string(f[2]) == fmt.Sprint(os.Getuid()) && len(f[6]) > 0 {
			return string(f[6])
		}
	}
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}

// start runs a program from the calling thread, in its namespaces, in our process group and with our terminal. It gets
// SIGKILL when the thread exits. A file that the kernel has no format for is a shell script, as for execvp(3).
func start(path string, argv, env []string, sys syscall.SysProcAttr) (pid int, err error) {
	return startWith([]uintptr{0, 1, 2}, path, argv, env, sys)
}

// startWith is start with these descriptors in place of the terminal's, numbered from 0.
func startWith(files []uintptr, path string, argv, env []string, sys syscall.SysProcAttr) (pid int, err error) {
	sys.Pdeathsig = syscall.SIGKILL
	attr := &syscall.ProcAttr{Env: env, Files: files, Sys: &sys}
	pid, err = syscall.ForkExec(path, argv, attr)
	if err == unix.ENOEXEC {
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"sh", path}, argv[1:]...), attr)
	}
	if err != nil {
		return 0, &Exit{StatusCannotRun, fmt.Errorf("cannot run %q: %w", path, err)}
	}
	return pid, nil
}

// await tells every stop and the end of a child of ours, as wait4's statuses; pid -1 awaits all children but tells only
// of the given one.
func await(pid, only int, tell func(unix.WaitStatus)) error {
	for {
		var s unix.WaitStatus
		got, err := unix.Wait4(pid, &s, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("waiting for the command: %w", err)
		case got != only || s.Stopped() && !stillStopped(got):
			continue
		}
		tell(s)
		if !s.Stopped() {
			return nil
		}
	}
}

// stillStopped says whether a stopped process is so for longer than a moment. A SIGSTOP to the whole job stops us
// together with the command; when the job goes on, we may see its stop before it has been continued.
func stillStopped(pid int) bool {
	time.Sleep(20 * time.Millisecond)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" "))
	return len(state) > 0 && state[0] == 'T'
}
