package web

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A Body is bytes in memory, a stored file's mapping included, or within a file.
type Body struct {
	data []byte
	file *os.File
	at   int64 // where it begins there
	size int64
	dir  string // where the file can become a stored one, of which the body is at its place already; "" if nowhere
}

// Bytes is a body in memory.
func Bytes(b []byte) Body { return Body{data: b, size: int64(len(b))} }

// Size is its length.
func (b Body) Size() int64 { return b.size }

// Reader reads it from its beginning.
func (b Body) Reader() io.Reader {
	if b.file != nil {
		return io.NewSectionReader(b.file, b.at, b.size)
	}
	return bytes.NewReader(b.data)
}

// Bytes is the body itself, which for one in a file is nil.
func (b Body) Bytes() []byte { return b.data }

// copyTo writes the body to a file. What is in a file already the kernel copies, where it can.
func (b Body) copyTo(to *os.File) error {
	if b.file == nil {
		_, err := to.Write(b.data)
		return err
	}
	if _, err := b.file.Seek(b.at, io.SeekStart); err != nil {
		return err
	}
	n, err := io.CopyN(to, b.file, b.size)
	if err == nil && n != b.size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// block is how much is written to a file at once, and the most of a body under way that is not in one. Blocks begin at
// multiples of their size, or the kernel would take twice as long for its pages.
const block = 128 << 10

// A Spool takes in a body of any length: a short one in memory, a long one in a file without a name, which ends with us.
type Spool struct {
	dir   string
	buf   []byte // what is not in the file yet; in the first, room for the lead
	file  *os.File
	named bool // the file can be given a name
	size  int64
	err   error
}

// Spool makes one for a body that will be stored here.
func (d *Dir) Spool() *Spool { return &Spool{dir: d.path, buf: make([]byte, leadSize)} }

// Write takes in the next bytes. It never fails: a body that could not be kept is no reason to stop what it passes
// through; Body says what was wrong.
func (s *Spool) Write(p []byte) (int, error) {
	n := len(p)
	s.size += int64(n)
	for s.err == nil && len(s.buf)+len(p) > block {
		fits := block - len(s.buf)
		s.buf = append(s.buf, p[:fits]...)
		p = p[fits:]
		s.flush()
	}
	if s.err == nil {
		s.buf = append(s.buf, p...)
	}
	return n, nil
}

func (s *Spool) flush() {
	if s.file == nil {
		if s.file, s.named, s.err = unnamed(s.dir); s.err != nil {
			return
		}
	}
	_, s.err = s.file.Write(s.buf)
	s.buf = s.buf[:0]
}

// Body is what has been written.
func (s *Spool) Body() (Body, error) {
	if s.file == nil || s.err != nil {
		return Bytes(s.buf[min(leadSize, len(s.buf)):]), s.err
	}
	s.flush()
	b := Body{file: s.file, at: leadSize, size: s.size}
	if s.named && s.size <= mostInPlace {
		b.dir = s.dir
	}
	return b, s.err
}

// Close gives up the spool and the Body made of it.
func (s *Spool) Close() {
	if s.file != nil {
		s.file.Close()
	}
}

// unnamed makes a file in a directory that has no name there, but can be given one (O_TMPFILE); or, where the file system
// knows no such, one whose name is removed for good at once.
func unnamed(dir string) (f *os.File, named bool, err error) {
	if f, err = tmpfile(dir); err == nil {
		return f, true, nil
	}
	if f, err = os.CreateTemp(dir, hiddenPrefix); err != nil {
		return nil, false, err
	}
	return f, false, os.Remove(f.Name())
}

func tmpfile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a file in %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), dir+"/(unnamed)"), nil
}
