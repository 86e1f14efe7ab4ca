package tui

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A tape has the end of what the command has written, and the size of its pane, in memory that outlives this process: the
// guard shows the last screen of a command whose tool has crashed. It is mapped, so that writing it costs a copy.
type tape struct {
	*os.File
	mem []byte
}

// Where things are on a tape: how much has been written to it so far, the pane's size, and what was written, in a ring.
const (
	tapeSize  = 8
	tapeStart = 16
	tapeLong  = 256 << 10
)

func newTape() (*tape, error) {
	fd, err := unix.MemfdCreate("gm-screen", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	t := &tape{File: os.NewFile(uintptr(fd), "gm-screen")}
	if err := t.Truncate(tapeLong); err != nil {
		t.File.Close()
		return nil, err
	}
	if t.mem, err = unix.Mmap(fd, 0, tapeLong, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.File.Close()
		return nil, os.NewSyscallError("mmap", err)
	}
	return t, nil
}

func (t *tape) Close() error {
	unix.Munmap(t.mem)
	return t.File.Close()
}

func (t *tape) sized(w, h int) {
	binary.NativeEndian.PutUint32(t.mem[tapeSize:], uint32(w))
	binary.NativeEndian.PutUint32(t.mem[tapeSize+4:], uint32(h))
}

func (t *tape) Write(b []byte) (n int, err error) {
	ring := t.mem[tapeStart:]
	total := binary.NativeEndian.Uint64(t.mem)
	for rest := b; len(rest) > 0; {
		n := copy(ring[total%uint64(len(ring)):], rest)
		total, rest = total+uint64(n), rest[n:]
	}
	binary.NativeEndian.PutUint64(t.mem, total)
	return len(b), nil
}

// replay is the last screen of what a tape has.
func replay(tape io.ReaderAt) (lines []string) {
	b := make([]byte, tapeLong)
	if _, err := tape.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil
	}
	w, h := int(binary.NativeEndian.Uint32(b[tapeSize:])), int(binary.NativeEndian.Uint32(b[tapeSize+4:]))
	total, ring := binary.NativeEndian.Uint64(b), b[tapeStart:]
	if w < 1 || h < 1 {
		return nil // there was no command
	}
	p := newPane(w, h, io.Discard)
	defer p.close()
	if at := total % uint64(len(ring)); total > uint64(len(ring)) {
		_, whole, _ := bytes.Cut(ring[at:], []byte("\n")) // not in the middle of a sequence
		p.Write(whole)
		p.Write(ring[:at])
	} else {
		p.Write(ring[:total])
	}
	return p.last()
}
