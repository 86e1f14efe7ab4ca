package scenario

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

var oneBDP = Queue{BDP, 1}

// phantomlink is the example of its README.
const phantomlink = `Time[ms],RouteID,Delay[ms],Btldr[Mbps]
0,0,41.0,80.0
11000,0,41.2,80.2
23000,1,37.0,100.0
40000,1,36.7,101.5
60000,1,37.0,100.1
`

func parse(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := Parse("f", strings.NewReader(text), oneBDP)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestParse(t *testing.T) {
	change := func(at time.Duration, s State) Change {
		if s.Queue == (Queue{}) {
			s.Queue = oneBDP
		}
		return Change{At: at, State: s}
	}
	for _, row := range []struct {
		name, text string
		up, down   []Change // down is nil where it is the same
	}{
		{"phantomlink's own, with the delay's fractions", phantomlink, []Change{
			change(0, State{Delay: 41 * ms, Rate: 80e6}),
			change(11*time.Second, State{Delay: 41200 * time.Microsecond, Rate: 80.2e6}),
			change(23*time.Second, State{Route: 1, Delay: 37 * ms, Rate: 100e6}),
			change(40*time.Second, State{Route: 1, Delay: 36700 * time.Microsecond, Rate: 101.5e6}),
			change(60*time.Second, State{Route: 1, Delay: 37 * ms, Rate: 100.1e6}),
		}, nil},
		{"any order, blanks, comments, other case", "# x\n delay[MS], Time [s]\n# y\n0.1,0.25\n\n 7 , 1\n", []Change{
			change(250*ms, State{Delay: ms / 10}), change(time.Second, State{Delay: 7 * ms})}, nil},
		{"all columns", "Time[ms],RouteID,Delay[ms],Rate[Mbps],Loss[%],Jitter[ms],Queue[packets],Link[up|down]\n" +
			"0,7,0.000001,0.000001,0.7,1.5,100,down\n",
			[]Change{change(0, State{7, 1, 1, 0.007, 1500 * time.Microsecond, Queue{Packets, 100}, true})}, nil},
		{"an empty cell keeps the value", "Time[ms],Delay[ms],Loss[%],Link[up|down]\n0,,1,down\n1,5,,\n2,,0,up\n", []Change{
			change(0, State{Loss: 0.01, Down: true}), change(ms, State{Delay: 5 * ms, Loss: 0.01, Down: true}),
			change(2*ms, State{Delay: 5 * ms})}, nil},
		{"each direction its own", "Time[ms],Uplink-Delay[ms],downlink-delay[ms],Uplink-Queue[bytes],Rate[Mbps]\n0,1,2,3000,4\n",
			[]Change{change(0, State{Delay: ms, Rate: 4e6, Queue: Queue{Bytes, 3000}})},
			[]Change{change(0, State{Delay: 2 * ms, Rate: 4e6})}},
		{"queues in time and in products", "Time[ms],Uplink-Queue[ms],Downlink-Queue[bdp]\n0,12.5,0.5\n",
			[]Change{change(0, State{Queue: Queue{Milliseconds, 12.5}})}, []Change{change(0, State{Queue: Queue{BDP, 0.5}})}},
		{"a byte order mark, CRLF, quotes", "\ufeffTime[ms],\"Delay[ms]\"\r\n0,\"3\"\r\n", []Change{change(0, State{Delay: 3 * ms})}, nil},
		{"to the nanosecond after 99 days", "Time[s],Delay[ms]\n8553600.000000001,1\n",
			[]Change{change(8553600*time.Second+1, State{Delay: ms})}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.down == nil {
				row.down = row.up
			}
			same(t, &Scenario{row.up, row.down}, parse(t, row.text))
		})
	}
}

func TestParseErrors(t *testing.T) {
	const some = "Time[ms],Delay[ms]\n"
	for _, row := range []struct{ name, text, want string }{
		{"empty", "", "f: it is empty\nhint: " + headerHint},
		{"a header alone", some, "f: it has no rows\nhint: below the header, say what holds from which time on"},
		{"an unknown column", "Time[ms],Dealy[ms]\n", "f:1:10: unknown column \"Dealy[ms]\"\nhint: " + headerHint},
		{"a column without its unit", "Time,Delay[ms]\n", "f:1:1: unknown column \"Time\"\nhint: " + headerHint},
		{"a unit that the column has not", "Time[ms],Delay[s]\n", "f:1:10: unknown column \"Delay[s]\"\nhint: " + headerHint},
		{"a direction's time", "Uplink-Time[ms],Delay[ms]\n", "f:1:1: unknown column \"Uplink-Time[ms]\"\nhint: " + headerHint},
		{"no time", "Delay[ms]\n", "f:1:1: there is no column Time[ms] or Time[s]\nhint: " + headerHint},
		{"the time alone", "Time[ms]\n", "f:1:1: there is no column but the time\nhint: " + headerHint},
		{"a rate under two names", "Time[ms],Rate[Mbps],Btldr[Mbps]\n",
			"f:1:21: column \"Btldr[Mbps]\" after Rate[Mbps]\nhint: name each quantity once for each direction"},
		{"both, and one of them", "Time[ms],Queue[ms],Uplink-Queue[bdp]\n",
			"f:1:20: column \"Uplink-Queue[bdp]\" after Queue[ms]\nhint: name each quantity once for each direction"},
		{"two times", "Time[ms],Time[s]\n", "f:1:10: column \"Time[s]\" after Time[ms]\nhint: name each quantity once for each direction"},
		{"too few cells", some + "0,1\n2\n", "f:3:1: the header has 2 columns, this row 1\nhint: " + rowHint},
		{"too many cells", some + "0,1\n2,3,4\n", "f:3:5: the header has 2 columns, this row 3\nhint: " + rowHint},
		{"a quote that does not end", some + "0,\"1\n", "f:2:6: extraneous or missing \" in quoted-field\nhint: " + rowHint},
		{"no time in a row", some + " ,1\n", "f:2:2: a row without a time\nhint: Time[ms] takes a number from 0 to 8640000000"},
		{"times that do not ascend", some + "5,1\n5,2\n", "f:3:1: time 5 does not ascend\nhint: each row's time is after the one before"},
		{"no number", some + "0,1\n1,fast\n", "f:3:3: delay \"fast\" is not a number\nhint: Delay[ms] takes a number from 0 to 3600000"},
		{"not a number", some + "0,NaN\n", "f:2:3: delay \"NaN\" is not a number\nhint: Delay[ms] takes a number from 0 to 3600000"},
		{"an exponent", some + "0,1e3\n", "f:2:3: delay \"1e3\" is not a number\nhint: Delay[ms] takes a number from 0 to 3600000"},
		{"a negative", some + "-1,1\n", "f:2:1: time \"-1\" is negative\nhint: Time[ms] takes a number from 0 to 8640000000"},
		{"too much", some + "0,3600001\n", "f:2:3: delay \"3600001\" is too large\nhint: Delay[ms] takes a number from 0 to 3600000"},
		{"a rate of 0", "Time[ms],Btldr[Mbps]\n0,0\n", "f:2:3: rate \"0\" is too small\nhint: Btldr[Mbps] takes a number from 0.000001 to 1000000"},
		{"more than all", "Time[ms],Uplink-Loss[%]\n0,101\n", "f:2:3: loss \"101\" is too large\nhint: Loss[%] takes a number from 0 to 100"},
		{"a part of a packet", "Time[ms],Queue[packets]\n0,1.5\n",
			"f:2:3: queue \"1.5\" is not a whole number\nhint: Queue[packets] takes a whole number from 1 to 1000000000"},
		{"a part of a route", "Time[ms],RouteID\n0,0.5\n",
			"f:2:3: RouteID \"0.5\" is not a whole number\nhint: RouteID takes a whole number from 0 to 9007199254740992"},
		{"a link that is half up", "Time[ms],Link[up|down]\n0,on\n", "f:2:3: a link is not \"on\"\nhint: write up or down"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("f", strings.NewReader(row.text), oneBDP)
			if err == nil {
				t.Fatal("no error")
			}
			same(t, row.want, err.Error())
		})
	}
	broken := errors.New("broken")
	if _, err := Parse("f", iotest.ErrReader(broken), oneBDP); !errors.Is(err, broken) {
		t.Errorf("reading fails with %v", err)
	}
}

func TestLimits(t *testing.T) {
	for _, row := range []struct {
		name           string
		s              State
		packets, bytes int
	}{
		{"one product: rate times twice the delay", State{Rate: 80e6, Delay: 41 * ms, Queue: oneBDP}, math.MaxInt, 820_000},
		{"half of one", State{Rate: 80e6, Delay: 41 * ms, Queue: Queue{BDP, 0.5}}, math.MaxInt, 410_000},
		{"never less than a packet", State{Rate: 80e6, Queue: oneBDP}, math.MaxInt, 1500},
		{"time", State{Rate: 8e6, Queue: Queue{Milliseconds, 12.5}}, math.MaxInt, 12_500},
		{"bytes", State{Queue: Queue{Bytes, 3000}}, math.MaxInt, 3000},
		{"bytes, less than a packet", State{Queue: Queue{Bytes, 1}}, math.MaxInt, 1500},
		{"packets", State{Queue: Queue{Packets, 7}}, 7, math.MaxInt},
		{"no rate, no queue", State{Delay: ms, Queue: oneBDP}, math.MaxInt, math.MaxInt},
		{"a great deal", State{Rate: 1e12, Delay: time.Hour, Queue: Queue{BDP, 1e6}}, math.MaxInt, math.MaxInt},
	} {
		t.Run(row.name, func(t *testing.T) {
			packets, bytes := row.s.Limits()
			same(t, [2]int{row.packets, row.bytes}, [2]int{packets, bytes})
		})
	}
}

func TestPlay(t *testing.T) {
	s := parse(t, "Time[ms],Delay[ms],Rate[Mbps],Loss[%]\n5,10,1,0\n8,16,4,1\n10,16,4,2\n")
	c := func(at, delay time.Duration, rate int64, loss float64, between bool) Change {
		return Change{At: at, State: State{Delay: delay, Rate: rate, Loss: loss, Queue: oneBDP}, Between: between}
	}
	for _, row := range []struct {
		name              string
		interpolate, loop bool
		want              []Change // the first of them
	}{
		{"a step function, the first row at once", false, false,
			[]Change{c(0, 10*ms, 1e6, 0, false), c(8*ms, 16*ms, 4e6, 0.01, false), c(10*ms, 16*ms, 4e6, 0.02, false), {}}},
		{"delay and rate on lines, from the first row's own time on", true, false,
			[]Change{c(0, 10*ms, 1e6, 0, false), c(6*ms, 12*ms, 2e6, 0, true), c(7*ms, 14*ms, 3e6, 0, true),
				c(8*ms, 16*ms, 4e6, 0.01, false), c(10*ms, 16*ms, 4e6, 0.02, false), {}}},
		{"a loop: the last row holds as long as the one before", false, true,
			[]Change{c(0, 10*ms, 1e6, 0, false), c(8*ms, 16*ms, 4e6, 0.01, false), c(10*ms, 16*ms, 4e6, 0.02, false),
				c(12*ms, 10*ms, 1e6, 0, false), c(20*ms, 16*ms, 4e6, 0.01, false)}},
		{"both", true, true,
			[]Change{c(0, 10*ms, 1e6, 0, false), c(6*ms, 12*ms, 2e6, 0, true), c(7*ms, 14*ms, 3e6, 0, true),
				c(8*ms, 16*ms, 4e6, 0.01, false), c(10*ms, 16*ms, 4e6, 0.02, false),
				c(12*ms, 10*ms, 1e6, 0, false), c(18*ms, 12*ms, 2e6, 0, true)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Play(s.Uplink, row.interpolate, row.loop)
			var got []Change
			for range row.want {
				c, ok := p.Next()
				if ok != (c != Change{}) {
					t.Errorf("%+v, %v", c, ok)
				}
				got = append(got, c)
			}
			same(t, row.want, got)
		})
	}
	p := Play(s.Uplink[:1], true, true)
	p.Next()
	if c, ok := p.Next(); ok {
		t.Errorf("one row is played twice: %+v", c)
	}
}

// Whatever is read as a scenario can be played: times ascend, and every value is in its range.
func FuzzParse(f *testing.F) {
	f.Add(phantomlink, true, false)
	f.Add("Time[s],Uplink-Delay[ms],Rate[Mbps],Queue[ms],Link[up|down],Loss[%],Jitter[ms]\n0,1,,7,up,0.5,1\n0.001,9,3,,down,,\n", true, true)
	f.Add("\ufeff\"Time [ms]\",RouteID\r\n0,18446744073709551615\n", false, true)
	f.Fuzz(func(t *testing.T, text string, interpolate, loop bool) {
		s, err := Parse("f", strings.NewReader(text), oneBDP)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") || !strings.Contains(err.Error(), "\nhint: ") {
				t.Errorf("an error without place or hint: %v", err)
			}
			return
		}
		for _, rows := range [][]Change{s.Uplink, s.Downlink} {
			p, last := Play(rows, interpolate, loop), time.Duration(-1)
			for range 1000 {
				c, ok := p.Next()
				if !ok {
					break
				}
				packets, bytes := c.Limits()
				if c.At <= last || c.Delay < 0 || c.Delay > time.Hour || c.Jitter < 0 || c.Jitter > time.Hour || c.Rate < 0 || c.Rate > 1e12 ||
					c.Loss < 0 || c.Loss > 1 || packets < 1 || bytes < mtu {
					t.Fatalf("after %v comes %+v", last, c)
				}
				last = c.At
			}
		}
	})
}
