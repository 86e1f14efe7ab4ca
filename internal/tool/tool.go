// Package tool has the container tools: for each its command line and the stages that it makes of it.
package tool

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/meter"
	"gomahi/packet"
	"gomahi/shell"
)

// A Tool is one kind of container.
type Tool interface {
	// Grammar is its command line.
	Grammar() *cli.Grammar
	// Set takes its own arguments after the options are filled in, and checks both.
	Set(args []string) error
	// Link makes the stages of both directions.
	Link(l *Link) error
	// Prefix is what it adds to prompts, such as "[delay 50 ms] ".
	Prefix() string
	common() *Common
}

// A Placer is a Tool whose container differs from the others'.
type Placer interface {
	Place(o *shell.Options)
}

// Link is what a tool makes its stages with, and where it puts them.
type Link struct {
	Args               []string // the command line
	Seed               uint64
	Start              time.Time // time 0 of the stages
	Uplink, Downlink   shell.Stage
	UpDrops, DownDrops effects.Observer
	Up, Down           measures
	Warn               func(string) // tells the user what is amiss though the command will run
	Stderr             io.Writer
	Finish             []func(time.Duration) error  // to be called at the end, with the time that it was
	random             atomic.Bool                  // numbers are drawn
	began              func() (time.Duration, bool) // when the scenario began, of tools that play one
	files              []string                     // that the tool reads or writes
}

// uses takes note of files that are read, which no output may overwrite.
func (l *Link) uses(files ...string) { l.files = append(l.files, files...) }

// create opens files for writing; see openOutputs.
func (l *Link) create(names ...string) (map[string]*output, error) {
	out, err := openOutputs(names, l.files)
	l.uses(names...)
	return out, err
}

// Random is a direction's own stream of the seed: "uplink", "downlink", or a name for what both share.
func (l *Link) Random(stream string) *rand.Rand {
	l.random.Store(true)
	return l.later(stream)
}

// later is Random of what draws nothing until it is changed.
func (l *Link) later(stream string) *rand.Rand { return effects.Random(l.Seed, stream) }

// Common are the options of every container tool.
type Common struct {
	Outside        string `placeholder:"WAY" enum:"auto,nat,gateway" default:"auto" help:"How the outside is reached: nat, gateway, or auto (auto)."`
	NoHostLoopback bool   `help:"Through a gateway: GM_BASE does not lead to the host's own servers."`
	Linger         string `placeholder:"TIME" default:"5s" help:"After the command's end deliver what it sent, for at most TIME (5s)."`
	Contain        bool   `help:"Give the command a PID namespace: nothing that it starts outlives the tool."`
	NoOffload      bool   `help:"Carry one packet per read and write: slower, with the rhythm of single packets."`
	Precise        bool   `help:"Spin through the last 300 us before a departure: exact, at the cost of a CPU."`
	Realtime       bool   `help:"Carry packets with real-time priority, and lock memory. It takes root."`
	Txqueuelen     *int   `placeholder:"FRAMES" help:"Frames that may wait on each device until they are read (8192)."`
	Verbose        bool   `short:"v" help:"Say the seed, and at the end what was carried, on standard error."`
	Reporting
	cli.Standard
	linger time.Duration
}

func (c *Common) common() *Common { return c }

// Seeded is the option of tools that draw random numbers.
type Seeded struct {
	Seed *uint64 `placeholder:"N" help:"Draw from this seed: the same seed and packets meet the same fate."`
}

// A Teller is a Tool that may say something in place of running a command.
type Teller interface {
	Tells() bool // as its command line asks
	Tell(w io.Writer, command []string) error
}

const optionsUsage = "[OPTION...] "

// Main runs a tool: it parses the arguments, starts the command and returns the exit status.
func Main(t Tool, args []string, stdout, stderr io.Writer) int {
	if shell.IsInit() {
		return shell.Init()
	}
	shell.EnterRoom()
	g, c := t.Grammar(), t.common()
	own, command, err := parse(t, args)
	told := false
	if err == nil {
		told, err = c.Answer(g, stdout)
	}
	if s, ok := t.(Teller); ok && err == nil && !told && s.Tells() {
		told, err = true, s.Tell(stdout, command)
	}
	levels, name, status := []*level{newLevel(t, args, own, stderr)}, g.Name, 0
	if f, ok := t.(interface{ fuses() bool }); err == nil && !told && ok && f.fuses() {
		levels, command, err = fuse(levels, command, stderr)
		name = levels[len(levels)-1].name
	}
	if err == nil && !told {
		name = g.Name
		status, err = run(levels, command, stderr)
	}
	if err != nil {
		cli.Report(stderr, name, err)
		return statusOf(err)
	}
	return status
}

// parse takes a command line apart and checks it, unless help or the version is all that it asks for.
func parse(t Tool, args []string) (own, command []string, err error) {
	own, command, err = t.Grammar().Parse(args)
	c := t.common()
	if err != nil || c.Asked() {
		return own, command, err
	}
	if c.linger, err = cli.Duration("linger", c.Linger, time.Second); err != nil {
		return nil, nil, err
	}
	if n := c.Txqueuelen; n != nil && (*n < 1 || *n > 1<<20) {
		return nil, nil, cli.Usagef("give a number of frames from 1 to 1048576", "--txqueuelen=%d", *n)
	}
	return own, command, t.Set(own)
}

func statusOf(err error) int {
	var usage *cli.UsageError
	var exit *shell.Exit
	switch {
	case errors.As(err, &usage):
		return shell.StatusUsage
	case errors.As(err, &exit):
		return exit.Status
	}
	return shell.StatusFailed
}

// run starts the command behind the links of the tools, the outermost first: mostly there is one.
func run(levels []*level, command []string, stderr io.Writer) (int, error) {
	if len(command) == 0 {
		command = []string{shell.LoginShell()}
	}
	path, err := shell.FindCommand(command[0])
	if err != nil {
		return 0, err
	}
	outer := levels[0]
	c := outer.common()
	o := shell.Options{
		Tool: outer.name[len("gm-"):], Levels: len(levels), Path: path, Argv: command,
		Outside: c.Outside, Loopback: !c.NoHostLoopback, Linger: c.linger,
	}
	for _, v := range levels {
		c := v.common()
		o.Prefix += v.Prefix()
		o.Contain = o.Contain || c.Contain
		o.NoOffload = o.NoOffload || c.NoOffload
		o.Precise = o.Precise || c.Precise
		o.Realtime = o.Realtime || c.Realtime
		if c.Txqueuelen != nil {
			o.TxQueueLen = max(o.TxQueueLen, *c.Txqueuelen)
		}
	}
	if s, ok := outer.Tool.(Placer); ok {
		s.Place(&o)
	}
	if shell.NeedsRoom(o.Outside) {
		status, err := shell.RunInRoom(o)
		return exit(status), err
	}
	o.Start, o.Warn = time.Now(), outer.link.Warn
	var files []string
	for _, v := range levels {
		v.link.uses(files...)
		if err := v.open(o.Start); err != nil {
			cli.Report(stderr, v.name, err)
			return statusOf(err), nil
		}
		files = v.link.files
	}
	strictest(levels)
	stop := watchAll(levels, &o)
	o.Uplink, o.Downlink = stages(levels)
	_, o.HoldEffect = os.LookupEnv("MAHIMAHI_PASSTHROUGH_UNTIL_SIGNAL")
	status, sum, err := shell.Run(o)
	stop()
	code := 0
	for _, v := range levels {
		if bad := v.finish(); bad != 0 {
			code = bad
		}
	}
	if err != nil {
		return 0, err
	}
	for i, v := range levels {
		code = v.conclude(share(sum, levels, i), status, code)
	}
	if status.Exited() && status.ExitStatus() == 0 {
		return code, nil
	}
	return exit(status), nil
}

// exit is a command's end as ours. It does not return if that was a signal and the kernel lets us die of it too.
func exit(status unix.WaitStatus) int {
	if status.Signaled() {
		shell.Die(status.Signal())
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// tally counts what befalls a direction's packets.
type tally struct {
	drops, others counts
	counter       *meter.Counter // of the meters
}

// Drop counts a packet that was dropped.
func (t *tally) Drop(now time.Duration, p packet.Packet, reason string) {
	t.drops.add(reason, p.Size)
	if t.counter != nil {
		t.counter.Drop(now, p, reason)
	}
}
func (t *tally) Count(what string) { t.others.add(what, 0) }

type counts []counted

type counted struct {
	name     string
	n, bytes uint64
}

func (c *counts) add(name string, size int32) {
	for i := range *c {
		if (*c)[i].name == name {
			(*c)[i].n++
			(*c)[i].bytes += uint64(size)
			return
		}
	}
	*c = append(*c, counted{name, 1, uint64(size)})
}

// copies is how many packets were added.
func (t *tally) copies() (n uint64) {
	for _, c := range t.others {
		if c.name == effects.Duplicated {
			n += c.n
		}
	}
	return n
}

// undelivered is how many packets were in the link at its end, of those that went in and out.
func (t *tally) undelivered(in, out uint64) uint64 {
	left := in - out + t.copies()
	for _, c := range t.drops {
		left -= c.n
	}
	return left
}

func summarize(w io.Writer, name, direction string, s shell.Traffic, t *tally) {
	fmt.Fprintf(w, "%s: %s: %d packets in (%d bytes), %d out (%d bytes)", name, direction, s.PacketsIn, s.BytesIn,
		s.PacketsOut, s.BytesOut)
	for _, c := range t.others {
		fmt.Fprintf(w, ", %d %s", c.n, c.name)
	}
	for _, c := range t.drops {
		fmt.Fprintf(w, ", %d dropped (%s)", c.n, c.name)
	}
	if left := t.undelivered(s.PacketsIn, s.PacketsOut); left > 0 {
		fmt.Fprintf(w, ", %d not delivered in time", left)
	}
	if s.Refused > 0 {
		fmt.Fprintf(w, ", %d refused by the kernel", s.Refused)
	}
	if s.Late.Packets > 0 {
		fmt.Fprintf(w, ", %d more than 1 ms late", s.Late.Packets)
	}
	fmt.Fprintf(w, "; at most %.3f ms late (99 %%: %.3f ms)\n", float64(s.Late.Max)/1e6, float64(s.Late.Quantile(0.99))/1e6)
}
