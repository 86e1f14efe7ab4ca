package shell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gatewayName is the program that carries on, through ordinary sockets, what comes out of a room.
const gatewayName = "gm-gateway"

// findGateway returns the program's path: beside this one, else on PATH.
func findGateway() (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), gatewayName)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(gatewayName)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside this program nor on PATH, and without root the way out leads "+
			"through it\nhint: install all of gomahi into one directory (make install)", gatewayName)
	}
	return path, nil
}

// gateway is a running one. It ends with its starter, and when its starter closes the control socket: then it first
// delivers what it has taken in.
type gateway struct {
	pid     int
	control *os.File
	ended   chan error
}

// startGateway serves the device from the calling process's namespace, and returns when it does.
func startGateway(path string, device int, args []string) (*gateway, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	g := &gateway{control: os.NewFile(uintptr(pair[0]), "control"), ended: make(chan error, 1)}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	argv := append([]string{gatewayName, "--device=3", "--control=4"}, args...)
	onThread(func() {
		g.pid, err = startWith([]uintptr{null.Fd(), null.Fd(), 2, uintptr(device), uintptr(pair[1])}, path, argv, os.Environ(),
			syscall.SysProcAttr{Setpgid: true}) // what the terminal sends is not for it
	})
	null.Close()
	unix.Close(pair[1])
	if err != nil {
		return nil, err
	}
	go func() {
		await(g.pid, g.pid, func(s unix.WaitStatus) {
			if s.Signaled() {
				g.ended <- fmt.Errorf("the gateway (%s) died: %v", gatewayName, s.Signal())
			} else if !s.Stopped() {
				g.ended <- fmt.Errorf("the gateway (%s) ended with status %d", gatewayName, s.ExitStatus())
			}
		})
	}()
	g.control.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := g.control.Read(make([]byte, 1)); n == 0 {
		return nil, errors.Join(fmt.Errorf("the gateway (%s) did not start", gatewayName), err)
	}
	return g, nil
}

// finish lets the gateway deliver what it has for at most a time, and ends it.
func (g *gateway) finish(most time.Duration) {
	g.control.Close()
	select {
	case <-g.ended:
	case <-time.After(most):
		unix.Kill(g.pid, unix.SIGKILL)
		<-g.ended
	}
}
