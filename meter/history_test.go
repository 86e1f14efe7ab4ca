package meter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbers is a Source in which column k has k bytes, of which those below settled are.
type numbers struct {
	settled int64
	asked   int
}

func (s *numbers) Columns(_ time.Duration, first int64, into []Sum) int {
	s.asked += len(into)
	for i := range into {
		into[i].Arrived = uint64(first) + uint64(i)
	}
	return int(min(max(0, s.settled-first), int64(len(into))))
}

// A History gives what its Source does, and asks for nothing twice that is settled.
func TestHistory(t *testing.T) {
	s := &numbers{settled: 15}
	h := &History{Source: s}
	for _, row := range []struct {
		name    string
		width   time.Duration
		first   int64
		n       int
		settled int64
		asked   int
	}{
		{"at first", ms, 10, 10, 15, 10},
		{"again", ms, 10, 10, 15, 5},
		{"more is settled", ms, 12, 10, 18, 7},
		{"then less is asked", ms, 12, 10, 18, 4},
		{"all before is gone", ms, 30, 10, 35, 10},
		{"backwards", ms, 29, 10, 35, 10},
		{"another width", 2 * ms, 29, 10, 35, 10},
		{"another number", 2 * ms, 29, 4, 35, 4},
		{"nothing new", 2 * ms, 29, 4, 35, 0},
	} {
		s.settled, s.asked = row.settled, 0
		var got, want []uint64
		for _, c := range h.Columns(row.width, row.first, row.n) {
			got = append(got, c.Arrived)
		}
		for k := range row.n {
			want = append(want, uint64(row.first)+uint64(k))
		}
		if d := cmp.Diff(want, got); d != "" || s.asked != row.asked {
			t.Errorf("%s: asked for %d, want %d; (-want +got):\n%s", row.name, s.asked, row.asked, d)
		}
	}
}
