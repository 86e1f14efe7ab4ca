package tool

import (
	"strings"

	"gomahi/effects"
	"gomahi/internal/cli"
	"gomahi/scenario"
)

// A replay is a scenario that is to be played: what POST /v1/replay takes.
type replay struct {
	Scenario     string `json:"scenario"`      // CSV
	Downlink     string `json:"downlink"`      // another for that direction
	Name         string `json:"name"`          // of the scenario, for errors
	DownlinkName string `json:"downlink_name"` // likewise
	Loop         bool   `json:"loop"`
	Interpolate  bool   `json:"interpolate"`
}

// replay plays a scenario in both directions, from now on.
func (s *steering) replay(r *replay) error {
	none := scenario.Queue{} // where the scenario says nothing of it
	if s.sides[0].play != nil {
		none = scenario.Queue{Unit: scenario.BDP, Value: s.sides[0].buffer}
	}
	if r.Name == "" {
		r.Name = "scenario"
	}
	read := func(name, text string) (*scenario.Scenario, error) {
		if name == "" {
			name = r.Name
		}
		p, err := scenario.Parse(name, strings.NewReader(text), none)
		if err != nil {
			err = asUsage(err)
		}
		return p, err
	}
	up, err := read(r.Name, r.Scenario)
	if err != nil {
		return err
	}
	down := up
	if r.Downlink != "" {
		if down, err = read(r.DownlinkName, r.Downlink); err != nil {
			return err
		}
	}
	if r.Loop && len(up.Uplink) == 1 && len(down.Downlink) == 1 {
		return oneRow(r.Name)
	}
	if !s.replays() {
		return cli.Usagef("gm-path, gm-link, gm-delay and others can", "%s cannot play a scenario", s.tool)
	}
	wishes := [2]*wish{new(wish), new(wish)}
	for i, rows := range [][]scenario.Change{up.Uplink, down.Downlink} {
		if !s.sides[i].plays() {
			continue
		}
		w := wishes[i]
		if w.says, err = s.sides[i].about(s.tool, rows); err != nil {
			return err
		}
		s.link.draws(rows)
		w.script = scenario.Play(rows, r.Interpolate, r.Loop)
	}
	return s.ask(&request{clock: effects.NewClock(effects.AnyPacket)}, wishes, setFor)
}

// plays says whether a direction can play a scenario.
func (d *side) plays() bool { return len(d.takes) > 0 }

func (s *steering) replays() bool { return s.sides[0].plays() || s.sides[1].plays() }

// about are the quantities that a scenario gives a direction, which it must take.
func (d *side) about(tool string, rows []scenario.Change) ([]copier, error) {
	if d.play != nil {
		return nil, nil // it takes everything
	}
	all := about(rows)
	for _, row := range rows {
		for _, c := range all {
			name := c.name
			if name == "queue" {
				name += "." + string(row.Queue.Unit)
			}
			if err := d.refuse(tool, name, true); err != nil {
				return nil, err
			}
		}
		if row.Route != rows[0].Route {
			return nil, cli.Usagef("gm-path has", "the %s of %s has no routes to change", d.name, tool)
		}
		if d.helm.check != nil {
			if err := d.helm.check(row.State); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
