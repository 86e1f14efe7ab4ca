package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gomahi/packet"
)

// Decisions adds a line for each decision of a random effect: the direction, the packet's number in it from 1 on, the
// time in nanoseconds since the start, the packet's hash, and the decision:
//
//	uplink 17 20318422 9f3c0a5be1d24478 1
//
// Two directions may write to one file.
func (r *Recorder) Decisions(name, direction string, to io.WriteCloser) {
	r.add(name, to, 0, func(w *bufio.Writer) sink { return &decisions{w: w, direction: direction} })
}

// Decided notes a decision on p.
func (r *Recorder) Decided(now time.Duration, p packet.Packet, d uint64) {
	r.note(event{at: now, kind: decision, hash: p.Hash(), number: int64(d)}, p)
}

type decisions struct {
	w         *bufio.Writer
	direction string
	number    int64
	line      []byte
}

func (s *decisions) event(e *event, _ []byte) error {
	s.number++
	s.line = fmt.Appendf(s.line[:0], "%s %d %d %016x %d\n", s.direction, s.number, int64(e.at), e.hash, uint64(e.number))
	if len(s.line) > s.w.Available() {
		s.w.Flush() // whole lines, since the other direction may write to the same file
	}
	s.w.Write(s.line) // its error stays, and is seen at the end
	return nil
}

func (s *decisions) end(time.Duration) error { return nil }

// A Repeat decides on a direction's packets as a record does. It is a Decider of package effects. What is not in the
// record has the decision 0.
type Repeat struct {
	Missing  int // packets that were not in the record
	decided  []uint64
	hashes   []uint64
	number   int            // of the next packet
	byHash   map[uint64]int // the first decision left for it
	sameNext []int          // the one after it for the same hash, or 0
}

// Decide looks the decision up.
func (r *Repeat) Decide(_ time.Duration, p packet.Packet) uint64 {
	i, found := r.number, r.number < len(r.decided)
	if r.byHash != nil {
		h := p.Hash()
		if i, found = r.byHash[h]; found && r.sameNext[i] > 0 {
			r.byHash[h] = r.sameNext[i]
		} else if found {
			delete(r.byHash, h)
		}
	}
	r.number++
	if !found {
		r.Missing++
		return 0
	}
	return r.decided[i]
}

// ByHash finds decisions by the packets' hashes from now on: the n-th packet of a hash has the n-th decision on it.
func (r *Repeat) ByHash() {
	r.byHash, r.sameNext = make(map[uint64]int, len(r.hashes)), make([]int, len(r.hashes))
	for i := len(r.hashes) - 1; i >= 0; i-- {
		r.sameNext[i] = r.byHash[r.hashes[i]]
		r.byHash[r.hashes[i]] = i
	}
}

// decisionsHead begins a record's first line.
const decisionsHead = "# decisions of "

// DecisionsHead is the first line of a record: of which tool, and of the "uplink", the "downlink" or "both".
func DecisionsHead(tool, where string) string {
	return decisionsHead + tool + " " + where + ", one a line: direction, number, time [ns], hash, decision\n"
}

// ParseDecisions reads a record of a tool's decisions, by direction. Errors name the line, and give a hint behind
// "\nhint: ".
func ParseDecisions(name, tool string, from io.Reader) (map[string]*Repeat, error) {
	found := map[string]*Repeat{}
	lines := bufio.NewScanner(from)
	n, err := 1, error(nil)
	for ; err == nil && lines.Scan(); n++ {
		switch line := lines.Text(); {
		case n == 1:
			err = parseHead(line, tool, found)
		case !strings.HasPrefix(line, "#"):
			err = parseDecision(line, found)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s:%d: %w\nhint: give a file that --record wrote", name, n-1, err)
	case lines.Err() != nil:
		return nil, fmt.Errorf("reading %s: %w", name, lines.Err())
	case len(found) == 0:
		return nil, fmt.Errorf("%s: it is empty\nhint: give a file that --record wrote", name)
	}
	return found, nil
}

func parseHead(line, tool string, found map[string]*Repeat) error {
	of, ok := strings.CutPrefix(line, decisionsHead)
	of, _, _ = strings.Cut(of, ",")
	of, where, _ := strings.Cut(of, " ")
	if where == "uplink" || where == "both" {
		found["uplink"] = new(Repeat)
	}
	if where == "downlink" || where == "both" {
		found["downlink"] = new(Repeat)
	}
	switch {
	case !ok, len(found) == 0:
		return errors.New("this is no record of decisions")
	case of != tool:
		return fmt.Errorf("these are decisions of %s, not of %s", of, tool)
	}
	return nil
}

func parseDecision(line string, found map[string]*Repeat) error {
	f := strings.Fields(line)
	if len(f) != 5 || found[f[0]] == nil {
		return fmt.Errorf("%q is not a direction, a number, a time, a hash and a decision", line)
	}
	number, err1 := strconv.Atoi(f[1])
	_, err2 := strconv.ParseUint(f[2], 10, 63)
	hash, err3 := strconv.ParseUint(f[3], 16, 64)
	decided, err4 := strconv.ParseUint(f[4], 10, 64)
	if errors.Join(err1, err2, err3, err4) != nil {
		return fmt.Errorf("%q has something that is not a number", line)
	}
	r := found[f[0]]
	if number != len(r.decided)+1 {
		return fmt.Errorf("packet %d of the %s follows %d", number, f[0], len(r.decided))
	}
	r.decided, r.hashes = append(r.decided, decided), append(r.hashes, hash)
	return nil
}
