package record_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/record"
	"gomahi/packet"
	"gomahi/tun/tuntest"
)

func TestDecisions(t *testing.T) {
	var out memory
	r := record.New()
	r.Decisions("x", "downlink", &out)
	r.Start()
	f := tuntest.Frame(new(packet.Pool), datagrams(3))
	want := record.DecisionsHead("gm-x", "downlink")
	for i, d := range []uint64{0, 1, 1<<64 - 1} {
		p := f.Packet(i, 2*ms)
		r.Decided(2*ms+5, p, d)
		want += fmt.Sprintf("downlink %d 2000005 %016x %d\n", i+1, p.Hash(), d)
	}
	if err := r.Close(3 * ms); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, record.DecisionsHead("gm-x", "downlink")+out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// By number, the order of packets counts; by hash, which of those that say the same it is.
func TestRepeatBy(t *testing.T) {
	const file = "# decisions of gm-x both\nuplink 1 0 %016x 1\ndownlink 1 0 0 9\nuplink 2 5 %016x 2\nuplink 3 6 %016x 3\n"
	var packets []packet.Packet // 0 and 2 say the same
	for _, n := range []int{1, 2, 1, 3} {
		packets = append(packets, tuntest.Frame(new(packet.Pool), datagrams(n)).Packet(n-1, 0))
		packets[len(packets)-1].Frame.Headers()[28] = byte(n)
	}
	for _, row := range []struct {
		name    string
		byHash  bool
		order   []int
		want    []uint64
		missing int
	}{
		{"by number", false, []int{2, 1, 0}, []uint64{1, 2, 3}, 0},
		{"by number, more than there were", false, []int{0, 1, 2, 3, 0}, []uint64{1, 2, 3, 0, 0}, 2},
		{"by hash", true, []int{1, 0, 2}, []uint64{2, 1, 3}, 0},
		{"by hash, one that was not there", true, []int{0, 3, 1}, []uint64{1, 0, 2}, 1},
		{"by hash, one more often", true, []int{2, 0, 2}, []uint64{1, 3, 0}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := fmt.Sprintf(file, packets[0].Hash(), packets[1].Hash(), packets[2].Hash())
			repeats, err := record.ParseDecisions("f", "gm-x", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			r := repeats["uplink"]
			if row.byHash {
				r.ByHash()
			}
			var got []uint64
			for _, i := range row.order {
				got = append(got, r.Decide(0, packets[i]))
			}
			if d := cmp.Diff(row.want, got); d != "" || r.Missing != row.missing {
				t.Errorf("%d missing, want %d (-want +got):\n%s", r.Missing, row.missing, d)
			}
		})
	}
}

func TestParseDecisionsErrors(t *testing.T) {
	const head, hint = "# decisions of gm-loss both, one a line\n", "\nhint: give a file that --record wrote"
	for _, row := range []struct{ name, text, err string }{
		{"another file", "1\n0\n", "f:1: this is no record of decisions"},
		{"another tool's", "# decisions of gm-burst uplink, one a line\n", "f:1: these are decisions of gm-burst, not of gm-loss"},
		{"nothing at all", "", "f: it is empty"},
		{"no direction", "# decisions of gm-loss, one a line\n", "f:1: this is no record of decisions"},
		{"a direction that was not recorded", "# decisions of gm-loss uplink\ndownlink 1 0 0 1\n",
			`f:2: "downlink 1 0 0 1" is not a direction, a number, a time, a hash and a decision`},
		{"too few fields", head + "uplink 1 0 0\n", `f:2: "uplink 1 0 0" is not a direction, a number, a time, a hash and a decision`},
		{"another direction", head + "up 1 0 0 1\n", `f:2: "up 1 0 0 1" is not a direction, a number, a time, a hash and a decision`},
		{"no number", head + "uplink 1 0 0 yes\n", `f:2: "uplink 1 0 0 yes" has something that is not a number`},
		{"a hash that is none", head + "uplink 1 0 xyz 1\n", `f:2: "uplink 1 0 xyz 1" has something that is not a number`},
		{"a packet is missing", head + "uplink 1 0 0 1\ndownlink 1 0 0 1\nuplink 3 0 0 1\n", "f:4: packet 3 of the uplink follows 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := record.ParseDecisions("f", "gm-loss", strings.NewReader(row.text))
			if err == nil || err.Error() != row.err+hint {
				t.Errorf("error %v, want %s", err, row.err+hint)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := record.ParseDecisions("f", "gm-loss", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reading fails with %v", err)
	}
}

// Whatever is read as a record decides, or is refused.
func FuzzParseDecisions(f *testing.F) {
	f.Add("# decisions of gm-x both, one a line\nuplink 1 0 9f 1\ndownlink 1 3 9f 2\nuplink 2 5 9f 18446744073709551615\n")
	f.Add("# decisions of gm-x uplink\nuplink 0 0 0 0")
	p := tuntest.Frame(new(packet.Pool), datagrams(1)).Packet(0, 0)
	f.Fuzz(func(t *testing.T, text string) {
		repeats, err := record.ParseDecisions("f", "gm-x", strings.NewReader(text))
		if (err == nil) != (len(repeats) > 0) {
			t.Fatalf("%d directions, %v", len(repeats), err)
		}
		for _, r := range repeats {
			r.Decide(0, p)
			r.ByHash()
			if r.Decide(0, p); r.Missing > 2 {
				t.Errorf("of two packets %d are missing", r.Missing)
			}
		}
	})
}
