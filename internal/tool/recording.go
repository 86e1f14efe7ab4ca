package tool

import (
	"os"
	"strings"
	"time"

	"gomahi/effects"
	"gomahi/effects/record"
	"gomahi/packet"
)

// Recording are the options of tools that write down what their link does.
type Recording struct {
	UplinkLog    string `placeholder:"FILE" help:"Write mahimahi's log of the uplink."`
	DownlinkLog  string `placeholder:"FILE" help:"Likewise of the downlink."`
	UplinkPcap   string `placeholder:"FILE" help:"Capture the uplink, before and after the link, in pcapng."`
	DownlinkPcap string `placeholder:"FILE" help:"Likewise the downlink."`
	Events       string `placeholder:"FILE" help:"Write every arrival, drop and departure as JSON lines."`
}

// openRecords opens the files that are wanted.
func (o *Recording) openRecords(l *Link) (map[string]*output, error) {
	return l.create(o.UplinkLog, o.DownlinkLog, o.UplinkPcap, o.DownlinkPcap, o.Events)
}

// recorder writes what the options ask for of one direction, or is nil. The source is the trace's file, or the rate.
func (o *Recording) recorder(l *Link, direction, source, queue string, c record.Capacity, out map[string]*output) *record.Recorder {
	log, pcap := o.UplinkLog, o.UplinkPcap
	if direction == "downlink" {
		log, pcap = o.DownlinkLog, o.DownlinkPcap
	}
	if log == "" && pcap == "" && o.Events == "" {
		return nil
	}
	r := record.New()
	to := func(name string) *output {
		out[name].users++
		return out[name]
	}
	if log != "" {
		r.Log(record.Head{Link: strings.ToUpper(direction[:1]) + direction[1:], Trace: source, Log: log, Command: quoted(l.Args),
			Queue: queue, Init: l.Start, Config: os.Getenv("MAHIMAHI_SHELL_PREFIX")}, c, to(log))
	}
	if pcap != "" {
		r.Pcap(pcap, l.Start, to(pcap))
	}
	if o.Events != "" {
		r.Events(o.Events, direction, to(o.Events))
	}
	r.Start()
	l.Finish = append(l.Finish, r.Close)
	return r
}

func quoted(args []string) string {
	var s []string
	for _, a := range args {
		s = append(s, "'"+a+"'")
	}
	return strings.Join(s, " ")
}

// watched tells the tally of drops, too.
type watched struct {
	effects.LinkObserver
	drops effects.Observer
}

func (w watched) Drop(now time.Duration, p packet.Packet, reason string) {
	w.drops.Drop(now, p, reason)
	w.LinkObserver.Drop(now, p, reason)
}

// both tells two of drops.
type both [2]effects.Observer

func (b both) Drop(now time.Duration, p packet.Packet, reason string) {
	b[0].Drop(now, p, reason)
	b[1].Drop(now, p, reason)
}
