package web

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// hiddenPrefix begins the names of files that are not complete. Only file systems without O_TMPFILE ever show one.
const hiddenPrefix = ".save-"

// ErrExists is why Create makes no recording of a directory that is there.
var ErrExists = errors.New("it exists already")

// A Dir is a recording's directory.
type Dir struct{ path string }

// Create makes the directory of a new recording, or, if more is set, goes on with one that may be there.
func Create(path string, more bool) (*Dir, error) {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, serr := os.Stat(path)
		switch {
		case serr != nil:
			return nil, serr
		case !info.IsDir():
			return nil, fmt.Errorf("%s is not a directory", path)
		case !more:
			return nil, fmt.Errorf("%s: %w", path, ErrExists)
		}
		return &Dir{path}, unix.Access(path, unix.W_OK)
	}
	return &Dir{path}, err
}

// Path is where it is.
func (d *Dir) Path() string { return d.path }

// Write stores an exchange in a file of its own, which is there complete or not at all, and returns its name.
func (d *Dir) Write(x *Exchange) (name string, err error) {
	f, placed, err := d.place(x)
	hidden := ""
	if f == nil && err == nil {
		f, err = tmpfile(d.path)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // not with this file system or kernel
			if f, err = os.CreateTemp(d.path, hiddenPrefix); err == nil {
				hidden = f.Name()
			}
		}
		if err == nil {
			defer f.Close()
		}
	}
	if err != nil {
		return "", fmt.Errorf("storing an exchange in %s: %w", d.path, err)
	}
	for _, part := range x.marshal(placed) {
		if err = part.copyTo(f); err != nil {
			break
		}
	}
	for err == nil {
		name = filepath.Join(d.path, "save."+rand.Text()[:6])
		if hidden != "" {
			err = unix.Renameat2(unix.AT_FDCWD, hidden, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
		} else {
			err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
		}
		if err == nil {
			return name, nil
		}
		if errors.Is(err, unix.EEXIST) {
			err = nil // another name, then
		}
	}
	if hidden != "" {
		os.Remove(hidden)
	}
	return "", fmt.Errorf("storing an exchange in %s: %w", d.path, err)
}

// place makes the file that holds a body of the exchange already, and of which nothing else is written yet, the one to
// store it in: a large body is not written twice. There may be none.
func (d *Dir) place(x *Exchange) (*os.File, protowire.Number, error) {
	b, field := &x.Response.Body, protowire.Number(fieldResponse)
	if b.dir != d.path {
		b, field = &x.Request.Body, fieldRequest
	}
	if b.dir != d.path {
		return nil, 0, nil
	}
	b.dir = "" // there is one name for it
	if _, err := b.file.WriteAt(lead(field, b.size), 0); err != nil {
		return nil, 0, err
	}
	_, err := b.file.Seek(b.at+b.size, io.SeekStart)
	return b.file, field, err
}

// Files are the names of a recording's files.
func Files(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	return names, nil
}

// Read reads a stored exchange. Its bodies stay in the file, which stays mapped.
func Read(name string) (*Exchange, error) {
	b, err := mapped(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	x, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s is not a recorded exchange: %w", name, err)
	}
	x.File = name
	x.Response.unchunk()
	return x, nil
}

// mapped is the content of a file. A small one is copied: a mapping takes a page, and the kernel allows 65530 of them.
func mapped(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // or a FIFO would have us wait for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if n := info.Size(); n > 16<<10 {
		return unix.Mmap(int(f.Fd()), 0, int(n), unix.PROT_READ, unix.MAP_PRIVATE)
	}
	return os.ReadFile(name)
}

// Placed is what an Exchange's Order is above where it is a place that was given to it, by which it comes whenever it
// began. Recorders count from 1 in each run, and only the time says which run was first.
const Placed = 1 << 32

// Load reads a whole recording, in the order in which its requests began, or in the one that they were given. The
// original's files do not say that; they come by the time at which they were written, before all others.
func Load(path string) ([]*Exchange, error) {
	names, err := Files(path)
	if err != nil {
		return nil, err
	}
	var all []*Exchange
	written := map[*Exchange]int64{}
	for _, name := range names {
		x, err := Read(name)
		if err != nil {
			return nil, fmt.Errorf("%w\nhint: gm-webarchive verify %s lists all such files", err, path)
		}
		if info, err := os.Stat(name); err == nil {
			written[x] = info.ModTime().UnixNano()
		}
		all = append(all, x)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no recorded exchanges\nhint: gm-webrecord makes such directories", path)
	}
	slices.SortFunc(all, func(a, b *Exchange) int {
		kind := a.ordered()
		if other := b.ordered(); other != kind {
			return cmp.Compare(kind, other)
		}
		switch kind {
		case unordered:
			return cmp.Or(cmp.Compare(written[a], written[b]), cmp.Compare(a.File, b.File))
		case placed:
			return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.File, b.File))
		}
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Order, b.Order), cmp.Compare(a.File, b.File))
	})
	return all, nil
}

// The kinds of exchanges by what their order says, in the order in which they come: what was appended to a merged
// recording comes after it.
const (
	unordered = iota
	placed
	counted
)

func (x *Exchange) ordered() int {
	switch {
	case x.Order == 0:
		return unordered
	case x.Order > Placed:
		return placed
	}
	return counted
}
