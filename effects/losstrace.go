package effects

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"gomahi/packet"
)

// ParseLossTrace reads what became of packets, one after the other: 1 for lost, 0 for not. White space, and what follows
// a # in its line, mean nothing. Errors name the line, and give a hint behind "\nhint: ".
func ParseLossTrace(name string, r io.Reader) (lost []byte, err error) {
	in := bufio.NewReader(r)
	line, comment := 1, false
	for {
		c, err := in.ReadByte()
		switch {
		case err == io.EOF && len(lost) == 0:
			return nil, fmt.Errorf("%s: it has no packets\nhint: give a 0 for each packet that passes, and a 1 for each that is lost", name)
		case err == io.EOF:
			return lost, nil
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w", name, err)
		case c == '\n':
			line, comment = line+1, false
		case comment, c == ' ', c == '\t', c == '\r':
		case c == '#':
			comment = true
		case c == '0', c == '1':
			lost = append(lost, c-'0')
		default:
			return nil, fmt.Errorf("%s:%d: %q is neither 0 nor 1\nhint: 0 is a packet that passes, 1 one that is lost, # begins a comment", name, line, c)
		}
	}
}

// LossTrace decides as a loss trace says, again and again unless once; after that, nothing is lost.
type LossTrace struct {
	lost []byte
	once bool
	next int
}

// NewLossTrace makes a LossTrace, which does not change lost.
func NewLossTrace(lost []byte, once bool) *LossTrace { return &LossTrace{lost: lost, once: once} }

// Decide reads on.
func (t *LossTrace) Decide(time.Duration, packet.Packet) uint64 {
	if t.next == len(t.lost) {
		if t.once {
			return 0
		}
		t.next = 0
	}
	t.next++
	return uint64(t.lost[t.next-1])
}
