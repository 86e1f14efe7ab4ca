package tool

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gomahi/internal/control"
)

// A metric is one of Prometheus'.
type metric struct {
	name, kind, help string
	of               func(*sideState) []sample
}

// sample is a metric's value, with more labels.
type sample struct {
	value  float64
	labels string
}

func one(v float64) []sample { return []sample{{value: v}} }

func optional[T int64 | float64](v *T, scale float64) []sample {
	if v == nil {
		return nil
	}
	return one(float64(*v) * scale)
}

var allMetrics = []metric{
	{"gomahi_arrived_packets_total", "counter", "Packets that came to the link.", func(s *sideState) []sample { return one(float64(s.In.Packets)) }},
	{"gomahi_arrived_bytes_total", "counter", "Bytes of IP packets that came to the link.", func(s *sideState) []sample { return one(float64(s.In.Bytes)) }},
	{"gomahi_departed_packets_total", "counter", "Packets that left the link.", func(s *sideState) []sample { return one(float64(s.Out.Packets)) }},
	{"gomahi_departed_bytes_total", "counter", "Bytes of IP packets that left the link.", func(s *sideState) []sample { return one(float64(s.Out.Bytes)) }},
	{"gomahi_duplicated_packets_total", "counter", "Packets that the link added.", func(s *sideState) []sample { return one(float64(s.Added)) }},
	{"gomahi_dropped_packets_total", "counter", "Packets that the link dropped, by reason.", func(s *sideState) (all []sample) {
		for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
			all = append(all, sample{float64(s.Dropped[reason].Packets), ",reason=" + label(reason)})
		}
		return all
	}},
	{"gomahi_held_packets", "gauge", "Packets that are in the link.", func(s *sideState) []sample { return one(float64(s.Held)) }},
	{"gomahi_delay_seconds", "gauge", "One-way delay that is set.", func(s *sideState) []sample { return optional(s.Delay, 1e-3) }},
	{"gomahi_rate_bits_per_second", "gauge", "Rate that is set; 0 is no limit.", func(s *sideState) []sample {
		if s.Trace != "" {
			return nil
		}
		return optional(s.Rate, 1)
	}},
	{"gomahi_loss_ratio", "gauge", "Probability of random loss that is set.", func(s *sideState) []sample { return optional(s.Loss, 1) }},
	{"gomahi_jitter_seconds", "gauge", "Jitter that is set.", func(s *sideState) []sample { return optional(s.Jitter, 1e-3) }},
	{"gomahi_link_up", "gauge", "1 if the link is up, 0 if it is down.", func(s *sideState) []sample {
		if s.Link == "down" {
			return one(0)
		}
		return one(1)
	}},
}

// label is a label's value, escaped.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "?")) + `"`
}

// metrics are a level's in Prometheus' text format, version 0.0.4.
func metrics(tool, title string, up, down sideState) control.Text {
	var b strings.Builder
	for _, m := range allMetrics {
		head := fmt.Sprintf("# HELP %s %s\n# TYPE %[1]s %[3]s\n", m.name, m.help, m.kind)
		for _, d := range []struct {
			name  string
			state *sideState
		}{{"uplink", &up}, {"downlink", &down}} {
			for _, s := range m.of(d.state) {
				fmt.Fprintf(&b, "%s%s{tool=%s,level=%s,direction=%q%s} %s\n", head, m.name, label(tool), label(title), d.name, s.labels,
					strconv.FormatFloat(s.value, 'g', -1, 64))
				head = ""
			}
		}
	}
	return control.Text(b.String())
}
