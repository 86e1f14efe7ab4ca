package tool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gomahi/internal/cli"
	"gomahi/internal/control"
	"gomahi/meter"
)

// member is a stage of a run that is going.
type member struct {
	stage
	client *control.Client
	pid    int // as we know it
	silent bool
}

// going are the stages of all runs of the user, run by run, the outermost first; and processes that do not answer.
func going() (runs [][]*member, silent []int, err error) {
	clients, err := control.Running()
	if err != nil {
		return nil, nil, err
	}
	all := make([]*member, len(clients))
	var asked sync.WaitGroup
	for i, c := range clients { // all at once: some may be stopped
		asked.Go(func() {
			m := &member{client: c}
			var err error
			if m.pid, err = c.PID(); err != nil {
				return // it has just ended
			}
			all[i] = m
			m.silent = c.Get("/v1/stage", &m.stage) != nil
		})
	}
	asked.Wait()
	of := map[string][]*member{}
	for _, m := range all {
		switch {
		case m == nil:
		case !m.silent:
			of[m.Run] = append(of[m.Run], m)
		case !slices.Contains(silent, m.pid):
			silent = append(silent, m.pid)
		}
	}
	for _, run := range of {
		slices.SortFunc(run, func(a, b *member) int { return int(a.Since - b.Since) })
		runs = append(runs, run)
	}
	slices.SortFunc(runs, func(a, b []*member) int { return int(a[0].Since - b[0].Since) })
	return runs, silent, nil
}

// attach is gm-meter --attach.
func (m *Meter) attach(args []string, stdin io.Reader, stderr io.Writer) error {
	if len(args) > 1 {
		return cli.Usagef("usage: gm-meter --attach [PID]", "%q is too much", args[1])
	}
	pid := 0
	if len(args) == 1 {
		var err error
		if pid, err = strconv.Atoi(args[0]); err != nil || pid < 1 {
			return cli.Usagef("give the number of a tool's process, or none to choose", "%q is no process", args[0])
		}
	}
	if m.Plain || m.Json {
		return cli.Usagef("leave out --attach, or the other", "--attach draws")
	}
	if m.drawer == nil || !m.drawer.Usable() {
		return errors.New("there is no terminal to draw on\nhint: --attach needs one as standard input and output")
	}
	runs, _, err := going()
	if err != nil {
		return err
	}
	run, err := choose(runs, pid, stdin, stderr)
	if err != nil {
		return err
	}
	w := watch{run: run[0].Run, known: map[string]bool{}, over: make(chan struct{})}
	w.look()
	go w.follow()
	return m.drawer.Watch(meter.Look{Layout: m.Layout, Share: m.share, Graphs: w.graphs}, w.over)
}

// choose finds the run that a process belongs to, or asks.
func choose(runs [][]*member, pid int, stdin io.Reader, stderr io.Writer) ([]*member, error) {
	if len(runs) == 0 {
		return nil, errors.New("none of your tools is running\nhint: only the user who started a tool can attach to it")
	}
	if pid != 0 {
		for _, run := range runs {
			if slices.ContainsFunc(run, func(m *member) bool { return m.pid == pid }) {
				return run, nil
			}
		}
		return nil, fmt.Errorf("no tool of yours is process %d\nhint: without a number gm-meter --attach lists them", pid)
	}
	if len(runs) == 1 {
		return runs[0], nil
	}
	for i, run := range runs {
		var titles []string
		for _, m := range run {
			titles = append(titles, m.Title)
		}
		fmt.Fprintf(stderr, "%3d  %s %s  (process %d, for %v)\n", i+1, strings.Join(titles, " "),
			strings.Join(run[len(run)-1].Command, " "), run[0].pid, (meter.Clock() - run[0].Since).Round(time.Second))
	}
	fmt.Fprintf(stderr, "which (1-%d)? ", len(runs))
	answer, err := bufio.NewReader(stdin).ReadString('\n')
	n, bad := strconv.Atoi(strings.TrimSpace(answer))
	if err != nil || bad != nil || n < 1 || n > len(runs) {
		return nil, fmt.Errorf("%q is none of them", strings.TrimSpace(answer))
	}
	return runs[n-1], nil
}

// watch keeps the graphs of a run, whose stages come and go.
type watch struct {
	run  string
	over chan struct{}

	lock  sync.Mutex
	known map[string]bool // sockets
	all   []meter.Graph
}

// look finds stages that are new, and says whether there is any.
func (w *watch) look() bool {
	runs, _, err := going()
	if err != nil {
		return false
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	w.all = slices.DeleteFunc(w.all, func(g meter.Graph) bool { return g.Source.(*remote).over() })
	for _, run := range runs {
		for _, m := range run {
			if m.Run == w.run && !w.known[m.client.Path] {
				w.known[m.client.Path] = true
				w.all = append(w.all, m.graphs(m.Graphs, func(g shown) meter.Source { return newRemote(m.client, g.Direction) })...)
			}
		}
	}
	return len(w.all) > 0
}

// follow ends when nothing of the run is left.
func (w *watch) follow() {
	for w.look() {
		time.Sleep(time.Second)
	}
	close(w.over)
}

func (w *watch) graphs() []meter.Graph {
	w.lock.Lock()
	defer w.lock.Unlock()
	return slices.Clone(w.all)
}

func (m *Meter) Tells() bool { return m.Attach }

// tell attaches.
func (m *Meter) Tell(_ io.Writer, args []string) error { return m.attach(args, os.Stdin, os.Stderr) }
