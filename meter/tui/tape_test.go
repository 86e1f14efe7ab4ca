package tui

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A tape has the last screen, however much was written before, and nothing if there was no command.
func TestTape(t *testing.T) {
	for _, row := range []struct {
		name   string
		w, h   int
		writes []string
		want   []string
	}{
		{"no command", 0, 0, []string{"hello\r\n"}, nil},
		{"nothing", 20, 3, nil, []string{}},
		{"little", 20, 3, []string{"one\r\n", "two"}, []string{"one", "two"}},
		{"exactly what there is room for", 20, 3, []string{strings.Repeat("x", tapeLong-tapeStart-5) + "\r\nend"}, []string{strings.Repeat("x", 20), strings.Repeat("x", (tapeLong-tapeStart-5)%20), "end"}},
		{"more than there is room for, in pieces", 20, 3, pieces(100_000), []string{"line 99998", "line 99999"}},
		{"more at once", 20, 3, []string{strings.Join(pieces(200_000), "")}, []string{"line 199998", "line 199999"}},
		{"a full-screen program", 20, 3, []string{"$ vim\r\n", "\x1b[?1049h\x1b[2Jtext"}, []string{"$ vim"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			tape, err := newTape()
			if err != nil {
				t.Fatal(err)
			}
			defer tape.Close()
			if row.w > 0 {
				tape.sized(row.w, row.h)
			}
			for _, s := range row.writes {
				fmt.Fprint(tape, s)
			}
			other, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", tape.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if d := cmp.Diff(row.want, replay(other)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func pieces(n int) (all []string) {
	for k := range n {
		all = append(all, fmt.Sprintf("line %d\r\n", k))
	}
	return all
}
