package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gomahi/scenario"
)

// orbit is the example of phantomlink's README, in a tenth of its time.
const orbit = `Time[ms],RouteID,Delay[ms],Btldr[Mbps]
0,0,41.0,80.0
1100,0,41.2,80.2
2300,1,37.0,100.0
4000,1,36.7,101.5
6000,1,37.0,100.1
`

// echo is a packet of probe udp that came back.
type echo struct {
	number            int
	sent, there, back time.Duration // of one clock
}

func echoes(t *testing.T, file string) (out []echo) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var e echo
		if _, err := fmt.Sscan(line, &e.number, &e.sent, &e.there, &e.back); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// A stream of a packet each millisecond through phantomlink's own example: each takes what the file says, and they arrive
// in the order that it makes.
func TestPath(t *testing.T) {
	l := newLab(t)
	dir := temp(t)
	file, each, log := filepath.Join(dir, "orbit.csv"), filepath.Join(dir, "each"), filepath.Join(dir, "events")
	if err := os.WriteFile(file, []byte(orbit), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(file, strings.NewReader(orbit), scenario.Queue{})
	if err != nil {
		t.Fatal(err)
	}
	rows := s.Uplink
	const n = 7000
	best := timing{rows, map[int]measured{}}
	overtaken := 0
	quietly(t, attempts, func() error {
		l.output("gm-path", "--events="+log, file, "probe", "udp", "-n", fmt.Sprint(n), "-i", "1ms", "-each", each, "192.0.2.1")
		back := echoes(t, each)
		if len(back) != n {
			return fmt.Errorf("of %d packets %d came back", n, len(back))
		}
		slices.SortFunc(back, func(a, b echo) int { return int(a.there - b.there) })
		seen := events(t, log)
		overtaken += sameOrder(t, back, seen, rows)
		best.add(t, back, seen)
		return best.judge(t)
	})
	if overtaken == 0 { // those of the last 4.2 ms are, if any were sent then
		t.Error("no packet was overtaken at the change of route")
	}
}

// sameOrder holds the order of arrival against that of each packet's departure from the link and the delay then: by the
// tool's own nanoseconds, so no machine is too slow for it. It returns how many packets were overtaken by those of the new
// route.
func sameOrder(t *testing.T, back []echo, log []event, rows []scenario.Change) (overtaken int) {
	t.Helper()
	type flight struct {
		number int
		route  uint64
		due    time.Duration
	}
	var flights []flight
	state, row, began := rows[0].State, 0, int64(-1)
	last := map[uint64]time.Duration{}
	for _, e := range log {
		if e.Link != "uplink" {
			continue
		}
		switch e.Event {
		case "arrival":
			if began < 0 {
				began = e.T
			}
		case "change":
			if row > 0 && e.T-began != int64(rows[row].At) {
				t.Errorf("change %d was at %v, want %v", row, time.Duration(e.T-began), rows[row].At)
			}
			state = rows[row].State
			row++
		case "departure":
			due := max(time.Duration(e.T)+state.Delay, last[state.Route])
			last[state.Route] = due
			flights = append(flights, flight{len(flights), state.Route, due})
		}
	}
	if row != len(rows) || len(flights) != len(back) {
		t.Fatalf("%d changes and %d departures in the log, want %d and %d", row, len(flights), len(rows), len(back))
	}
	slices.SortStableFunc(flights, func(a, b flight) int { return int(a.due - b.due) })
	routes := map[uint64]int{}
	for i, f := range flights {
		if back[i].number != f.number {
			t.Fatalf("packet %d arrived in place %d, want %d", back[i].number, i, f.number)
		}
		if before, ok := routes[f.route]; ok && before > f.number {
			t.Errorf("packet %d overtook %d on route %d", before, f.number, f.route)
		}
		routes[f.route] = f.number
		if f.route == 0 && routes[1] > f.number {
			overtaken++
		}
	}
	t.Logf("%d packets were overtaken, all by those of the new route", overtaken)
	return overtaken
}

// timing is by how much packets were later than the file says, each in the best of several runs: other work on the machine
// can only make one later.
type timing struct {
	rows []scenario.Change
	best map[int]measured // by number
}

type measured struct{ since, late time.Duration }

// row is what holds at a time.
func (s *timing) row(since time.Duration) (row int) {
	for row = len(s.rows) - 1; row > 0 && s.rows[row].At > since; row-- {
	}
	return row
}

// add takes in a run. No packet may ever be early.
func (s *timing) add(t *testing.T, back []echo, log []event) {
	t.Helper()
	slices.SortFunc(back, func(a, b echo) int { return a.number - b.number })
	var arrived, left []time.Duration // of each packet, by the tool
	for _, e := range log {
		switch {
		case e.Link != "uplink":
		case e.Event == "arrival":
			arrived = append(arrived, time.Duration(e.T))
		case e.Event == "departure":
			left = append(left, time.Duration(e.T))
		}
	}
	// The scenario began when the first packet arrived. By the sender's clock that is when it was sent, and as long after as
	// it took to arrive: more than the least that any took.
	offset := time.Duration(math.MinInt64)
	for i, e := range back {
		offset = max(offset, e.sent-arrived[i])
	}
	began := arrived[0] + offset
	for i, e := range back {
		since := e.sent - began
		row := s.row(left[i] - arrived[0])
		if s.row(since) != row {
			continue // it met the next row on its way
		}
		late := e.there - e.sent - s.rows[row].Delay
		if late < 0 {
			t.Errorf("packet %d arrived %v before its time", e.number, -late)
		}
		if before, ok := s.best[e.number]; !ok || late < before.late {
			s.best[e.number] = measured{since, late}
		}
	}
}

func (s *timing) judge(t *testing.T) error {
	var all []time.Duration
	for _, m := range s.best {
		all = append(all, m.late)
	}
	slices.Sort(all)
	p50, p99 := all[len(all)/2], all[len(all)*99/100]
	t.Logf("one-way delay against the file: p50 %v, p99 %v later", p50, p99)
	if p50 > 200*time.Microsecond || p99 > time.Millisecond {
		return fmt.Errorf("p50 %v, p99 %v later than the file says, want at most 0.2 and 1 ms", p50, p99)
	}
	for r := 1; r < len(s.rows); r++ {
		var sides [2]bool // of the packets up to 3 ms before and after the step one took the time of its side
		for _, m := range s.best {
			if from := m.since - s.rows[r].At; from.Abs() < 3*time.Millisecond {
				row := s.row(m.since)
				other := m.late + s.rows[row].Delay - s.rows[2*r-1-row].Delay
				if (m.late - p50).Abs() < (other - p50).Abs() {
					sides[row-r+1] = true
				}
			}
		}
		if sides != [2]bool{true, true} {
			return fmt.Errorf("the step at %v is not there to the millisecond: %v", s.rows[r].At, sides)
		}
	}
	return nil
}
