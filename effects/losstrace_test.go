package effects

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"gomahi/packet"
)

func TestParseLossTrace(t *testing.T) {
	const hint = "\nhint: 0 is a packet that passes, 1 one that is lost, # begins a comment"
	for _, row := range []struct {
		name, text string
		want       []byte
		err        string
	}{
		{"one a line", "0\n1\n", []byte{0, 1}, ""},
		{"all in one", "0110", []byte{0, 1, 1, 0}, ""},
		{"white space and comments", "# 1 is lost\n0 1\t1\r\n\n0# 1\n1", []byte{0, 1, 1, 0, 1}, ""},
		{"another number", "01\n02\n", nil, `f:2: '2' is neither 0 nor 1` + hint},
		{"a word", "#\n\nyes", nil, `f:3: 'y' is neither 0 nor 1` + hint},
		{"nothing", "# 0\n", nil, "f: it has no packets\nhint: give a 0 for each packet that passes, and a 1 for each that is lost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseLossTrace("f", strings.NewReader(row.text))
			if d := cmp.Diff(row.want, got); d != "" || (err != nil || row.err != "") && (err == nil || err.Error() != row.err) {
				t.Errorf("error %v (-want +got):\n%s", err, d)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := ParseLossTrace("f", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reading fails with %v", err)
	}
}

func TestLossTrace(t *testing.T) {
	for _, row := range []struct {
		name string
		once bool
		want string
	}{
		{"again and again", false, "100110011001"},
		{"once", true, "100100000000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := NewLossTrace([]byte{1, 0, 0, 1}, row.once)
			got := ""
			for range row.want {
				got += string('0' + rune(d.Decide(0, packet.Packet{})))
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func FuzzParseLossTrace(f *testing.F) {
	f.Add("01 # 2\n1")
	f.Add("\r\n\t#")
	f.Fuzz(func(t *testing.T, text string) {
		lost, err := ParseLossTrace("f", strings.NewReader(text))
		if (err == nil) != (len(lost) > 0) {
			t.Fatalf("%d packets, %v", len(lost), err)
		}
		for _, l := range lost {
			if l > 1 {
				t.Fatalf("a packet is %d", l)
			}
		}
	})
}
