package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"gomahi/internal/cli"
	"gomahi/web"
	"gomahi/web/archive"
)

// options are a command's, and what it does with them.
type options interface {
	cli.CommandOptions
	base() *shared
	do() error
}

// shared is what all commands have.
type shared struct {
	cli.Arguments
	stdin          io.Reader
	stdout, stderr io.Writer
}

func (o *shared) base() *shared { return o }

// say tells what was done.
func (o *shared) say(format string, a ...any) { fmt.Fprintf(o.stderr, name+": "+format+"\n", a...) }

// commands are all of them, in the order of the help.
func commands() []*cli.Command {
	return []*cli.Command{
		cli.NewCommand("ls", "DIRECTORY", "List the exchanges of a recording.",
			[]string{"gm-webarchive ls site"}, 1, 1, new(ls)),
		cli.NewCommand("cat", "DIRECTORY URL", "Write the body of a response, as it came.",
			[]string{"gm-webarchive cat site https://example.org/", "gm-webarchive cat --headers site https://example.org/",
				"gm-webarchive cat --decode site https://example.org/app.js | less"}, 2, 2, new(cat)),
		cli.NewCommand("export", "--har DIRECTORY", "Write a recording as an HTTP archive (HAR), which browsers' developer tools open.",
			[]string{"gm-webarchive export --har site > site.har"}, 1, 1, new(export)),
		cli.NewCommand("import", "--har|--wprgo FILE DIRECTORY", "Make a recording of an HTTP archive (HAR) or of an archive of Catapult's Web Page Replay.",
			[]string{"gm-webarchive import --har site.har site", "gm-webarchive import --wprgo page.wprgo site"}, 2, 2, new(imports)),
		cli.NewCommand("strip", "DIRECTORY NEW", "Copy a recording without cookies and authorizations, to share it.",
			[]string{"gm-webarchive strip site public", `gm-webarchive strip --header=X-Token --drop='^https://ads\.' site public`}, 2, 2, new(strip)),
		cli.NewCommand("merge", "NEW DIRECTORY...", "Make one recording of several.",
			[]string{"gm-webarchive merge all monday tuesday"}, 2, 1<<20, new(merge)),
		cli.NewCommand("verify", "DIRECTORY", "Read every file of a recording, and say which are no whole exchange.",
			[]string{"gm-webarchive verify site"}, 1, 1, new(verify)),
	}
}

// load reads a recording that the user named.
func load(dir string) ([]*web.Exchange, error) {
	all, err := web.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Usagef("name a directory that gm-webrecord made", "%v", err)
	}
	return all, err
}

// create makes a new recording's directory and has it filled, or leaves nothing.
func create(dir string, fill func(*web.Dir) error) error {
	d, err := web.Create(dir, false)
	if err != nil {
		return cli.Usagef("name a directory that is not there yet", "%v", err)
	}
	if err := fill(d); err != nil {
		os.RemoveAll(dir) // half of it is no recording
		return err
	}
	return nil
}

// open is a file that the user named, or standard input.
func (o *shared) open(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(o.stdin), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, cli.Usagef("name a file that can be read, or -", "%v", err)
	}
	return f, nil
}

type ls struct{ shared }

func (o *ls) do() error {
	all, err := load(o.Args[0])
	if err != nil {
		return err
	}
	return archive.List(o.stdout, all)
}

type cat struct {
	Headers bool   `help:"Write the heads of the request and the response before it."`
	Decode  bool   `help:"Undo its Content-Encoding: gzip, deflate, br or zstd."`
	Method  string `placeholder:"METHOD" default:"GET" help:"Of the request (GET)."`
	shared
}

func (o *cat) do() error {
	all, err := load(o.Args[0])
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.URL() == o.Args[1] && strings.EqualFold(x.Method(), o.Method) {
			return o.write(x)
		}
	}
	return cli.Usagef("gm-webarchive ls "+o.Args[0]+" lists what there is", "%s has no %s %s", o.Args[0], o.Method, o.Args[1])
}

func (o *cat) write(x *web.Exchange) error {
	w := bufio.NewWriter(o.stdout)
	if o.Headers {
		for _, m := range []*web.Message{&x.Request, &x.Response} {
			fmt.Fprintln(w, m.First)
			for _, f := range m.Sent() {
				fmt.Fprintf(w, "%s: %s\n", f.Name, f.Value)
			}
			fmt.Fprintln(w)
		}
	}
	body := x.Response.Body.Bytes()
	if codings := x.Response.Values("Content-Encoding"); o.Decode && len(codings) > 0 {
		var err error
		if body, err = archive.Decode(strings.Join(codings, ", "), body); err != nil {
			return err
		}
	}
	w.Write(body)
	return w.Flush()
}

type export struct {
	HAR bool `name:"har" help:"As an HTTP archive."`
	shared
}

func (o *export) do() error {
	if !o.HAR {
		return cli.Usagef("give --har", "the format is missing")
	}
	all, err := load(o.Args[0])
	if err != nil {
		return err
	}
	w := bufio.NewWriter(o.stdout)
	if err := archive.ExportHAR(w, cli.Version(name), all); err != nil {
		return err
	}
	return w.Flush()
}

type imports struct {
	HAR   bool `name:"har" help:"FILE is an HTTP archive."`
	WPRGo bool `name:"wprgo" help:"FILE is an archive of Web Page Replay."`
	shared
}

func (o *imports) do() error {
	if o.HAR == o.WPRGo {
		return cli.Usagef("give --har or --wprgo", "the format is missing, or there are two")
	}
	f, err := o.open(o.Args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	read := archive.ImportHAR
	if o.WPRGo {
		read = archive.ImportWPRGo
	}
	return create(o.Args[1], func(d *web.Dir) error {
		stored, left, err := read(bufio.NewReader(f), func(x *web.Exchange) error {
			_, err := d.Write(x)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", o.Args[0], err)
		}
		o.say("%d exchanges, %d left out that are no HTTP or have no response, or not its body", stored, left)
		return nil
	})
}

type strip struct {
	Header []string `placeholder:"NAME" help:"Also take out this header; may be given several times."`
	Drop   string   `placeholder:"REGEXP" help:"Leave out exchanges whose URL matches."`
	shared
}

func (o *strip) do() error {
	var drop *regexp.Regexp
	if o.Drop != "" {
		var err error
		if drop, err = regexp.Compile(o.Drop); err != nil {
			return cli.Usagef("see https://pkg.go.dev/regexp/syntax", "--drop: %v", err)
		}
	}
	all, err := load(o.Args[0])
	if err != nil {
		return err
	}
	return create(o.Args[1], func(d *web.Dir) error {
		n := 0
		for _, x := range all {
			if !archive.Strip(x, o.Header, drop) {
				continue
			}
			n++
			if x.Order == 0 { // the original's, whose files' times the copies do not have
				x.Order = web.Placed + uint64(n)
			}
			if _, err := d.Write(x); err != nil {
				return err
			}
		}
		o.say("%d exchanges, %d left out", n, len(all)-n)
		return nil
	})
}

type merge struct{ shared }

func (o *merge) do() error {
	var recordings [][]*web.Exchange
	for _, dir := range o.Args[1:] {
		all, err := load(dir)
		if err != nil {
			return err
		}
		recordings = append(recordings, all)
	}
	return create(o.Args[0], func(d *web.Dir) error {
		n, err := archive.Merge(d, recordings)
		if err == nil {
			o.say("%d exchanges", n)
		}
		return err
	})
}

type verify struct{ shared }

func (o *verify) do() error {
	n := 0
	good, err := archive.Verify(o.Args[0], func(err error) {
		n++
		fmt.Fprintln(o.stdout, err)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cli.Usagef("name a directory that gm-webrecord made", "%v", err)
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%d of %d files are no whole exchange\nhint: remove them, and the rest can be replayed", n, n+good)
	}
	o.say("%d exchanges, all whole", good)
	return nil
}
