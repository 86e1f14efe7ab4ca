// Package profiles has named kinds of networks, as others define them: in files, each with its source beside its numbers.
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A Profile is a network. Its numbers are as gm-link takes them.
type Profile struct {
	Source   string    `toml:"source"` // where the numbers are from
	Read     time.Time `toml:"read"`   // when they were
	Called   string    `toml:"called"` // its name there, if it is another
	Uplink   Direction `toml:"uplink"`
	Downlink Direction `toml:"downlink"`
}

// A Direction is one of two. What is missing is not there, but for the rate.
type Direction struct {
	Rate      string `toml:"rate"`
	Delay     string `toml:"delay"` // one way
	Loss      string `toml:"loss"`
	Queue     string `toml:"queue"`
	QueueArgs string `toml:"queue-args"`
}

//go:embed */*.toml
var files embed.FS

const suffix = ".toml"

// Names lists the profiles, those of one source together.
func Names() (names []string) {
	found, _ := fs.Glob(files, "*/*"+suffix) // the pattern is good
	for _, f := range found {
		names = append(names, strings.TrimSuffix(f, suffix))
	}
	return names
}

// Load reads a profile of a name, or a file whose name ends in .toml. Errors give a hint behind "\nhint: ".
func Load(name string) (*Profile, error) {
	if strings.HasSuffix(name, suffix) {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w\nhint: give a file that can be read, or a profile's name: see gm-profile list", err)
		}
		return Parse(name, string(b))
	}
	b, err := files.ReadFile(name + suffix)
	if err != nil {
		return nil, fmt.Errorf("there is no profile %q\nhint: see gm-profile list, or give a FILE.toml", name)
	}
	return Parse(name, string(b))
}

// Parse reads a profile's text. Errors name the line.
func Parse(name, text string) (*Profile, error) {
	p := new(Profile)
	const hint = "\nhint: a profile has [uplink] and [downlink], each with rate, and optionally delay, loss, queue and queue-args, " +
		`as in rate = "12Mbps"; besides source, read and called`
	meta, err := toml.Decode(text, p)
	var wrong toml.ParseError
	switch unknown := meta.Undecoded(); {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%s:%d:%d: %s%s", name, wrong.Position.Line, wrong.Position.Col, wrong.Message, hint)
	case err != nil:
		return nil, fmt.Errorf("%s: %w%s", name, err, hint)
	case len(unknown) > 0:
		return nil, fmt.Errorf("%s: unknown key %q%s", name, unknown[0].String(), hint)
	case p.Uplink.Rate == "":
		return nil, fmt.Errorf("%s: the uplink has no rate%s", name, hint)
	case p.Downlink.Rate == "":
		return nil, fmt.Errorf("%s: the downlink has no rate%s", name, hint)
	}
	return p, nil
}
