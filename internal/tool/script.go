package tool

import (
	"time"

	"gomahi/effects"
	"gomahi/scenario"
)

// A script is a scenario that is played to a stage that knows none. What it is about is as it says, and each quantity holds
// until it gives it another value, or somebody else does.
type script struct {
	player *scenario.Player
	clock  *effects.Clock
	since  time.Duration   // when this direction began, which may be a moment after the other
	from   scenario.Change // its next change, if there are
	more   bool
	said   scenario.State // last
}

// copier is a quantity of states.
type copier struct {
	name string // as it is set
	used func(scenario.State) bool
	copy func(to *scenario.State, from scenario.State)
}

var copiers = []copier{
	{"delay", func(s scenario.State) bool { return s.Delay > 0 }, func(to *scenario.State, s scenario.State) { to.Delay = s.Delay }},
	{"rate", func(s scenario.State) bool { return s.Rate > 0 }, func(to *scenario.State, s scenario.State) { to.Rate = s.Rate }},
	{"loss", func(s scenario.State) bool { return s.Loss > 0 }, func(to *scenario.State, s scenario.State) { to.Loss = s.Loss }},
	{"jitter", func(s scenario.State) bool { return s.Jitter > 0 }, func(to *scenario.State, s scenario.State) { to.Jitter = s.Jitter }},
	{"queue", func(s scenario.State) bool { return s.Queue.Unit != "" }, func(to *scenario.State, s scenario.State) { to.Queue = s.Queue }},
	{"link", func(s scenario.State) bool { return s.Down }, func(to *scenario.State, s scenario.State) { to.Down = s.Down }},
}

// about are the quantities that a scenario says something of.
func about(rows []scenario.Change) (all []copier) {
	for _, c := range copiers {
		for _, row := range rows {
			if c.used(row.State) {
				all = append(all, c)
				break
			}
		}
	}
	return all
}

// begin plays a script from now on.
func (h *helm) begin(now time.Duration, w *wish) {
	w.request.clock.Begin(now)
	h.script = script{player: w.script, clock: w.request.clock, since: now}
	h.from, h.more = w.script.Next()
	s := h.now
	for _, c := range w.says {
		c.copy(&s, h.from.State)
	}
	h.said = h.from.State
	h.change(scenario.Change{At: now, State: s})
	h.from, h.more = w.script.Next()
}

// changes is when the next change is.
func (h *helm) changes() time.Duration {
	began, _ := h.clock.Began()
	return max(began+h.from.At, h.since)
}

// follow makes the changes until now.
func (h *helm) follow(now time.Duration) {
	for h.more && h.changes() <= now {
		said := h.from.State
		h.change(scenario.Change{At: h.changes(), State: said.Over(h.now, h.said), Between: h.from.Between})
		h.said = said
		h.from, h.more = h.player.Next()
	}
}
