package tool

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gomahi/effects"
	"gomahi/packet"
	"gomahi/shell"
)

// fusible are the tools that another can take into its own process.
var fusible = map[string]func() Tool{
	"gm-delay":        func() Tool { return new(Delay) },
	"gm-loss":         func() Tool { return new(Loss) },
	"gm-onoff":        func() Tool { return new(OnOff) },
	"gm-intermittent": func() Tool { return new(Intermittent) },
	"gm-link":         func() Tool { return new(LinkTool) },
	"gm-jitter":       func() Tool { return new(Jitter) },
	"gm-reorder":      func() Tool { return new(Reorder) },
	"gm-duplicate":    func() Tool { return new(Duplicate) },
	"gm-corrupt":      func() Tool { return new(Corrupt) },
	"gm-burst":        func() Tool { return new(Burst) },
	"gm-losstrace":    func() Tool { return new(LossTrace) },
	"gm-shape":        func() Tool { return new(Shape) },
	"gm-path":         func() Tool { return new(Path) },
	"gm-profile":      func() Tool { return new(Profile) },
}

// Fusing is the option of tools that can take others into their process.
type Fusing struct {
	Fuse bool `help:"Run the gm-tools that the command begins with in this process, as one container."`
}

// fuses says whether the user wants one container in place of several.
func (f *Fusing) fuses() bool {
	on, _ := strconv.ParseBool(os.Getenv("GM_FUSE"))
	return f.Fuse || on
}

// fuse takes the tools off the command with which it begins, and adds them to the levels: if one's command line is wrong,
// it is the last.
func fuse(levels []*level, command []string, stderr io.Writer) ([]*level, []string, error) {
	for len(command) > 0 {
		inner := fusible[filepath.Base(command[0])]
		if inner == nil {
			break
		}
		t := inner()
		own, rest, err := parse(t, command[1:])
		if s, ok := t.(Teller); err == nil && (t.common().Asked() || ok && s.Tells()) {
			break
		}
		v := newLevel(t, command[1:], own, stderr)
		v.fused = true
		levels = append(levels, v)
		if err != nil {
			return levels, nil, err
		}
		command = rest
	}
	return levels, command, nil
}

// strictest gives all levels the least tolerance of those that have one: each has but a part of the process's figures.
func strictest(levels []*level) {
	var least tolerance
	for _, v := range levels {
		if s := v.common().Strict; s.asked && (!least.asked || s.Duration < least.Duration) {
			least = s
		}
	}
	for _, v := range levels {
		v.common().Strict = least
	}
}

// stages are those of both directions: packets out of the container meet the innermost first, and those into it the
// outermost.
func stages(levels []*level) (uplink, downlink shell.Stage) {
	if len(levels) == 1 {
		return levels[0].link.Uplink, levels[0].link.Downlink
	}
	up, down := make(effects.Chain, len(levels)), make(effects.Chain, len(levels))
	for i, v := range levels {
		v.uplink, v.downlink = &passage{Stage: v.link.Uplink, last: i == 0}, &passage{Stage: v.link.Downlink, last: i == len(levels)-1}
		up[len(levels)-1-i], down[i] = v.uplink, v.downlink
	}
	return up, down
}

// passage is one of several stages in a process, and counts what passes it. To it packets arrive when the one before let
// them go.
type passage struct {
	shell.Stage
	last    bool // of its direction
	traffic shell.Traffic
}

func (s *passage) Push(now time.Duration, p packet.Packet) {
	s.traffic.PacketsIn += uint64(p.Len())
	s.traffic.BytesIn += uint64(p.Size)
	p.Arrival = now
	s.Stage.Push(now, p)
}

func (s *passage) Pop(now time.Duration) (packet.Packet, bool) {
	p, ok := s.Stage.Pop(now)
	if ok {
		s.traffic.PacketsOut += uint64(p.Len())
		s.traffic.BytesOut += uint64(p.Size)
		if !s.last {
			now = p.Due
		}
		s.traffic.Delay.Add(now-p.Arrival, p.Len())
	}
	return p, ok
}

// Whole is the stage's.
func (s *passage) Whole() bool { return effects.Whole(s.Stage) }

// Done is that of a stage that ends.
func (s *passage) Done() bool {
	ending, ends := s.Stage.(interface{ Done() bool })
	return ends && ending.Done()
}

// share is a level's part of what a process did: of its reading that of the stage that packets meet first, of its writing
// that of the last.
func share(sum shell.Summary, levels []*level, i int) shell.Summary {
	if len(levels) == 1 {
		return sum
	}
	v, outer, inner := levels[i], i == 0, i == len(levels)-1
	part := shell.Summary{Level: sum.Level + i, Uplink: v.uplink.traffic, Downlink: v.downlink.traffic}
	part.Uplink.Passed(&sum.Uplink, &levels[len(levels)-1].uplink.traffic)
	part.Downlink.Passed(&sum.Downlink, &levels[0].downlink.traffic)
	if outer {
		part.Untranslated = sum.Untranslated
		part.Uplink.Wrote(&sum.Uplink)
		part.Downlink.Took(&sum.Downlink)
	}
	if inner {
		part.Uplink.Took(&sum.Uplink)
		part.Downlink.Wrote(&sum.Downlink)
	}
	return part
}
