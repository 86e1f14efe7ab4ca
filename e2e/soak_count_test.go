package e2e

import (
	"strconv"
	"strings"
	"testing"

	"gomahi/internal/report"
)

// counters are what the kernel counted in a network namespace: that of the host, or of a level's container.
type counters struct {
	device map[string]uint64 // "ingress rx" is the frames that it got from us, "ingress tx" those that it gave us
	snmp   map[string]uint64 // net/snmp and net/snmp6, as "Ip InDelivers" and "Ip6InDelivers"
}

// counters reads those of all levels, the host's first.
func (s *soak) counters(t testing.TB) (all []*counters) {
	for _, p := range append(append([]int(nil), s.tools...), s.traffic) {
		c := &counters{map[string]uint64{}, map[string]uint64{}}
		for _, line := range strings.Split(readProc(t, p, "net/dev"), "\n")[2:] {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			if f := strings.Fields(rest); len(f) > 9 {
				c.device[name+" rx"], c.device[name+" tx"] = parsed(f[1]), parsed(f[9])
			}
		}
		lines := strings.Split(readProc(t, p, "net/snmp"), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			keys, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
			for k := 1; k < len(keys); k++ {
				c.snmp[strings.TrimSuffix(keys[0], ":")+" "+keys[k]] = parsed(values[k])
			}
		}
		for _, line := range strings.Split(readProc(t, p, "net/snmp6"), "\n") {
			if f := strings.Fields(line); len(f) == 2 {
				c.snmp[f[0]] = parsed(f[1])
			}
		}
		all = append(all, c)
	}
	return all
}

func parsed(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func (c *counters) minus(b *counters) *counters {
	d := &counters{map[string]uint64{}, map[string]uint64{}}
	for k, v := range c.device {
		d.device[k] = v - b.device[k]
	}
	for k, v := range c.snmp {
		d.snmp[k] = v - b.snmp[k]
	}
	return d
}

// of is the sum of the counters of both families that have these names.
func (c *counters) of(names ...string) (n uint64) {
	for _, name := range names {
		n += c.snmp["Ip "+name] + c.snmp["Ip6"+name]
	}
	return n
}

// tun is what the device of a tool's process counted.
func (c *counters) tun(pid int, way string) uint64 {
	for k, v := range c.device {
		name, w, _ := strings.Cut(k, " ")
		if isDeviceOf(name, pid) && w == way {
			return v
		}
	}
	return 0
}

// judgeDevices compares what a level says of itself with what the kernel says of its devices.
func (s *soak) judgeDevices(tool, way string, reads, writes *report.Direction, tx, rx uint64) {
	if reads.Reads != tx {
		s.t.Errorf("%s %s: %d frames read, and the kernel gave out %d", tool, way, reads.Reads, tx)
	}
	if rx > writes.Writes || rx+writes.Refused < writes.Writes {
		s.t.Errorf("%s %s: %d frames written and %d packets refused, and the kernel got %d", tool, way, writes.Writes, writes.Refused, rx)
	}
}

func (s *soak) judgeLevel(r *report.Report, outside, inside *counters, pid int) {
	s.judgeDevices(r.Tool, "uplink", &r.Uplink, &r.Uplink, inside.device["ingress tx"], outside.tun(pid, "rx"))
	s.judgeDevices(r.Tool, "downlink", &r.Downlink, &r.Downlink, outside.tun(pid, "tx"), inside.device["ingress rx"])
}

// mostPackets is how many wire packets a frame has at most.
const mostPackets = 64

// judgeBetween compares what one level put out with what the next took in. Between them is a kernel, which counts what
// it eats, since it makes no sense, is for itself or waits to be put together, and what it makes: answers and fragments.
// Both directions are one sum: while the inner device is down, what is for it goes back by the default route.
func (s *soak) judgeBetween(outer, inner *report.Report, between *counters) {
	frames := between.of("InDelivers", "InHdrErrors", "InAddrErrors", "InTooBigErrors", "InNoRoutes", "InUnknownProtos",
		"InTruncatedPkts", "InDiscards", "OutDiscards", "OutNoRoutes", "FragFails", "ReasmFails")
	// Of IPv6, connection tracking counts no fragments that it takes in; but those that it makes had come.
	fragmented := between.of("FragOKs", "ReasmReqds", "FragCreates")
	eaten := inner.Untranslated + mostPackets*frames + fragmented
	made := between.of("OutRequests", "FragCreates")
	lost, unread := int64(0), uint64(0)
	for _, d := range [][2]*report.Direction{{&inner.Uplink, &outer.Uplink}, {&outer.Downlink, &inner.Downlink}} {
		lost += int64(d[0].Out.Packets-d[0].Refused) - int64(d[1].In.Packets)
		unread += d[1].Unread
	}
	s.t.Logf("%s and %s: %d lost of %d packets between them; the kernel there ate %d frames and %d fragments, and made %d; %d frames "+
		"were unread", outer.Tool, inner.Tool, lost, inner.Uplink.Out.Packets+outer.Downlink.Out.Packets, frames, fragmented, made, unread)
	if most := int64(eaten + mostPackets*unread); lost > most || lost < -int64(made) {
		s.t.Errorf("%s and %s: %d packets lost between them, want %d to %d: %+v", outer.Tool, inner.Tool, lost, -int64(made), most, between.snmp)
	}
}

// judgeFused compares levels in one process: there nothing may be lost between.
func (s *soak) judgeFused(reports []*report.Report, outside, inside *counters) {
	outer, inner := reports[0], reports[len(reports)-1]
	s.judgeDevices("all", "uplink", &inner.Uplink, &outer.Uplink, inside.device["ingress tx"], outside.tun(s.tools[0], "rx"))
	s.judgeDevices("all", "downlink", &outer.Downlink, &inner.Downlink, outside.tun(s.tools[0], "tx"), inside.device["ingress rx"])
	for i := range len(reports) - 1 {
		outer, inner := reports[i], reports[i+1]
		if inner.Uplink.Out != outer.Uplink.In || outer.Downlink.Out != inner.Downlink.In {
			s.t.Errorf("between %s and %s packets are lost: %+v, %+v; %+v, %+v", outer.Tool, inner.Tool, inner.Uplink.Out, outer.Uplink.In,
				outer.Downlink.Out, inner.Downlink.In)
		}
	}
}
