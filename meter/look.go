package meter

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Look is what a screen with graphs shows, and how.
type Look struct {
	Layout string         // one of Layouts
	Share  int            // of the screen that is the graphs', in percent
	Graphs func() []Graph // called before each picture
}

// Layouts say where the graphs are; with full the command cannot be seen.
var Layouts = []string{"top", "bottom", "left", "right", "full"}

// LeastShare and MostShare are what a Look's may be.
const LeastShare, MostShare = 10, 90

// Share reads one: "40%". The error is in the words of an option for the height.
func Share(s string) (percent int, err error) {
	n, found := strings.CutSuffix(s, "%")
	percent, err = strconv.Atoi(n)
	switch {
	case !found || err != nil:
		return 0, fmt.Errorf("height %q is not a percentage", s)
	case percent < LeastShare || percent > MostShare:
		return 0, fmt.Errorf("height %q is not from %d%% to %d%%", s, LeastShare, MostShare)
	}
	return percent, nil
}

// KnownLayout says whether there is a layout of that name.
func KnownLayout(s string) bool { return slices.Contains(Layouts, s) }

// A Terminal is shell's.
type Terminal interface {
	Start() ([3]*os.File, error)
	Started()
	Suspend()
	Resume()
	End()
}

// A Drawer draws graphs on the user's terminal.
type Drawer interface {
	// Usable says whether there is one.
	Usable() bool
	// Open prepares a terminal for a command next to the graphs.
	Open(Look) (Terminal, error)
	// Watch draws graphs alone, until the user quits or over is closed.
	Watch(l Look, over <-chan struct{}) error
}
