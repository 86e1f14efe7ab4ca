package record_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/record"
	"gomahi/packet"
	"gomahi/scenario"
	"gomahi/tun/tuntest"
)

// changing records a path of 8 Mbit/s, 1000 bytes a millisecond: three times that from 1.5 ms on, when 1 ms has been
// written, down from 3 ms to 4 ms, and without limit from 5 ms on.
func changing(r *record.Recorder) {
	s := scenario.State{Delay: 41200 * time.Microsecond, Rate: 8e6, Queue: scenario.Queue{Unit: scenario.BDP, Value: 1}}
	change := func(at time.Duration, f func()) {
		f()
		r.Change(scenario.Change{At: at, State: s})
	}
	change(0, func() {})
	p := tuntest.Frame(new(packet.Pool), datagrams(1)).Packet(0, ms+1)
	r.Arrive(ms+1, p)
	change(ms+ms/2, func() { s.Rate, s.Route = 24e6, 1 })
	change(3*ms, func() { s.Down = true })
	change(4*ms, func() { s.Down, s.Loss, s.Jitter = false, 0.5, ms })
	change(5*ms, func() { s.Rate = 0 })
}

func TestChanges(t *testing.T) {
	var log, events, pcap memory
	r := record.New()
	r.Log(record.Head{}, record.Capacity{Rate: 8e6}, &log)
	r.Events("e", "uplink", &events)
	r.Pcap("p", time.Unix(0, 0), &pcap)
	r.Start()
	changing(r)
	if err := r.Close(7 * ms); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(log.String(), "# base timestamp: 0\n")
	want := "# change: 0 ns: route 0, delay 41.2 ms, rate 8000000 bit/s, queue 1 bdp\n0 # 1000\n1 # 1000\n1 + 128\n" +
		"# change: 1500000 ns: route 1, delay 41.2 ms, rate 24000000 bit/s, queue 1 bdp\n2 # 4000\n" + // the other 1000 of 1 ms
		"# change: 3000000 ns: route 1, delay 41.2 ms, rate 24000000 bit/s, queue 1 bdp, link down\n3 # 0\n" +
		"# change: 4000000 ns: route 1, delay 41.2 ms, rate 24000000 bit/s, queue 1 bdp, loss 0.5, jitter 1 ms\n4 # 3000\n" +
		"# change: 5000000 ns: route 1, delay 41.2 ms, loss 0.5, jitter 1 ms\n"
	if d := cmp.Diff(want, body); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	lines := strings.Split(events.String(), "\n")
	const last = `{"t":4000000,"link":"uplink","event":"change","route":1,"delay":41200000,"rate":24000000,"loss":0.5,"jitter":1000000,"queue":"1 bdp","state":"up"}`
	if len(lines) != 7 || lines[4] != last || !strings.Contains(lines[3], `"state":"down"`) {
		t.Errorf("events:\n%s\nwant the fifth to be\n%s", events.String(), last)
	}
}
