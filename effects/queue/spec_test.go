package queue

import (
	"strings"
	"testing"
)

func TestSpecs(t *testing.T) {
	for _, row := range []struct{ kind, args, want string }{
		{"", "", "infinite"},
		{"infinite", " ", "infinite"},
		{"droptail", "packets=100", "droptail [packets=100]"},
		{"droptail", "packets=100, bytes=60000", "droptail [bytes=60000, packets=100]"}, // mahimahi's order
		{"drophead", "bytes=30000", "drophead [bytes=30000]"},
		{"drophead", ",bytes=30000,,packets=007 ", "drophead [bytes=30000, packets=7]"},
		{"droptail", "rtt=40 bdp=1.50", "droptail [bdp=1.5, rtt=40]"},
		{"droptail", "ms=100", "droptail [ms=100]"},
		{"codel", "packets=100,target=5,interval=100", "codel [packets=100, target=5, interval=100]"},
		{"codel", "ecn, interval=.5, target=2.25 packets=100", "codel [packets=100, target=2.25, interval=0.5, ecn]"},
		{"pie", "packets=100, qdelay_ref=20, max_burst=0", "pie [packets=100, qdelay_ref=20, max_burst=0]"},
		{"fq_codel", "", "fq_codel"},
		{"fq_codel", "flows=64, quantum=300, ecn=1", "fq_codel [flows=64, quantum=300, ecn]"},
		{"red", "bytes=60000, min_bytes=5000, max_bytes=15000", "red [bytes=60000, min_bytes=5000, max_bytes=15000]"},
	} {
		t.Run(row.kind+" "+row.args, func(t *testing.T) {
			s, err := Parse(row.kind, row.args)
			if err != nil {
				t.Fatal(err)
			}
			if s.String() != row.want {
				t.Errorf("is %q, want %q", s, row.want)
			}
		})
	}
	if got := (Spec{}).String(); got != "infinite" {
		t.Errorf("the zero Spec is %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	const codelTakes = "codel takes bytes, packets, bdp with rtt, ms, target, interval, ecn"
	for _, row := range []struct{ name, kind, args, want, hint string }{
		{"kind", "tailback", "", `unknown queue "tailback"`,
			"the queues are infinite, droptail, drophead, codel, pie, fq_codel, red"},
		{"infinite", "infinite", "packets=100", `an infinite queue takes no arguments, and "packets=100" is one`,
			"leave it out, or name a queue that has a limit: droptail, drophead, codel, pie, fq_codel, red"},
		{"unknown", "codel", "packet=100", `unknown queue argument "packet=100"`, codelTakes},
		{"another kind's", "codel", "packets=1, qdelay_ref=15", `queue argument "qdelay_ref=15" does not fit codel`, codelTakes},
		{"plain with marks", "droptail", "packets=1, ecn", `queue argument "ecn" does not fit droptail`,
			"droptail takes bytes, packets, bdp with rtt, ms"},
		{"twice", "droptail", "packets=1 packets=1", `queue argument "packets" is given twice`, "give each argument once"},
		{"negative", "droptail", "packets=-3", `queue argument "packets=-3" is negative`,
			"give a whole number of packets from 1 to 1000000000, as in packets=100"},
		{"zero", "droptail", "bytes=0", `queue argument "bytes=0" is zero`,
			"give a whole number of bytes from 1 to 1000000000000, as in bytes=60000"},
		{"zero time", "codel", "packets=1, target=0.0", `queue argument "target=0.0" is zero`,
			"give a number of milliseconds from 0.001 to 3600000, as in target=5"},
		{"too small", "fq_codel", "quantum=255", `queue argument "quantum=255" is too small`,
			"give a whole number of bytes from 256 to 1000000, as in quantum=1514"},
		{"too large", "droptail", "packets=1000000001", `queue argument "packets=1000000001" is too large`,
			"give a whole number of packets from 1 to 1000000000, as in packets=100"},
		{"beyond floats", "droptail", "ms=1" + strings.Repeat("0", 400), `is too large`, "as in ms=100"},
		{"part of a packet", "droptail", "packets=1.5", `queue argument "packets=1.5" is not a whole number`, "as in packets=100"},
		{"unit", "droptail", "ms=100ms", `queue argument "ms=100ms" is not a number`, "as in ms=100"},
		{"exponent", "droptail", "bytes=1e6", `queue argument "bytes=1e6" is not a number`, "as in bytes=60000"},
		{"infinity", "droptail", "ms=Inf", `queue argument "ms=Inf" is not a number`, "as in ms=100"},
		{"dots", "droptail", "ms=1.2.3", `queue argument "ms=1.2.3" is not a number`, "as in ms=100"},
		{"minus", "droptail", "ms=-", `queue argument "ms=-" is not a number`, "as in ms=100"},
		{"empty", "droptail", "packets=", `queue argument "packets=" is not a number`, "as in packets=100"},
		{"bare", "droptail", "packets", `queue argument "packets" has no value`, "as in packets=100"},
		{"spaces", "droptail", "packets = 100", `queue argument "packets" has no value`, "as in packets=100"},
		{"marks 2", "codel", "packets=1, ecn=2", `queue argument "ecn=2" is too large`,
			"write ecn, or ecn=1; without it packets are dropped"},
		{"no limit", "droptail", "", "queue droptail lacks a limit",
			"give a limit: packets=100, bytes=60000, ms=100 (what the link carries in that time), or bdp=1 with rtt=40"},
		{"no limit, others", "pie", "qdelay_ref=15", "queue pie lacks a limit", "give a limit"},
		{"bdp alone", "droptail", "bdp=1.5", "queue argument bdp lacks the round-trip time",
			"give it in milliseconds: bdp=1.5, rtt=40"},
		{"rtt alone", "droptail", "rtt=50, packets=3", "queue argument rtt means nothing without bdp", "give both: bdp=1, rtt=50"},
		{"thresholds", "red", "packets=100, min_bytes=3, max_bytes=3", "queue argument min_bytes is not below max_bytes",
			"max_bytes is best three times min_bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Parse(row.kind, row.args)
			if err == nil {
				t.Fatalf("accepted as %v", s)
			}
			problem, hint, _ := strings.Cut(err.Error(), "\nhint: ")
			if !strings.HasSuffix(problem, row.want) || !strings.Contains(hint, row.hint) {
				t.Errorf("says %q, want %q and hint %q", err, row.want, row.hint)
			}
		})
	}
}

// What is accepted is written as something that is accepted as the same.
func FuzzParse(f *testing.F) {
	f.Add("", "")
	f.Add("droptail", "packets=100, bytes=60000")
	f.Add("codel", "ms=100 target=5.25,interval=100, ecn")
	f.Add("pie", "bdp=1.5 rtt=40 max_burst=0 qdelay_ref=.001")
	f.Add("fq_codel", "flows=65536, quantum=256, ecn=1")
	f.Add("red", "bytes=1, min_bytes=1, max_bytes=2")
	f.Fuzz(func(t *testing.T, kind, args string) {
		s, err := Parse(kind, args)
		if err != nil {
			if !strings.Contains(err.Error(), "\nhint: ") {
				t.Errorf("no hint: %v", err)
			}
			return
		}
		kind, args, _ = strings.Cut(s.String(), " [")
		again, err := Parse(kind, strings.TrimSuffix(args, "]"))
		if err != nil || again != s {
			t.Errorf("%v is parsed as %v, %v", s, again, err)
		}
		b := &bench{}
		b.Queue = s.New(b.config(4))
		b.push(0, 1500, 0, 0)
		if b.all(0); len(b.out) != 1 || b.Len() != 0 {
			t.Errorf("%v: of one packet became %v", s, b.out)
		}
	})
}
