// Package host says what this machine lets us do, and what mends the rest. gm-doctor prints it all; a tool that cannot
// start says the same words.
package host

import "errors"

// A Finding is what one check found.
type Finding struct {
	Name  string `json:"name"`            // "packet devices"
	OK    bool   `json:"ok"`              // nothing needs mending
	Vital bool   `json:"vital"`           // without it the tools do not start
	Says  string `json:"says"`            // what is so
	Means string `json:"means,omitempty"` // what follows; for a vital one what the tools cannot do, "cannot ..."
	Mend  string `json:"mend,omitempty"`  // the command that mends it
	Keep  string `json:"keep,omitempty"`  // the one that makes that last beyond a restart

	Figures map[string]float64 `json:"figures,omitempty"` // with their units in their names
}

// Err is a vital finding as the error of a tool that it stops, with its hint; nil if it is fine.
func (f Finding) Err() error {
	if f.OK {
		return nil
	}
	s := f.Says
	if f.Means != "" {
		s = f.Means + ": " + s
	}
	hint := "gm-doctor tells more"
	if f.Mend != "" {
		hint = f.Mend + "; " + hint
	}
	return errors.New(s + "\nhint: " + hint)
}

// stops is a vital finding that stands in the way.
func (f Finding) stops() bool { return f.Vital && !f.OK }

// Works says whether none of them stops the tools.
func Works(all []Finding) bool {
	for _, f := range all {
		if f.stops() {
			return false
		}
	}
	return true
}
