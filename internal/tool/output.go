package tool

import (
	"errors"
	"fmt"
	"os"

	"gomahi/internal/cli"
)

// output is a file to write, which several may share: it is closed when the last has.
type output struct {
	*os.File
	users int
}

func (o *output) Close() error {
	if o.users--; o.users > 0 {
		return nil
	}
	return o.File.Close()
}

// openOutputs opens files for writing, of which those that are "" are not wanted. No two are one file, and none is one in
// use. If it fails, nothing is left that was not there.
func openOutputs(names, inUse []string) (map[string]*output, error) {
	out := map[string]*output{}
	var made []string
	fail := func(err error) (map[string]*output, error) {
		for _, o := range out {
			o.File.Close()
		}
		for _, name := range made {
			os.Remove(name)
		}
		return nil, err
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		_, err := os.Stat(name)
		isNew := errors.Is(err, os.ErrNotExist)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return fail(cli.Usagef("give a file that can be written", "%v", err))
		}
		if isNew {
			made = append(made, name)
		}
		here, err := f.Stat()
		if err != nil {
			return fail(err)
		}
		if here.Mode().IsRegular() {
			for other, o := range out {
				if there, err := o.Stat(); err == nil && os.SameFile(here, there) {
					f.Close()
					return fail(cli.Usagef("give each a file of its own", "%q and %q are one file", other, name))
				}
			}
			if err := spare(name, here, inUse); err != nil {
				f.Close()
				return fail(err)
			}
		}
		if out[name] != nil { // a terminal, say
			f.Close()
			continue
		}
		out[name] = &output{File: f}
	}
	for name, o := range out {
		if s, err := o.Stat(); err == nil && s.Mode().IsRegular() {
			if err := o.Truncate(0); err != nil {
				return fail(fmt.Errorf("emptying %s: %w", name, err))
			}
		}
	}
	return out, nil
}

// spare is an error where the file of a name, to be written, is one of those in use.
func spare(name string, file os.FileInfo, inUse []string) error {
	for _, used := range inUse {
		if there, err := os.Stat(used); err == nil && os.SameFile(file, there) {
			return cli.Usagef("give another file to write", "%q is in use and would be overwritten", name)
		}
	}
	return nil
}
