package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// A figure is one line of a table: its value in a report, and how that is written.
type figure struct {
	name  string
	value func(*Report) (float64, bool)
	write func(float64) string
}

// Table writes reports side by side; of two also the difference.
func Table(w io.Writer, reports []*Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }
	compare := len(reports) == 2
	head := []string{""}
	for _, r := range reports {
		head = append(head, r.Tool)
	}
	if compare {
		head = append(head, "difference")
	}
	row(head...)
	for _, f := range figures(reports) {
		cells := []string{f.name}
		var values []float64
		for _, r := range reports {
			v, ok := f.value(r)
			if !ok {
				cells = append(cells, "-")
				continue
			}
			values = append(values, v)
			cells = append(cells, f.write(v))
		}
		if len(values) == 0 || slices.Max(values) == 0 && optional(f.name) {
			continue
		}
		if compare {
			cells = append(cells, difference(values))
		}
		row(cells...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, r := range reports {
		if len(reports) > 1 {
			fmt.Fprintf(w, "%d: ", i+1)
		}
		fmt.Fprintln(w, strings.Join(r.CommandLine, " "))
		const form = "2006-01-02 15:04:05.000 MST"
		fmt.Fprintf(w, "   from %s to %s", r.Start.Format(form), r.End.Format(form))
		if r.Seed != nil {
			fmt.Fprintf(w, ", seed %d", *r.Seed)
		}
		fmt.Fprintln(w)
		for _, why := range r.Verdict.Why {
			fmt.Fprintln(w, "  ", why)
		}
	}
	return nil
}

// optional figures are left out where they are 0.
func optional(name string) bool {
	for _, s := range []string{"undelivered", "refused", "unread", "untranslated", "dropped", "duplicated", "changes"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

func difference(v []float64) string {
	switch {
	case len(v) < 2:
		return ""
	case v[0] == v[1]:
		return "="
	case v[0] == 0:
		return "new"
	}
	return fmt.Sprintf("%+.1f %%", 100*(v[1]/v[0]-1))
}

func whole(v float64) string   { return comma(uint64(v)) }
func ms(v float64) string      { return fmt.Sprintf("%.3f ms", v) }
func seconds(v float64) string { return fmt.Sprintf("%.2f s", v) }

func bits(v float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}} {
		if v >= u.size {
			return fmt.Sprintf("%.4g %s", v/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f bit/s", v)
}

// asked are the figures that are requested and achieved: their names here, and how they are written.
var asked = map[string]struct {
	name  string
	write func(float64) string
}{
	"rate_bits_per_second": {"rate", bits},
	"delay_ms":             {"delay", ms},
	"loss":                 {"loss", func(v float64) string { return fmt.Sprintf("%.4g %%", 100*v) }},
}

// figures are those that any of the reports has.
func figures(reports []*Report) (out []figure) {
	always := func(f func(*Report) float64) func(*Report) (float64, bool) {
		return func(r *Report) (float64, bool) { return f(r), true }
	}
	add := func(name string, write func(float64) string, value func(*Report) float64) {
		out = append(out, figure{name, always(value), write})
	}
	add("time", seconds, (*Report).Seconds)
	add("CPU", seconds, func(r *Report) float64 { return r.CPUSeconds })
	add("resident memory", func(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }, func(r *Report) float64 { return float64(r.Resident) })
	add("untranslated", whole, func(r *Report) float64 { return float64(r.Untranslated) })
	for _, d := range []struct {
		name string
		of   func(*Report) *Direction
	}{{"uplink", func(r *Report) *Direction { return &r.Uplink }}, {"downlink", func(r *Report) *Direction { return &r.Downlink }}} {
		count := func(name string, f func(*Direction) uint64) {
			add(d.name+" "+name, whole, func(r *Report) float64 { return float64(f(d.of(r))) })
		}
		count("packets in", func(d *Direction) uint64 { return d.In.Packets })
		count("packets out", func(d *Direction) uint64 { return d.Out.Packets })
		add(d.name+" rate out", bits, func(r *Report) float64 {
			return 8 * float64(d.of(r).Out.Bytes) / max(r.Seconds(), 1e-9)
		})
		count("duplicated", func(d *Direction) uint64 { return d.Added })
		for _, reason := range keys(reports, func(r *Report) map[string]Count { return d.of(r).Dropped }) {
			count("dropped, "+reason, func(d *Direction) uint64 { return d.Dropped[reason].Packets })
		}
		count("changes", func(d *Direction) uint64 { return uint64(max(0, len(d.Changes)-1)) })
		count("undelivered", func(d *Direction) uint64 { return d.Undelivered })
		count("refused", func(d *Direction) uint64 { return d.Refused })
		count("unread", func(d *Direction) uint64 { return d.Unread })
		for _, what := range keys(reports, func(r *Report) map[string]float64 { return d.of(r).Requested }) {
			a, known := asked[what]
			if !known {
				continue
			}
			out = append(out, figure{d.name + " " + a.name + " requested", func(r *Report) (float64, bool) {
				v, ok := d.of(r).Requested[what]
				return v, ok
			}, a.write}, figure{d.name + " " + a.name + " achieved", func(r *Report) (float64, bool) {
				v, ok := d.of(r).Achieved[what]
				return v, ok
			}, a.write})
		}
		for _, h := range []struct {
			name string
			of   func(*Direction) *Distribution
		}{
			{"delay", func(d *Direction) *Distribution { return &d.Delay }},
			{"queueing", func(d *Direction) *Distribution { return d.Queueing }},
			{"lateness", func(d *Direction) *Distribution { return &d.Lateness }},
		} {
			for _, q := range []struct {
				name string
				of   func(*Distribution) float64
			}{{"50 %", func(d *Distribution) float64 { return d.P50 }}, {"99 %", func(d *Distribution) float64 { return d.P99 }},
				{"max", func(d *Distribution) float64 { return d.Max }}} {
				out = append(out, figure{d.name + " " + h.name + " " + q.name, func(r *Report) (float64, bool) {
					if x := h.of(d.of(r)); x != nil && d.of(r).Out.Packets > 0 {
						return q.of(x), true
					}
					return 0, false
				}, ms})
			}
		}
	}
	return out
}

// keys are those of all reports' maps, in order.
func keys[V any](reports []*Report, of func(*Report) map[string]V) (out []string) {
	for _, r := range reports {
		for k := range of(r) {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Path is a chain of nested tools as one: packets enter at the innermost and leave at the outermost, and the other way.
// Delays and lateness add up, in each figure, which for other than the median is an upper bound; the rate is the least. To
// those within a gm-sandbox it is the outside, and so what is around it is no part of their path.
func Path(levels []*Report) (*Report, error) {
	slices.SortStableFunc(levels, func(a, b *Report) int { return a.Level - b.Level })
	for i := len(levels) - 2; i >= 0; i-- {
		if levels[i].Tool == "gm-sandbox" {
			levels = levels[i+1:]
			break
		}
	}
	for i, in := range levels[1:] {
		switch out := levels[i]; {
		case in.Level == out.Level:
			return nil, fmt.Errorf("%s (PID %d) and %s (PID %d) are both of level %d, and so no path\nhint: give the reports of one chain, one of each level",
				out.Tool, out.PID, in.Tool, in.PID, in.Level)
		case in.Start.Before(out.Start) || in.Start.After(out.End):
			return nil, fmt.Errorf("%s (PID %d) did not run within %s (PID %d), and so they are no path\nhint: give the reports of one run",
				in.Tool, in.PID, out.Tool, out.PID)
		}
	}
	outer, inner := levels[0], levels[len(levels)-1]
	p := &Report{Tool: "path", Version: outer.Version, Level: outer.Level, PID: outer.PID, Start: outer.Start, End: outer.End, Status: outer.Status,
		Verdict: Verdict{Good: true, Tolerance: outer.Verdict.Tolerance}}
	var tools []string
	for _, r := range levels {
		tools = append(tools, r.Tool)
		p.CPUSeconds += r.CPUSeconds
		p.Resident += r.Resident
		p.Untranslated += r.Untranslated
		p.Verdict.Good = p.Verdict.Good && r.Verdict.Good
		for _, why := range r.Verdict.Why {
			p.Verdict.Why = append(p.Verdict.Why, r.Tool+": "+why)
		}
		p.Uplink.join(&r.Uplink)
		p.Downlink.join(&r.Downlink)
	}
	p.CommandLine = tools
	p.Uplink.In, p.Uplink.Out = inner.Uplink.In, outer.Uplink.Out
	p.Downlink.In, p.Downlink.Out = outer.Downlink.In, inner.Downlink.Out
	return p, nil
}

func (d *Direction) join(o *Direction) {
	if d.Dropped == nil {
		d.Dropped, d.Requested, d.Achieved = map[string]Count{}, map[string]float64{}, map[string]float64{}
	}
	for k, n := range o.Dropped {
		d.Dropped[k] = Count{d.Dropped[k].Packets + n.Packets, d.Dropped[k].Bytes + n.Bytes}
	}
	d.Added += o.Added
	d.Undelivered += o.Undelivered
	d.Refused += o.Refused
	d.Unread += o.Unread
	d.Late += o.Late
	d.Reads += o.Reads
	d.Writes += o.Writes
	joinFigures(d.Requested, o.Requested)
	joinFigures(d.Achieved, o.Achieved)
	d.Delay.add(&o.Delay)
	d.Lateness.add(&o.Lateness)
	d.Unseen.add(&o.Unseen)
	if o.Queueing != nil {
		if d.Queueing == nil {
			d.Queueing = new(Distribution)
		}
		d.Queueing.add(o.Queueing)
	}
}

func joinFigures(to, from map[string]float64) {
	for k, v := range from {
		old, found := to[k]
		switch {
		case !found:
			to[k] = v
		case k == "rate_bits_per_second":
			to[k] = math.Min(old, v)
		case k == "loss":
			to[k] = 1 - (1-old)*(1-v)
		default:
			to[k] = old + v
		}
	}
}

func (d *Distribution) add(o *Distribution) {
	d.P50 += o.P50
	d.P95 += o.P95
	d.P99 += o.P99
	d.P999 += o.P999
	d.Max += o.Max
}
