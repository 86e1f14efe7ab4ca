// Package control is how running tools are talked to: each has a socket in its user's runtime directory, at which it
// answers HTTP with JSON. Only the same user may.
package control

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const suffix = ".sock"

// longest is what a socket's path may have (sun_path, unix(7)), and room what its name within the runtime directory takes.
const longest, room = 107, 47

// Dir is the directory of the user's sockets, which is made if it is not there: in $XDG_RUNTIME_DIR, if that is the user's
// own, else one for the user in /tmp.
func Dir() (string, error) {
	return dirIn(os.Getenv("XDG_RUNTIME_DIR"), "/tmp", os.Geteuid())
}

func dirIn(runtime, temp string, uid int) (string, error) {
	if filepath.IsAbs(runtime) && len(runtime) <= longest-room && private(runtime, uid) == nil {
		dir := filepath.Join(runtime, "gomahi")
		if err := makePrivate(dir, uid); err == nil {
			return dir, nil
		}
	}
	dir := filepath.Join(temp, fmt.Sprint("gomahi-", uid))
	return dir, makePrivate(dir, uid)
}

func makePrivate(dir string, uid int) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return private(dir, uid)
}

// private says what is wrong with a directory that should be its user's alone: another may have made it.
func private(dir string, uid int) error {
	var s unix.Stat_t
	if err := unix.Lstat(dir, &s); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	switch {
	case s.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(s.Uid) != uid:
		return fmt.Errorf("%s belongs to user %d, not to you (%d)", dir, s.Uid, uid)
	case s.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o)", dir, s.Mode&0o7777)
	}
	return nil
}

// A Server answers at a tool's socket.
type Server struct {
	Path     string
	handlers map[string]Handler
	listener own
}

// Listen makes a tool's socket, and removes those that others have left behind. Its name has the tool and the process as
// that knows itself, and something that no other has: in PID namespaces numbers are used again.
func Listen(tool string) (*Server, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	sweep(dir)
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-%.8s%s", tool, os.Getpid(), strings.ToLower(rand.Text()), suffix))
	if len(path) > longest {
		return nil, fmt.Errorf("%s is too long for a socket", path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return &Server{Path: path, handlers: map[string]Handler{}, listener: own{l.(*net.UnixListener)}}, nil
}

// Handle says who answers, before Serve: to "GET /v1/stage", say.
func (s *Server) Handle(what string, h Handler) { s.handlers[what] = h }

// Names are what there is to ask for, such as "GET /v1/stage".
func (s *Server) Names() []string { return slices.Sorted(maps.Keys(s.handlers)) }

// Serve begins to answer.
func (s *Server) Serve() {
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			go s.converse(c)
		}
	}()
}

// Close removes the socket.
func (s *Server) Close() { s.listener.Close() }

// sweep removes the sockets at which nobody listens any more.
func sweep(dir string) {
	for _, path := range in(dir) {
		if running(path) {
			continue
		}
		c, err := net.Dial("unix", path)
		if errors.Is(err, unix.ECONNREFUSED) {
			os.Remove(path)
		}
		if err == nil {
			c.Close()
		}
	}
}

// running says whether a socket's name is that of a tool and its process, so that hundreds need not be asked.
func running(path string) bool {
	words := strings.Split(filepath.Base(path), "-") // gm-delay-1234-abcdefgh.sock
	if len(words) != 4 {
		return false
	}
	stat, _ := os.ReadFile("/proc/" + words[2] + "/stat") // "1234 (gm-delay) S ...", Z for a zombie
	_, rest, ok := strings.Cut(string(stat), "("+words[0]+"-"+words[1]+") ")
	return ok && !strings.HasPrefix(rest, "Z")
}

func in(dir string) []string {
	all, _ := filepath.Glob(filepath.Join(dir, "gm-*"+suffix))
	return all
}

// own accepts connections from the same user alone, whatever the directory's mode has become.
type own struct{ *net.UnixListener }

func (l own) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if who, err := peer(c); err == nil && int(who.Uid) == os.Geteuid() {
			return c, nil
		}
		c.Close()
	}
}

func peer(c *net.UnixConn) (who *unix.Ucred, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := raw.Control(func(fd uintptr) {
		who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return nil, e
	}
	return who, err
}

// A Client asks a tool.
type Client struct{ Path string }

// patience is how long a tool may take to answer: it may be stopped.
const patience = 5 * time.Second

// Dial makes a Client. It connects when it is used.
func Dial(path string) *Client { return &Client{path} }

// Get asks for what is at a path such as "/v1/stage".
func (c *Client) Get(path string, answer any) error { return c.do("GET", path, nil, answer) }

// Post sends something, and takes the answer unless that is nil. A tool that does not want it answers with a Refusal.
func (c *Client) Post(path string, what, answer any) error {
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return c.do("POST", path, b, answer)
}

func (c *Client) do(method, path string, body []byte, answer any) error {
	n, err := net.DialTimeout("unix", c.Path, patience)
	if err != nil {
		return err
	}
	return ask(n, method, path, body, answer)
}

// PID is the process that listens, as this process's PID namespace knows it; 0 if it does not.
func (c *Client) PID() (int, error) {
	n, err := net.Dial("unix", c.Path)
	if err != nil {
		return 0, err
	}
	defer n.Close()
	who, err := peer(n.(*net.UnixConn))
	if err != nil {
		return 0, err
	}
	return int(who.Pid), nil
}

// Running has a Client for each of the user's running tools.
func Running() ([]*Client, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	sweep(dir)
	var all []*Client
	for _, path := range in(dir) {
		all = append(all, Dial(path))
	}
	return all, nil
}
