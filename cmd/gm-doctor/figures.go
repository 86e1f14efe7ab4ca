package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomahi/internal/host"
)

const busy = "stop what else runs here, or use --precise"

// delay measures round trips through gm-delay against twice its delay.
func (m meter) delay() host.Finding {
	const tool, nominal, n = "gm-delay", 10 * time.Millisecond, 100
	c, err := m.datagrams()
	if err != nil {
		return broken(tool, err)
	}
	defer c.Close()
	go echo(c)
	defer stopEcho(c)
	out, err := m.run([]string{"rtt", c.LocalAddr().String(), strconv.Itoa(n)}, tool, "10")
	if err != nil {
		return broken(tool, err)
	}
	var off []time.Duration
	for line := range strings.Lines(string(out)) {
		if ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
			off = append(off, time.Duration(ns)-2*nominal)
		}
	}
	return judgeDelay(off, n)
}

// judgeDelay is of the errors of the round trips that came back, of n.
func judgeDelay(off []time.Duration, n int) host.Finding {
	const usual, rare = time.Millisecond, 3 * time.Millisecond // bearable for half of them, for 99 of 100
	f := host.Finding{Name: "delay"}
	if len(off) < n {
		f.Vital, f.Says = true, fmt.Sprintf("of %d pings through gm-delay %d came back", n, len(off))
		f.Means = "cannot carry packets reliably"
		return f
	}
	slices.Sort(off)
	p50, p99 := off[len(off)/2], off[len(off)*99/100]
	f.OK = off[0] >= 0 && p50 <= usual && p99 <= rare
	f.Says = fmt.Sprintf("an RTT of 20 ms is off by %s ms (99 %%: %s ms)", ms(p50), ms(p99))
	f.Figures = map[string]float64{"rtt_error_p50_us": float64(p50) / 1e3, "rtt_error_p99_us": float64(p99) / 1e3}
	if !f.OK {
		f.Means, f.Mend = "this machine adds a delay of its own", busy
	}
	return f
}

// ms is a time in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }

// loss counts what gm-loss lets through, drawing from a fixed seed.
func (m meter) loss() host.Finding {
	const tool, n = "gm-loss", 5000
	c, err := m.datagrams()
	if err != nil {
		return broken(tool, err)
	}
	defer c.Close()
	arrived := make(chan int)
	go func() { arrived <- len(arrivals(c)) }()
	const pace = 100 * time.Microsecond
	if _, err := m.run([]string{"send", c.LocalAddr().String(), strconv.Itoa(n), "100", nanoseconds(pace)},
		tool, "--seed=1", "uplink", "0.1"); err != nil {
		return broken(tool, err)
	}
	c.SetReadDeadline(time.Now().Add(quiet))
	return judgeLoss(<-arrived, n)
}

// judgeLoss allows for three standard deviations of the binomial distribution.
func judgeLoss(arrived, n int) host.Finding {
	const nominal = 0.1
	lost := 1 - float64(arrived)/float64(n)
	tolerance := 3 * math.Sqrt(nominal*(1-nominal)/float64(n))
	f := host.Finding{Name: "loss", OK: math.Abs(lost-nominal) <= tolerance,
		Says:    fmt.Sprintf("a loss of 10 %% is %.2f %% (by chance %.1f to %.1f %%)", 100*lost, 100*(nominal-tolerance), 100*(nominal+tolerance)),
		Figures: map[string]float64{"loss": lost, "loss_tolerance": tolerance, "packets": float64(n)}}
	if !f.OK {
		f.Means, f.Mend = "this machine loses packets of its own", "stop what else runs here"
	}
	return f
}

// rate measures the time that packets need through a link of 12 Mbit/s, which carries one each millisecond.
func (m meter) rate() host.Finding {
	const tool, n, payload = "gm-link", 600, 1500 - 28
	c, err := m.datagrams()
	if err != nil {
		return broken(tool, err)
	}
	defer c.Close()
	arrived := make(chan []time.Time)
	go func() { arrived <- arrivals(c) }()
	if _, err := m.run([]string{"send", c.LocalAddr().String(), strconv.Itoa(n), strconv.Itoa(payload), "0"},
		tool, "12Mbps", "12Mbps"); err != nil {
		return broken(tool, err)
	}
	c.SetReadDeadline(time.Now().Add(quiet))
	return judgeRate(<-arrived, n)
}

func judgeRate(at []time.Time, n int) host.Finding {
	const nominal, size, bearable = 12e6, 1500 * 8, 0.01
	f := host.Finding{Name: "rate"}
	if len(at) < n {
		f.Vital, f.Says = true, fmt.Sprintf("of %d packets through gm-link %d arrived", n, len(at))
		f.Means = "cannot carry packets reliably"
		return f
	}
	took := at[len(at)-1].Sub(at[0]).Seconds()
	rate := float64(len(at)-1) * size / took
	off := rate/nominal - 1
	f.OK = math.Abs(off) <= bearable
	f.Says = fmt.Sprintf("12 Mbit/s is %.3f Mbit/s, off by %.2f %%", rate/1e6, 100*math.Abs(off))
	f.Figures = map[string]float64{"rate_mbps": rate / 1e6, "rate_error": off}
	if !f.OK {
		f.Means, f.Mend = "this machine delivers late", busy
	}
	return f
}

// goodput is how much one TCP flow carries where nothing is emulated.
func (m meter) goodput() host.Finding {
	const tool, length = "gm-delay", 800 * time.Millisecond
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.base, 0)))
	if err != nil {
		return broken(tool, err)
	}
	rates := make(chan float64, 1)
	go func() { rates <- receive(l) }()
	_, err = m.run([]string{"flood", l.Addr().String(), nanoseconds(length)}, tool, "0")
	l.Close()
	if err != nil {
		return broken(tool, err)
	}
	return judgeGoodput(<-rates)
}

func judgeGoodput(rate float64) host.Finding {
	const plenty = 1e9 // bit/s
	f := host.Finding{Name: "goodput", OK: rate >= plenty,
		Says:    fmt.Sprintf("one TCP flow carries %.2f Gbit/s", rate/1e9),
		Figures: map[string]float64{"goodput_mbps": rate / 1e6}}
	if !f.OK {
		f.Means, f.Mend = "faster links are limited by this machine", "stop what else runs here, or give the machine more CPUs"
	}
	return f
}

func nanoseconds(d time.Duration) string { return strconv.FormatInt(int64(d), 10) }
