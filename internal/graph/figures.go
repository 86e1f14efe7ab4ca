package graph

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Figures are what is said of a log. What is nil is unknown.
type Figures struct {
	File        string   `json:"file"`
	Capacity    *float64 `json:"capacity_mbps"`
	Ingress     *float64 `json:"ingress_mbps"`
	Throughput  *float64 `json:"throughput_mbps"`
	Utilization *float64 `json:"utilization"` // throughput / capacity
	Queueing    *Delays  `json:"queueing_delay_ms"`
	Signal      *Delays  `json:"signal_delay_ms"`
	Arrivals    int64    `json:"arrivals"`
	Departures  int64    `json:"departures"`
	Drops       int64    `json:"drops"`
	Bytes       int64    `json:"bytes"` // departed
	Duration    float64  `json:"duration_ms"`
}

// Delays describe a distribution, in ms. A percentile P of n sorted values is number P n / 100, from 0 and rounded down.
type Delays struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

// Figures works them out, once. Rates are averages from the first to the last event.
func (l *Log) Figures() Figures {
	if l.figures == nil {
		f := l.workOut()
		l.figures = &f
	}
	return *l.figures
}

func (l *Log) workOut() Figures {
	span := l.Last - l.First
	f := Figures{File: l.Name, Arrivals: l.Arrivals.N, Departures: l.Departures.N, Drops: l.Dropped.N,
		Bytes: l.Departures.Bytes, Duration: inMs(span)}
	f.Ingress, f.Throughput = known(mbits(l.Arrivals.Bytes, span)), known(mbits(l.Departures.Bytes, span))
	if l.Opportunities.N > 0 { // else they were left out
		f.Capacity = known(mbits(l.Opportunities.Bytes, span))
	}
	if f.Capacity != nil {
		f.Utilization = known(*f.Throughput / *f.Capacity)
	}
	each := make([]run, len(l.delivered))
	for i, d := range l.delivered {
		each[i] = run{d.delay, 1}
	}
	f.Queueing = describe(each)
	var signal []run
	for _, s := range l.signal() {
		signal = append(signal, s.samples)
	}
	f.Signal = describe(signal)
	return f
}

// inMs is a duration in figures.
func inMs(t time.Duration) float64 { return float64(t) / float64(time.Millisecond) }

// mbits is a rate in Mbit/s; of no time there is none.
func mbits(bytes int64, in time.Duration) float64 {
	if in <= 0 {
		return math.NaN()
	}
	return float64(bytes) * 8 / in.Seconds() / 1e6
}

func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// A stretch is a time after which, and until when, the signal delay falls to a value, 1 ms in each ms.
type stretch struct {
	after, until time.Duration
	value        time.Duration // at its end
	samples      run           // those of every ms, counted from the first packet
}

// signal finds the signal delay, which at a time is the shortest in which a message made then could have arrived: the
// least departure among the packets sent at or after that time, less the time. The first stretch is one moment.
func (l *Log) signal() []stretch {
	sent := slices.Clone(l.delivered)
	slices.SortStableFunc(sent, func(a, b delivery) int { return cmp.Compare(a.sent, b.sent) })
	if len(sent) == 0 {
		return nil
	}
	first := sent[0].sent
	var out []stretch
	soonest := time.Duration(math.MaxInt64)
	for i := len(sent) - 1; i >= 0; i-- {
		d := sent[i]
		soonest = min(soonest, d.sent+d.delay)
		if i > 0 && sent[i-1].sent == d.sent {
			continue
		}
		s := stretch{after: d.sent, until: d.sent, value: soonest - d.sent, samples: run{soonest - d.sent, 1}}
		if i > 0 {
			s.after = sent[i-1].sent
			last, before := (d.sent-first)/time.Millisecond, (s.after-first)/time.Millisecond
			s.samples = run{soonest - (first + last*time.Millisecond), int64(last - before)}
		}
		out = append(out, s)
	}
	slices.Reverse(out)
	return out
}

// A run is a number of values, each 1 ms above the one before.
type run struct {
	least time.Duration
	n     int64
}

// describe describes the values of all runs together, without making a list of them: a log may be years long.
func describe(runs []run) *Delays {
	runs = slices.DeleteFunc(runs, func(r run) bool { return r.n == 0 })
	if len(runs) == 0 {
		return nil
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.least, b.least) })
	var n int64
	var sum float64
	var most time.Duration
	for _, r := range runs {
		n += r.n
		sum += float64(r.n) * (inMs(r.least) + float64(r.n-1)/2)
		most = max(most, r.most())
	}
	at := func(p float64) float64 { return inMs(nth(runs, int64(p*float64(n)), most)) }
	return &Delays{P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: inMs(most), Mean: sum / float64(n)}
}

func (r run) most() time.Duration { return r.least + time.Duration(r.n-1)*time.Millisecond }

// below counts a run's values below v.
func (r run) below(v time.Duration) int64 {
	if v <= r.least {
		return 0
	}
	return min(r.n, int64((v-r.least-1)/time.Millisecond)+1)
}

// nth finds value number k, from 0, of those of sorted runs, of which most is the greatest: first the millisecond that
// it is in, in which each run has one value at most.
func nth(runs []run, k int64, most time.Duration) time.Duration {
	below := func(v time.Duration) (n int64) {
		for _, r := range runs {
			if r.least >= v {
				break
			}
			n += r.below(v)
		}
		return n
	}
	low, high := int64(0), int64(most/time.Millisecond)
	for low < high {
		if mid := (low + high) / 2; below(time.Duration(mid+1)*time.Millisecond) > k {
			high = mid
		} else {
			low = mid + 1
		}
	}
	from := time.Duration(low) * time.Millisecond
	k -= below(from)
	var in []time.Duration
	for _, r := range runs {
		if i := r.below(from); i < r.n {
			if v := r.least + time.Duration(i)*time.Millisecond; v < from+time.Millisecond {
				in = append(in, v)
			}
		}
	}
	slices.Sort(in)
	return in[k]
}

// Throughputs writes the figures of a throughput graph, in the words of mahimahi's mm-throughput-graph.
func (f Figures) Throughputs(w io.Writer) {
	fmt.Fprintf(w, "Average capacity: %s\n", rate(f.Capacity))
	used := "utilization unknown"
	if f.Utilization != nil {
		used = fmt.Sprintf("%.1f%% utilization", 100**f.Utilization)
	}
	fmt.Fprintf(w, "Average throughput: %s (%s)\n", rate(f.Throughput), used)
	f.Percentiles(w)
}

// Percentiles writes the figures of a delay graph.
func (f Figures) Percentiles(w io.Writer) {
	fmt.Fprintf(w, "95th percentile per-packet queueing delay: %s\n", f.Queueing.p95())
	fmt.Fprintf(w, "95th percentile signal delay: %s\n", f.Signal.p95())
}

func rate(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.2f Mbits/s", *v)
}

func (d *Delays) p95() string {
	if d == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f ms", d.P95)
}
