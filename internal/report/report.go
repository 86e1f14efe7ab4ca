// Package report is what a run says of itself: what crossed the link, what was asked of it and what it achieved, and how
// far the machine, not the link, had a part in that. Times are in milliseconds, sizes in bytes of IP packets.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
)

// A Report is one tool's run. Its JSON is what --report writes.
type Report struct {
	Tool         string    `json:"tool"`
	Version      string    `json:"version"`
	CommandLine  []string  `json:"command_line"`
	Level        int       `json:"level"` // 1 is the outermost of nested tools
	PID          int       `json:"pid"`
	Fused        bool      `json:"fused,omitempty"` // it ran in the process of the level before it, which has its CPU and memory
	Seed         *uint64   `json:"seed,omitempty"`  // of tools that draw
	Start        time.Time `json:"start"`
	Began        *int64    `json:"scenario_began,omitempty"` // ns after the start, of tools that play one
	End          time.Time `json:"end"`
	Status       int       `json:"status"` // as a shell shows it
	CPUSeconds   float64   `json:"cpu_seconds"`
	Resident     int64     `json:"max_resident_bytes"`
	Untranslated uint64    `json:"untranslated"` // packets that NAT could not translate, and dropped
	Uplink       Direction `json:"uplink"`
	Downlink     Direction `json:"downlink"`
	Verdict      Verdict   `json:"verdict"`
}

// Count is of packets.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// A Direction is one of the link's two. In is Out, what was dropped for each reason, and Undelivered; Added are copies.
type Direction struct {
	In          Count            `json:"in"`
	Added       uint64           `json:"added,omitempty"` // packets that were duplicated
	Out         Count            `json:"out"`
	Dropped     map[string]Count `json:"dropped"`
	Undelivered uint64           `json:"undelivered"` // packets that were in the link at its end
	Refused     uint64           `json:"refused"`     // packets, of those out, that the receiving kernel refused
	Unread      uint64           `json:"unread"`      // frames that the kernel dropped since the device's queue was full; never in

	Changes []Change `json:"changes,omitempty"` // of a path that has any, its first state first

	Requested map[string]float64 `json:"requested"` // "rate_bits_per_second", "delay_ms", "loss"
	Achieved  map[string]float64 `json:"achieved"`  // the same, measured

	Delay    Distribution  `json:"delay_ms"`              // from a packet's arrival to writing it
	Queueing *Distribution `json:"queueing_ms,omitempty"` // waiting for the link and its own transmission, of links that have a rate
	Lateness Distribution  `json:"lateness_ms"`           // written minus due
	Late     uint64        `json:"late"`                  // packets more than 1 ms late
	Unseen   Distribution  `json:"unseen_ms"`             // how long a packet may have waited to be read, at most
	Reads    uint64        `json:"reads"`                 // frames read
	Writes   uint64        `json:"writes"`
}

// A Change is what a path does from a time on, in ns since the start. The rate is 0 where there is no limit.
type Change struct {
	At     int64   `json:"t"`
	Route  uint64  `json:"route"`
	Delay  float64 `json:"delay_ms"`
	Rate   int64   `json:"rate_bits_per_second"`
	Loss   float64 `json:"loss"`
	Jitter float64 `json:"jitter_ms"`
	Queue  string  `json:"queue"`
	Link   string  `json:"link"` // "up" or "down"
}

// Distribution is of durations, in ms, to 1 %.
type Distribution struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Verdict says whether the machine kept up: whether 99 of 100 packets were late by no more than the tolerance, and none
// was lost that the link did not drop.
type Verdict struct {
	Tolerance float64  `json:"tolerance_ms"`
	Good      bool     `json:"good"`
	Why       []string `json:"why,omitempty"`
}

// Judge fills in the verdict.
func (r *Report) Judge(tolerance time.Duration) {
	v := Verdict{Tolerance: float64(tolerance) / 1e6}
	for _, d := range []struct {
		name string
		*Direction
	}{{"uplink", &r.Uplink}, {"downlink", &r.Downlink}} {
		if d.Unread > 0 {
			v.Why = append(v.Why, fmt.Sprintf("%s: the kernel dropped %s frames that it had for us before they were read", d.name, comma(d.Unread)))
		}
		if d.Lateness.P99 > v.Tolerance {
			why := fmt.Sprintf("%s of %s packets left more than 1 ms late (99 %%: %.3f ms)", comma(d.Late), comma(d.Out.Packets), d.Lateness.P99)
			if tolerance != time.Millisecond { // d.Late counts what is not the question
				why = fmt.Sprintf("1 %% of %s packets left %.3f ms late or more", comma(d.Out.Packets), d.Lateness.P99)
			}
			v.Why = append(v.Why, d.name+": "+why)
		}
	}
	v.Good = v.Why == nil
	r.Verdict = v
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }

// Write writes JSON.
func (r *Report) Write(w io.Writer) error { return write(w, r) }

// WriteAll writes a JSON array.
func WriteAll(w io.Writer, all []*Report) error { return write(w, all) }

func write(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Into writes JSON to a file of its own in a directory: numbered, where another PID namespace has had the same PID.
func (r *Report) Into(dir string) error {
	name := fmt.Sprintf("%02d-%s-%d", r.Level, r.Tool, r.PID)
	f, err := os.OpenFile(filepath.Join(dir, name+".json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	for n := 2; errors.Is(err, os.ErrExist); n++ {
		f, err = os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%d.json", name, n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f), f.Close())
}

// Read reads what Write wrote.
func Read(name string, r io.Reader) (*Report, error) {
	out, d := new(Report), json.NewDecoder(r)
	err := d.Decode(out)
	if err == nil && out.Tool == "" {
		err = errors.New(`it has no "tool"`)
	}
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows it; give each report by itself")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no report: %w\nhint: --report=FILE and GM_REPORT_DIR write them", name, err)
	}
	return out, nil
}

// Seconds is how long the run took.
func (r *Report) Seconds() float64 { return r.End.Sub(r.Start).Seconds() }
