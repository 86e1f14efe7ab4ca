package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/internal/cli"
	"gomahi/packet"
)

// steered is a tool's level whose stages are run as ferries would, on two goroutines that say when they are roused.
type steered struct {
	*steering
	link     *Link
	up, down *tally
	end      []chan struct{}
}

func steeredOf(t testing.TB, line string) *steered {
	t.Helper()
	s := &steered{up: new(tally), down: new(tally)}
	tool, _ := fill(t, line)
	s.link = &Link{UpDrops: s.up, DownDrops: s.down, Start: time.Now()}
	if err := tool.Link(s.link); err != nil {
		t.Fatal(err)
	}
	rouse := new(atomic.Pointer[func()])
	s.steering = newStage(tool, s.link, nil, nil, s.up, s.down, rouse).steering
	var wakes []chan struct{}
	for _, stage := range []interface {
		Pop(time.Duration) (packet.Packet, bool)
	}{s.link.Uplink, s.link.Downlink} {
		wake, end := make(chan struct{}, 1), make(chan struct{})
		wakes, s.end = append(wakes, wake), append(s.end, end)
		go func() {
			for range wake {
				stage.Pop(time.Since(s.link.Start))
			}
			close(end)
		}()
	}
	f := func() {
		for _, w := range wakes {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
	rouse.Store(&f)
	t.Cleanup(func() {
		s.lock.Lock()
		for i, w := range wakes {
			close(w)
			<-s.end[i]
		}
		rouse.Store(nil)
		s.lock.Unlock()
	})
	return s
}

// words are both directions' states.
func (s *steered) words() string {
	up, down := s.look()
	var w []string
	for _, d := range []*sideState{&up, &down} {
		words := d.words(0)
		w = append(w, strings.TrimSuffix(strings.TrimSuffix(words, "now 0 bit/s"), ", "))
	}
	return strings.Join(w, " | ")
}

// Settings change what they say, in the directions that they mean, of every tool that has something to set.
func TestSet(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(trace, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ line, settings, want string }{
		{"gm-delay 50 true", "delay=80ms", "80 ms | 80 ms"},
		{"gm-delay 50 true", "uplink.delay=0.0005", "0.0005 ms | 50 ms"},
		{"gm-delay 50 true", "downlink.delay=1s uplink.delay=2", "2 ms | 1000 ms"},
		{"gm-delay 50 true", "link=down delay=3", "down, 3 ms | down, 3 ms"},
		{"gm-delay 50 true", "uplink.link=down", "down, 50 ms | 50 ms"},
		{"gm-loss both 1% true", "loss=0.05", "5 % lost | 5 % lost"},
		{"gm-loss downlink 1% true", "loss=5%", " | 5 % lost"},
		{"gm-link 12Mbps 6Mbps true", "uplink.delay=80ms loss=2% rate=5Mbps queue.packets=100",
			"5 Mbit/s, 80 ms, 2 % lost, queue 100 packets | 5 Mbit/s, 2 % lost, queue 100 packets"},
		{"gm-link 12Mbps 6Mbps --uplink-queue=codel --uplink-queue-args=packets=10 true", "downlink.queue.ms=1.5",
			"12 Mbit/s, queue codel [packets=10] | 6 Mbit/s, queue 1.5 ms"},
		{"gm-link TRACE 6Mbps true", "downlink.rate=1Mbps uplink.delay=1", "as TRACE, 1 ms | 1 Mbit/s"},
		{"gm-path FILE true", "delay=1 rate=2Mbps loss=3% jitter=4 queue.bdp=5",
			"2 Mbit/s, 1 ms, jitter 4 ms, 3 % lost, queue 5 bdp | 2 Mbit/s, 1 ms, jitter 4 ms, 3 % lost, queue 5 bdp"},
		{"gm-jitter uplink 10 true", "jitter=20us", "jitter 0.02 ms | "},
		{"gm-shape both 12Mbps --burst=3000 true", "rate=1Mbps queue.bytes=3000", "1 Mbit/s, queue 3000 bytes | 1 Mbit/s, queue 3000 bytes"},
		{"gm-profile wpt/dsl true", "uplink.rate=1Mbps downlink.link=down", "1 Mbit/s, 25 ms, queue droptail [bytes=48000] | down, 1.5 Mbit/s, 25 ms, queue droptail [bytes=187500]"},
		{"gm-onoff both 10 1 true", "link=down", "down | down"},
		{"gm-meter true", "downlink.link=down", " | down"},
	} {
		t.Run(row.line+" "+row.settings, func(t *testing.T) {
			names := strings.NewReplacer("TRACE", trace, "FILE", onePath(t))
			s := steeredOf(t, names.Replace(row.line))
			if err := s.set(given(row.settings)); err != nil {
				t.Fatal(err)
			}
			if got := s.words(); got != names.Replace(row.want) {
				t.Errorf("%s\nwant %s", got, names.Replace(row.want))
			}
		})
	}
}

// onePath is a scenario of one row.
func onePath(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "one.csv")
	if err := os.WriteFile(file, []byte("Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,40,12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func given(settings string) map[string]string {
	out := map[string]string{}
	for _, w := range strings.Fields(settings) {
		name, value, _ := strings.Cut(w, "=")
		out[name] = value
	}
	return out
}

// A wrong setting changes nothing, and says what is wrong as the command line does.
func TestWrongSettings(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(trace, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ line, settings, problem, hint string }{
		{"gm-delay 50 true", "", "there is nothing to set", "as in delay=80ms"},
		{"gm-delay 50 true", "delay=x", `delay "x" is not a duration`, "give a number of milliseconds, or one with a unit: 20ms, 0.2s, 250us"},
		{"gm-delay 50 true", "uplink.delay=-1", `uplink delay "-1" is negative`, "give a number of milliseconds"},
		{"gm-delay 50 true", "loss=2%", "gm-delay has no loss to set", "gm-delay takes delay, link; each for both"},
		{"gm-delay 50 true", "color=red", `unknown quantity "color"`, "gm-delay takes delay, link"},
		{"gm-delay 50 true", "delay=1 uplink.delay=2", "uplink.delay after delay", "give each once"},
		{"gm-delay 50 true", "link=off", `link "off" is neither`, "a link is up or down"},
		{"gm-delay 50 true", "delay=1 link=sideways", `link "sideways" is neither`, ""},
		{"gm-loss downlink 1% true", "uplink.loss=5%", "the uplink of gm-loss has no loss to set", "it takes link"},
		{"gm-loss both 1% true", "loss=120%", `loss "120%" is more than 1`, "give a number from 0 to 1, or a percentage"},
		{"gm-link 12Mbps 6Mbps true", "delay=3 rate=5", `"5" has no unit`, ""},
		{"gm-link 12Mbps 6Mbps true", "queue.packets=0", `queue argument "packets=0" is zero`, "give a whole number of packets from 1"},
		{"gm-link 12Mbps 6Mbps true", "queue.packets=1,bytes=2", `queue packets "1,bytes=2" is not a number`, ""},
		{"gm-link 12Mbps 6Mbps true", "queue.packets=1 queue.ms=2", "queue.packets after queue.ms", "a queue has one limit"},
		{"gm-link TRACE 6Mbps true", "rate=5Mbps", "the uplink follows the trace TRACE", "a rate can be changed of a direction that was given one"},
		{"gm-shape both 5Mbps --burst=3000 --peak=20Mbps true", "rate=20Mbps", `peak rate "20Mbps" is not above the rate 20 Mbit/s`, ""},
		{"gm-shape both 5Mbps --burst=3000 --police true", "queue.packets=20", "gm-shape has no queue.packets to set", ""},
	} {
		t.Run(row.line+" "+row.settings, func(t *testing.T) {
			names := strings.NewReplacer("TRACE", trace)
			s := steeredOf(t, names.Replace(row.line))
			before := s.words()
			err := s.set(given(row.settings))
			var usage *cli.UsageError
			if !errors.As(err, &usage) || !strings.Contains(usage.Problem, names.Replace(row.problem)) || !strings.Contains(usage.Hint, row.hint) {
				t.Errorf("%v, want %s, %s", err, row.problem, row.hint)
			}
			if now := s.words(); now != before {
				t.Errorf("it is %s, and was %s", now, before)
			}
			if len(s.link.Up.changes)+len(s.link.Down.changes) > 0 {
				t.Error("it tells of a change")
			}
		})
	}
}

// A change is in the report, with what was before; and while it is down, what arrives is dropped, and counted.
func TestChangesReported(t *testing.T) {
	s := steeredOf(t, "gm-delay 50 true")
	if err := s.set(given("uplink.delay=80ms")); err != nil {
		t.Fatal(err)
	}
	if err := s.set(given("link=down")); err != nil {
		t.Fatal(err)
	}
	up, _ := s.look()
	changes := s.link.Up.changes
	if len(changes) != 3 || changes[0].At != 0 || changes[0].Delay != 50 || changes[1].Delay != 80 || changes[1].Link != "up" ||
		changes[2].Delay != 80 || changes[2].Link != "down" || changes[1].At <= 0 || changes[2].At < changes[1].At || int64(up.At) < changes[2].At {
		t.Errorf("%+v", changes)
	}
	if got := s.link.Down.changes; len(got) != 2 || got[1].Delay != 50 || got[1].Link != "down" {
		t.Errorf("downlink %+v", got)
	}
}

// Without anyone to carry packets nothing is changed; it is said so, and later ones are not kept from it.
func TestNotCarried(t *testing.T) {
	s := steeredOf(t, "gm-delay 50 true")
	rouse := s.rouse.Load()
	nothing := func() {}
	s.rouse.Store(&nothing)
	if err := s.set(given("delay=3")); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%v", err)
	}
	s.rouse.Store(rouse)
	if got := s.words(); got != "50 ms | 50 ms" {
		t.Error(got)
	}
	if err := s.set(given("delay=4")); err != nil {
		t.Error(err)
	}
}

// A scenario begins when it is sent, in both directions at the same time.
func TestReplay(t *testing.T) {
	const header = "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n"
	s := steeredOf(t, "gm-path "+onePath(t)+" true")
	if err := s.replay(&replay{Scenario: header + "0,0,10,1\n3600000,0,20,1\n", Downlink: header + "0,0,30,2\n"}); err != nil {
		t.Fatal(err)
	}
	if got := s.words(); got != "1 Mbit/s, 10 ms, queue 1 bdp | 2 Mbit/s, 30 ms, queue 1 bdp" {
		t.Error(got)
	}
	for _, row := range []struct {
		r    replay
		want string
	}{
		{replay{Name: "x.csv", Scenario: header + "0,0,x,1\n"}, `x.csv:2:5: delay "x" is not a number`},
		{replay{Scenario: header + "0,0,1,1\n", Downlink: "y\n", DownlinkName: "y.csv"}, `y.csv:1:1: unknown column "y"`},
		{replay{Name: "x.csv", Scenario: header + "0,0,1,1\n", Loop: true}, "x.csv has but one row"},
		{replay{}, "scenario: it is empty"},
	} {
		var usage *cli.UsageError
		if err := s.replay(&row.r); !errors.As(err, &usage) || !strings.Contains(usage.Problem, row.want) {
			t.Errorf("%v, want %s", err, row.want)
		}
	}
	if got := s.words(); got != "1 Mbit/s, 10 ms, queue 1 bdp | 2 Mbit/s, 30 ms, queue 1 bdp" {
		t.Errorf("after wrong ones it is %s", got)
	}
}

// Tools that know no scenarios play those that are about what they have.
func TestReplayElsewhere(t *testing.T) {
	for _, row := range []struct{ line, rows, want, problem string }{
		{"gm-delay 50 true", "Time[ms],Delay[ms]\n0,7\n", "7 ms | 7 ms", ""},
		{"gm-delay 50 true", "Time[ms],Delay[ms],Link[up|down]\n0,7,down\n", "down, 7 ms | down, 7 ms", ""},
		{"gm-delay 50 true", "Time[ms],Delay[ms],Rate[Mbps]\n0,7,1\n", "50 ms | 50 ms", "the uplink of gm-delay has no rate to set"},
		{"gm-loss downlink 1% true", "Time[ms],Loss[%]\n0,3\n", " | 3 % lost", ""},
		{"gm-link 8Mbps 4Mbps --uplink-delay=5 true", "Time[ms],Rate[Mbps],Queue[packets]\n0,7,9\n",
			"7 Mbit/s, 5 ms, queue 9 packets | 7 Mbit/s, queue 9 packets", ""},
		{"gm-link 8Mbps 4Mbps true", "Time[ms],Rate[Mbps],Queue[bdp]\n0,7,9\n", "8 Mbit/s | 4 Mbit/s", "has no queue.bdp to set"},
		{"gm-link 8Mbps 4Mbps true", "Time[ms],RouteID,Rate[Mbps]\n0,0,7\n1,1,7\n", "8 Mbit/s | 4 Mbit/s", "has no routes to change"},
		{"gm-shape both 8Mbps --burst=3000 --peak=9Mbps true", "Time[ms],Rate[Mbps]\n0,7\n1,9\n", "8 Mbit/s | 8 Mbit/s", "peak rate"},
		{"gm-meter true", "Time[ms],Delay[ms]\n0,7\n", " | ", "gm-meter cannot play a scenario"},
	} {
		t.Run(row.line+" "+row.rows, func(t *testing.T) {
			s := steeredOf(t, row.line)
			err := s.replay(&replay{Scenario: row.rows})
			var usage *cli.UsageError
			if row.problem == "" && err != nil || row.problem != "" && (!errors.As(err, &usage) || !strings.Contains(usage.Problem, row.problem)) {
				t.Errorf("%v, want %s", err, row.problem)
			}
			if got := s.words(); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// What a link could have carried follows its rate.
func TestChangedCapacity(t *testing.T) {
	s := steeredOf(t, "gm-link 8Mbps 8Mbps true")
	if err := s.set(given("uplink.rate=80Mbps")); err != nil {
		t.Fatal(err)
	}
	if err := s.set(given("uplink.link=down")); err != nil {
		t.Fatal(err)
	}
	changes := s.link.Up.changes
	first, second := time.Duration(changes[1].At), time.Duration(changes[2].At)
	want := first.Seconds()*1e6 + (second-first).Seconds()*1e7
	if got := float64(s.link.Up.capacity(time.Hour)); got < want-3 || got > want+3 {
		t.Errorf("%v bytes, want %v", got, want)
	}
	if got := s.link.Down.capacity(time.Second); got != 1e6 {
		t.Errorf("downlink %v bytes, want 1000000", got)
	}
}

// Every program's completion is printed, and no other's.
func TestPrograms(t *testing.T) {
	dirs, err := filepath.Glob("../../cmd/gm-*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range dirs {
		dirs[i] = filepath.Base(dirs[i])
	}
	slices.Sort(dirs)
	if d := cmp.Diff(dirs, programs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSettings(t *testing.T) {
	for _, row := range []struct{ body, want, wrong string }{
		{`{}`, "map[]", ""},
		{`{"delay":"1ms"}`, "map[delay:1ms]", ""},
		{` {"delay":"1ms","loss":0.5e-3} `, "map[delay:1ms loss:0.5e-3]", ""},
		{`{"delay":"1ms","loss":0,"delay":"2ms"}`, "", "delay is given twice"},
		{`{"a":1,"a":1}`, "", "a is given twice"},
		{`{"a":{"a":1}}`, "", "the value of a is neither a string nor a number"},
		{`{"a":null}`, "", "the value of a is neither a string nor a number"},
		{`{"a":[1],"b":2}`, "", "the value of a is neither a string nor a number"},
		{`[1,1]`, "", "[1,1] is no object"},
		{`1`, "", "1 is no object"},
		{`null`, "", "null is no object"},
		{`{"a":1`, "", "unexpected end of JSON input"},
	} {
		got, err := settings(func(into any) error { return json.Unmarshal([]byte(row.body), into) })
		if row.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), row.wrong) {
				t.Errorf("%s: %v, want %s", row.body, err, row.wrong)
			}
		} else if err != nil || fmt.Sprint(got) != row.want {
			t.Errorf("%s: %v, %v; want %s", row.body, got, err, row.want)
		}
	}
}

// Whatever is posted, either it is refused and nothing changes, or what it says holds afterwards; and values stay in range.
func FuzzSet(f *testing.F) {
	for _, s := range []string{`{"delay":"80ms"}`, `{"uplink.rate":"5Mbps","loss":0.5,"queue.packets":"100"}`, `{"link":"down"}`, `{"queue.bdp":1}`,
		`{"downlink.queue.ms":"1e3","delay":1}`, `[]`, `{"rate":null}`, `{"":""}`, `{"delay":"1","uplink.delay":2}`} {
		f.Add([]byte(s))
	}
	s := steeredOf(f, "gm-path "+onePath(f)+" true")
	f.Fuzz(func(t *testing.T, body []byte) {
		s.look()
		up, down := s.sides[0].last.state, s.sides[1].last.state
		all, err := settings(func(into any) error { return json.Unmarshal(body, into) })
		if err == nil {
			err = s.set(all)
		}
		s.look()
		for i, before := range []any{up, down} {
			now := s.sides[i].last.state
			if err != nil && any(now) != before {
				t.Errorf("%s: %v, and %v became %v", body, err, before, now)
			}
			if now.Delay < 0 || now.Jitter < 0 || now.Rate < 1 || !(now.Loss >= 0 && now.Loss <= 1) || now.Queue.Value <= 0 {
				t.Errorf("%s makes %+v", body, now)
			}
			packets, bytes := now.Limits()
			if packets < 1 || bytes < 1500 {
				t.Errorf("%s: a queue of %d packets and %d bytes", body, packets, bytes)
			}
		}
		var usage *cli.UsageError
		if err != nil && (!errors.As(err, &usage) || usage.Hint == "") {
			t.Errorf("%s: %v", body, err)
		}
	})
}

// Prometheus' text format: each metric's help and type once before its samples, and each sample once.
func TestMetrics(t *testing.T) {
	s := steeredOf(t, "gm-link 12Mbps 6Mbps --uplink-delay=20 true")
	s.up.drops.add("queue full", 1500)
	s.up.drops.add("random \"loss\"\\\n", 1500)
	up, down := s.look()
	text := string(metrics("gm-link", `gm-link "a" \b`, up, down))
	seen, kind := map[string]bool{}, map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if words := strings.Fields(line); words[0] == "#" {
			if words[1] == "TYPE" {
				if kind[words[2]] != "" || words[3] != "counter" && words[3] != "gauge" {
					t.Errorf("%q", line)
				}
				kind[words[2]] = words[3]
			}
			continue
		}
		name, _, _ := strings.Cut(line, "{")
		series, value, _ := strings.Cut(line, "} ")
		var v float64
		if _, err := fmt.Sscan(value, &v); err != nil || kind[name] == "" || seen[series] || strings.HasSuffix(name, "_total") != (kind[name] == "counter") {
			t.Errorf("%q", line)
		}
		seen[series] = true
	}
	for _, want := range []string{
		`gomahi_rate_bits_per_second{tool="gm-link",level="gm-link \"a\" \\b",direction="downlink"} 6e+06`,
		`gomahi_delay_seconds{tool="gm-link",level="gm-link \"a\" \\b",direction="uplink"} 0.02`,
		`gomahi_dropped_packets_total{tool="gm-link",level="gm-link \"a\" \\b",direction="uplink",reason="queue full"} 1`,
		`gomahi_dropped_packets_total{tool="gm-link",level="gm-link \"a\" \\b",direction="uplink",reason="random \"loss\"\\\n"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
