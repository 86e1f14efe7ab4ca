package trace

import (
	"bufio"
	"strconv"
	"time"
)

// mbpsOf formats a rate in Mbit/s with as many digits as it takes to read it back.
func mbpsOf(rate float64) string { return strconv.FormatFloat(rate/1e6, 'f', -1, 64) }

func writeMbps(w *bufio.Writer, p profile) (err error) {
	for _, s := range p {
		_, err = w.WriteString(mbpsOf(s.rate) + "\n")
	}
	return err
}

func writeCSV(w *bufio.Writer, p profile) error {
	_, err := w.WriteString("time_s,rate_mbps\n")
	var t time.Duration
	for _, s := range p {
		_, err = w.WriteString(string(appendUnits(nil, t, time.Second)) + "," + mbpsOf(s.rate) + "\n")
		t += s.hold
	}
	return err
}

// writePensieve writes rows that end a step, after a first one of which only the time counts.
func writePensieve(w *bufio.Writer, p profile) error {
	_, err := w.WriteString("0 " + mbpsOf(p[0].rate) + "\n")
	var t time.Duration
	for _, s := range p {
		t += s.hold
		_, err = w.WriteString(string(appendUnits(nil, t, time.Second)) + " " + mbpsOf(s.rate) + "\n")
	}
	return err
}

// writePhantomlink has one route, and no delay, which a trace does not have.
func writePhantomlink(w *bufio.Writer, p profile) error {
	_, err := w.WriteString("Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n")
	var t time.Duration
	for _, s := range p {
		_, err = w.WriteString(string(appendMillis(nil, t)) + ",0,0," + mbpsOf(s.rate) + "\n")
		t += s.hold
	}
	return err
}
