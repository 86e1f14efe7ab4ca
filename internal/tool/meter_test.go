package tool

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects"
	"gomahi/internal/control"
	"gomahi/internal/testutil"
	"gomahi/meter"
	"gomahi/packet"
)

func init() {
	tools["gm-meter"], usages["gm-meter"] = func() Tool { return new(Meter) }, "[COMMAND...]"
}

func TestWrongMeters(t *testing.T) {
	for _, row := range []struct{ line, problem, hint string }{
		{"gm-meter --layout=middle", `unknown layout "middle"`, "the layouts are top, bottom, left, right and full"},
		{"gm-meter --height=95%", `height "95%" is not from 10% to 90%`, "give a percentage of the screen: --height=40%"},
		{"gm-meter --height=9%", `height "9%" is not from 10% to 90%`, "give a percentage of the screen: --height=40%"},
		{"gm-meter --height=40", `height "40" is not a percentage`, "give a percentage of the screen: --height=40%"},
		{"gm-meter --interval=often", `interval "often" is not a duration`, "give a number of seconds, or one with a unit: 20ms, 0.2s, 250us"},
		{"gm-meter --interval=11m", `interval "11m" is out of range`, "give 10ms to 10m"},
		{"gm-meter --plain --json", "both --plain and --json", "leave out one of them"},
		{"gm-link --layout=x 1Mbps 1Mbps", `unknown layout "x"`, "the layouts are top, bottom, left, right and full"},
		{"gm-meter --attach 1 2", `"2" is too much`, "usage: gm-meter --attach [PID]"},
		{"gm-meter --attach -- -1", `"-1" is no process`, "give the number of a tool's process, or none to choose"},
		{"gm-meter --attach --plain", "--attach draws", "leave out --attach, or the other"},
	} {
		t.Run(row.line, func(t *testing.T) {
			args := strings.Fields(row.line)
			var said strings.Builder
			status := Main(tools[args[0]](), args[1:], io.Discard, &said)
			want := fmt.Sprintf("%s: error: %s\n%s: hint: %s\n", args[0], row.problem, args[0], row.hint)
			if said.String() != want || status != 2 {
				t.Errorf("status %d\n%s, want\n%s", status, said.String(), want)
			}
		})
	}
}

func TestShown(t *testing.T) {
	for _, row := range []struct {
		line, want string
		draws      bool
	}{
		{"gm-meter", "uplink rate, downlink rate", true},
		{"gm-meter --meter-downlink", "downlink rate", true},
		{"gm-link --meter-uplink 1Mbps 1Mbps", "uplink rate", true},
		{"gm-link --meter-downlink-delay --meter-uplink 1Mbps 1Mbps", "uplink rate, downlink delay", true},
		{"gm-link --meter-all 1Mbps 1Mbps", "uplink rate, downlink rate, uplink delay, downlink delay", true},
		{"gm-link 1Mbps 1Mbps", "uplink rate, downlink rate, uplink delay, downlink delay", false}, // to who attaches
	} {
		tool, _ := fill(t, row.line)
		d := tool.(interface {
			draws() bool
			shows() ([]shown, bool)
		})
		all, _ := d.shows()
		var got []string
		for _, g := range all {
			got = append(got, g.Direction+" "+g.What)
		}
		if d.draws() != row.draws || strings.Join(got, ", ") != row.want {
			t.Errorf("%s: draws %v: %v", row.line, d.draws(), got)
		}
	}
}

// A link under load: what is counted is what the link did, and the capacity what it could have done.
func TestLinkMeter(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("12mbps", []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		line     string
		overhead uint64
	}{
		{"gm-link 12Mbps 12Mbps --uplink-queue=droptail --uplink-queue-args=packets=10 true", 0},
		{"gm-link 12mbps 12mbps --uplink-queue=droptail --uplink-queue-args=packets=10 true", 4},
	} {
		t.Run(row.line, func(t *testing.T) {
			tool, command := fill(t, row.line)
			up, down := new(tally), new(tally)
			l := &Link{UpDrops: up, DownDrops: down, Start: time.Now()}
			if err := tool.Link(l); err != nil {
				t.Fatal(err)
			}
			s := newStage(tool, l, nil, command, up, down, new(atomic.Pointer[func()]))
			s.count()
			var pool packet.Pool
			const sent = 2000 // over a second, twice what the link carries
			for k := range sent {
				now := time.Duration(k) * 500 * time.Microsecond
				f := pool.Get()
				f.FilledPlain(1500)
				l.Uplink.Push(now, f.Packet(0, now))
				for p, ok := l.Uplink.Pop(now); ok; p, ok = l.Uplink.Pop(now) {
					p.Release()
				}
			}
			got := s.up.Counter.Sum(0, 1000)
			capacity := s.up.Capacity(time.Second)
			if got.Arrived != sent*(1500+row.overhead) || got.Dropped != up.drops[0].n ||
				math.Abs(float64(got.Departed)/float64(capacity)-1) > 0.01 || math.Abs(float64(capacity)/(1e6*(1500+float64(row.overhead))/1000)-1) > 1e-9 {
				t.Errorf("%+v of a capacity of %d, %v dropped", got, capacity, up.drops)
			}
			if got.Delay < 9*time.Millisecond || got.Delay > 12*time.Millisecond {
				t.Errorf("the longest delay of a queue of 10 packets is %v", got.Delay)
			}
		})
	}
}

// Capacity is that of the opportunities that there were.
func TestCapacity(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("trace", []byte("0\n5\n5\n10\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := direction{source: "trace"}
	if err := d.load(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		ms          int
		many, onlyN uint64
	}{{0, 1, 1}, {4, 1, 1}, {5, 3, 3}, {9, 3, 3}, {10, 5, 4}, {15, 7, 4}, {1000, 401, 4}} {
		at := time.Duration(row.ms) * time.Millisecond
		if many, once := d.capacity(false)(at), d.capacity(true)(at); many != row.many*effects.Opportunity || once != row.onlyN*effects.Opportunity {
			t.Errorf("until %v: %d bytes, once %d", at, many, once)
		}
	}
}

// served is a stage that counts at a socket of its own.
func served(t testing.TB) (*stage, *control.Client) {
	t.Setenv("XDG_RUNTIME_DIR", testutil.SocketDir(t))
	t.Setenv(runVar, "")
	os.Unsetenv(runVar)
	since := meter.Clock() - 10*time.Second
	s := &stage{Tool: "gm-link", Title: "gm-link a b", PID: os.Getpid(), Since: since, Linked: true, Graphs: rates,
		up:   &meter.Direction{Counter: meter.NewCounter(0), Zero: since, Capacity: func(d time.Duration) uint64 { return uint64(d / time.Millisecond) }},
		down: &meter.Direction{Counter: meter.NewCounter(0), Zero: since}}
	s.count()
	c, err := control.Listen("gm-link")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(c)
	t.Cleanup(c.Close)
	client := control.Dial(c.Path)
	return s, client
}

// Another process sees the same columns as this one.
func TestRemote(t *testing.T) {
	s, client := served(t)
	for k := range 5000 {
		now := time.Duration(k) * time.Millisecond
		s.up.Counter.Arrive(now, packet.Packet{Size: 100})
		s.up.Counter.Depart(now, packet.Packet{Size: 50, Arrival: now - 3*time.Millisecond}, 0)
	}
	s.up.Counter.Drop(2*time.Second, packet.Packet{}, "full")
	graphs, err := remoteGraphs(client)
	if err != nil || len(graphs) != 2 || graphs[0].Title != "gm-link a b" || !graphs[0].Linked || graphs[0].Since != s.Since {
		t.Fatalf("%+v, %v", graphs, err)
	}
	const width, n = 100 * time.Millisecond, 100
	first := int64(s.Since / width)
	want := make([]meter.Sum, n)
	s.up.Columns(width, first, want)
	got := make([]meter.Sum, n)
	settled := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && settled == 0; time.Sleep(10 * time.Millisecond) {
		settled = graphs[0].Source.Columns(width, first, got)
	}
	if d := cmp.Diff(want[:50], got[:50]); d != "" || settled < 90 {
		t.Errorf("%d settled; (-want +got):\n%s", settled, d)
	}
	if k := graphs[0].Source.Columns(width, first+10, got); k != settled-10 || got[0] != want[10] {
		t.Errorf("shifted by 10: %d settled, %+v", k, got[0])
	}
	if k := graphs[0].Source.Columns(2*width, first, got); k != 0 {
		t.Errorf("of another width %d are settled at once", k)
	}
}

// A tool within another sends its graphs up, and takes them along when it ends.
func TestGuests(t *testing.T) {
	outer, toOuter := served(t)
	_, inner := served(t)
	if err := toOuter.Post("/v1/guests", guest{inner.Path}, nil); err != nil {
		t.Fatal(err)
	}
	graphs := outer.guests.graphs()
	if len(graphs) != 2 {
		t.Fatalf("%d graphs", len(graphs))
	}
	if err := toOuter.Post("/v1/guests", guest{"/nowhere"}, nil); err == nil {
		t.Error("a guest that is not there was welcome")
	}
	os.Remove(inner.Path)
	for end := time.Now().Add(5 * time.Second); len(outer.guests.graphs()) > 0; time.Sleep(20 * time.Millisecond) {
		graphs[0].Source.Columns(time.Second, 0, make([]meter.Sum, 1))
		graphs[1].Source.Columns(time.Second, 0, make([]meter.Sum, 1))
		if time.Now().After(end) {
			t.Fatal("the guest has gone, but not its graphs")
		}
	}
}

// Whatever is asked, the answer is columns or what would be right, and soon.
func FuzzColumns(f *testing.F) {
	for _, q := range []string{"direction=uplink&width_ms=100&first=5&count=10", "direction=sideways&width_ms=1&first=0&count=1",
		"direction=uplink&width_ms=600000&first=9223372036854775807&count=10000", "width_ms=1", "direction=downlink&width_ms=120&first=0&count=10000", "%zz"} {
		f.Add(q)
	}
	_, client := served(f)
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.ParseRequestURI("/v1/columns?" + query); err != nil || strings.ContainsAny(query, " \r\n") {
			return // no request
		}
		var a columns
		err := client.Get("/v1/columns?"+query, &a)
		if err != nil && !strings.HasPrefix(err.Error(), "direction is uplink or downlink") {
			t.Errorf("%q: %v", query, err)
		}
		if err == nil && (len(a.Columns) == 0 || len(a.Columns) > mostColumns || a.Settled > len(a.Columns)) {
			t.Errorf("%q: %d columns, %d settled", query, len(a.Columns), a.Settled)
		}
	})
}

// Lines and summary have what happened.
func TestPrinter(t *testing.T) {
	s, _ := served(t)
	for k := range 10_000 {
		s.up.Counter.Depart(time.Duration(k)*time.Millisecond, packet.Packet{Size: 1500, Arrival: time.Duration(k-4) * time.Millisecond}, 0)
	}
	s.up.Counter.Drop(9500*time.Millisecond, packet.Packet{}, "full")
	var b strings.Builder
	p := &printer{Display: &Display{interval: 100 * time.Millisecond}, stage: s, to: &b, end: make(chan struct{}), done: make(chan struct{})}
	close(p.done)
	p.write(9600*time.Millisecond, 9500*time.Millisecond, 9600*time.Millisecond)
	if want := "gm-link: 9.6 s  uplink 12 Mbit/s of 8 kbit/s, 1 dropped  downlink 0 bit/s\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	p.finish()
	if got := b.String(); !strings.HasPrefix(got, "gm-link: uplink: mean 1") || !strings.Contains(got, "peak 12 Mbit/s, 1 dropped ███") {
		t.Errorf("%q", got)
	}
	b.Reset()
	p.Json = true
	p.write(9600*time.Millisecond, 9500*time.Millisecond, 9600*time.Millisecond)
	var got struct{ Uplink line }
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got.Uplink.Rate != 12e6 || *got.Uplink.Dropped != 1 || *got.Uplink.Delay != 4 {
		t.Errorf("%s: %v", b.String(), err)
	}
}
