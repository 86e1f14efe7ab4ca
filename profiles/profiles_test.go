package profiles

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoad(t *testing.T) {
	p, err := Load("atc/2g-rural")
	if err != nil {
		t.Fatal(err)
	}
	want := &Profile{Source: "Facebook augmented-traffic-control, utils/profiles", Called: "2G Developing Rural", Read: p.Read,
		Uplink:   Direction{"18kbit", "650ms", "2%", "droptail", "bytes=15000"},
		Downlink: Direction{"20kbit", "650ms", "2%", "droptail", "bytes=15000"}}
	if d := cmp.Diff(want, p); d != "" || p.Read.Format(time.DateOnly) != "2026-11-21" {
		t.Errorf("read %v (-want +got):\n%s", p.Read, d)
	}
}

// Beside every number stands where it is from.
func TestSources(t *testing.T) {
	for _, name := range Names() {
		b, err := files.ReadFile(name + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if key, _, ok := strings.Cut(line, " = "); ok && key != "source" && key != "read" && !strings.Contains(line, "# ") {
				t.Errorf("%s: %q has no source", name, line)
			}
		}
	}
}

// Whatever is read as a profile has both rates; what is wrong is said with a hint.
func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		b, _ := files.ReadFile(name + suffix)
		f.Add(string(b))
	}
	f.Add("uplink = 3")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("f", text)
		switch {
		case err != nil && (!strings.HasPrefix(err.Error(), "f:") || !strings.Contains(err.Error(), "\nhint: ")):
			t.Errorf("an error without name or hint: %v", err)
		case err == nil && (p.Uplink.Rate == "" || p.Downlink.Rate == ""):
			t.Errorf("no rate: %+v", p)
		}
	})
}
