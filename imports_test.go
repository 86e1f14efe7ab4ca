package gomahi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "gomahi"

// pkg is what "go list" says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// A room is a package, or, with "/..." after it, that and all below it.
type room string

func (r room) has(path string) bool {
	above, all := strings.CutSuffix(string(r), "/...")
	return path == above || all && strings.HasPrefix(path, above+"/")
}

// anything is all but the commands.
const anything room = "..."

func inRooms(rooms []room, path string) bool {
	return slices.ContainsFunc(rooms, func(r room) bool { return r.has(path) })
}

// mayImport says which of our packages a room's own code may import. The first that fits counts. One that is not here
// has no room in the house yet.
var mayImport = []struct {
	who  room
	what []room
}{
	{"bench/...", []room{anything}},
	{"e2e/...", []room{anything}},
	{"cmd/...", []room{"packet", "tun", "effects/...", "trace", "scenario", "shell", "gateway", "meter/...", "web/...", "internal/cli",
		"internal/tool", "internal/webtool", "internal/graph", "internal/host", "internal/report"}},
	{"internal/tool", []room{"effects/...", "shell", "packet", "internal/cli", "internal/host", "internal/report", "internal/control",
		"trace", "scenario", "profiles", "meter"}},
	{"internal/webtool", []room{"internal/tool", "internal/cli", "internal/host", "shell", "effects", "web/..."}},
	{"internal/graph", nil}, // reads logs, which are text
	{"internal/cli", nil},
	{"internal/control", nil},
	{"internal/host", nil},
	{"internal/report", nil},
	{"internal/testutil", nil},
	{"shell", []room{"tun", "packet", "internal/host"}},
	{"gateway", []room{"tun", "packet"}},
	{"effects/queue", []room{"packet"}},
	{"effects/record", []room{"packet", "trace", "scenario"}}, // logs of what observers are told
	{"effects", []room{"effects/queue", "trace", "scenario", "packet"}},
	{"meter/tui", []room{"meter", "packet"}},
	{"meter", []room{"packet"}},
	{"tun/tuntest", []room{"packet"}},
	{"tun", []room{"packet"}},
	{"packet", nil},
	{"trace", nil},
	{"scenario", nil},
	{"profiles", nil},
	{"web/...", []room{"web/..."}},
}

// onlyIn says where else's code may be imported.
var onlyIn = []struct {
	what   string // the beginning of an import path
	where  []room
	tested bool // tests may, wherever they are
}{
	{"github.com/gdamore/tcell", []room{"meter/tui", "bench/..."}, false},
	{"gvisor.dev/gvisor", []room{"gateway", "bench/..."}, false},
	{"github.com/vishvananda/netlink", []room{"shell", "gateway", "e2e/...", "bench/...", "internal/testutil"}, true},
	{"github.com/vishvananda/netns", []room{"shell", "gateway", "e2e/...", "bench/..."}, true},
	{"github.com/mdlayher/netlink", []room{"shell", "gateway", "e2e/...", "bench/..."}, true},
	{"github.com/google/nftables", []room{"shell", "gateway", "e2e/...", "bench/..."}, true},
	{"github.com/alecthomas/kong", []room{"cmd/...", "internal/cli", "internal/tool", "bench/..."}, false},
	{"github.com/quic-go/quic-go", []room{"web/...", "e2e/...", "bench/..."}, false},
}

// testOnly are packages of ours that no program has in it.
var testOnly = []room{"internal/testutil", "tun/tuntest"}

// within returns a path within the module, and whether it is there.
func within(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, module)
	return strings.TrimPrefix(rest, "/"), ok && (rest == "" || rest[0] == '/')
}

// violations says what breaks the rules.
func violations(p pkg) (out []string) {
	who, _ := within(p.ImportPath)
	if who == "" { // the root has tests alone
		if len(p.Imports) > 0 {
			out = append(out, "the root has code of its own")
		}
		return out
	}
	k := slices.IndexFunc(mayImport, func(r struct {
		who  room
		what []room
	}) bool {
		return r.who.has(who)
	})
	if k < 0 {
		return []string{who + " has no room in this test"}
	}
	allowed := mayImport[k].what
	free := slices.Contains(allowed, anything)
	for _, path := range p.Imports {
		what, ours := within(path)
		switch {
		case !ours, free && !inRooms([]room{"cmd/..."}, what):
		case inRooms(testOnly, what):
			out = append(out, fmt.Sprintf("%s imports %s, which is for tests", who, what))
		case !inRooms(allowed, what):
			out = append(out, fmt.Sprintf("%s imports %s", who, what))
		}
	}
	tests := append(slices.Clone(p.TestImports), p.XTestImports...)
	for _, path := range tests {
		if what, ours := within(path); ours && inRooms([]room{"cmd/..."}, what) && what != who {
			out = append(out, fmt.Sprintf("a test of %s imports %s", who, what))
		}
	}
	for _, rule := range onlyIn {
		if inRooms(rule.where, who) {
			continue
		}
		is := func(path string) bool { return path == rule.what || strings.HasPrefix(path, rule.what+"/") }
		if slices.ContainsFunc(p.Imports, is) {
			out = append(out, fmt.Sprintf("%s imports %s", who, rule.what))
		}
		if !rule.tested && slices.ContainsFunc(tests, is) {
			out = append(out, fmt.Sprintf("a test of %s imports %s", who, rule.what))
		}
	}
	return out
}

// The rooms of the house, and who may enter which from where: downward only.
func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	n := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; n++ {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, v := range violations(p) {
			t.Error(v)
		}
	}
	if n < 10 {
		t.Errorf("there are only %d packages", n)
	}
}

// What the rules are for is caught.
func TestImportRules(t *testing.T) {
	list := func(paths ...string) []string { return paths }
	for _, row := range []struct {
		name string
		p    pkg
		want []string
	}{
		{"shell as it should be", pkg{ImportPath: "gomahi/shell", Imports: list("os", "gomahi/tun", "gomahi/packet",
			"github.com/vishvananda/netlink", "github.com/vishvananda/netlink/nl", "github.com/google/nftables/expr")}, nil},
		{"shell and effects", pkg{ImportPath: "gomahi/shell", Imports: list("gomahi/effects")}, list("shell imports effects")},
		{"a test of shell and effects", pkg{ImportPath: "gomahi/shell", TestImports: list("gomahi/effects",
			"gomahi/internal/testutil", "gomahi/tun/tuntest")}, nil},
		{"upward", pkg{ImportPath: "gomahi/packet", Imports: list("gomahi/tun")}, list("packet imports tun")},
		{"effects", pkg{ImportPath: "gomahi/effects", Imports: list("gomahi/effects/queue", "gomahi/trace",
			"gomahi/packet")}, nil},
		{"effects and shell", pkg{ImportPath: "gomahi/effects", Imports: list("gomahi/shell")}, list("effects imports shell")},
		{"a queue and effects", pkg{ImportPath: "gomahi/effects/queue", Imports: list("gomahi/effects")},
			list("effects/queue imports effects")},
		{"a command", pkg{ImportPath: "gomahi/cmd/gm-delay", Imports: list("gomahi/internal/tool", "gomahi/meter/tui",
			"github.com/alecthomas/kong")}, nil},
		{"a command and another", pkg{ImportPath: "gomahi/cmd/gm-delay", Imports: list("gomahi/cmd/gm-loss")},
			list("cmd/gm-delay imports cmd/gm-loss")},
		{"test helpers in a program", pkg{ImportPath: "gomahi/internal/tool", Imports: list("gomahi/internal/testutil",
			"gomahi/tun/tuntest")}, list("internal/tool imports internal/testutil, which is for tests",
			"internal/tool imports tun/tuntest, which is for tests")},
		{"test helpers in tests", pkg{ImportPath: "gomahi/internal/tool", XTestImports: list("gomahi/internal/testutil")}, nil},
		{"tcell in its room", pkg{ImportPath: "gomahi/meter/tui", Imports: list("github.com/gdamore/tcell/v2")}, nil},
		{"tcell elsewhere", pkg{ImportPath: "gomahi/meter", Imports: list("github.com/gdamore/tcell/v2")},
			list("meter imports github.com/gdamore/tcell")},
		{"gvisor in its room", pkg{ImportPath: "gomahi/gateway", Imports: list("gvisor.dev/gvisor/pkg/tcpip")}, nil},
		{"gvisor elsewhere", pkg{ImportPath: "gomahi/shell", TestImports: list("gvisor.dev/gvisor/pkg/tcpip")},
			list("a test of shell imports gvisor.dev/gvisor")},
		{"netlink elsewhere", pkg{ImportPath: "gomahi/tun", Imports: list("github.com/vishvananda/netlink/nl")},
			list("tun imports github.com/vishvananda/netlink")},
		{"netlink in a test", pkg{ImportPath: "gomahi/tun", TestImports: list("github.com/vishvananda/netlink")}, nil},
		{"nftables elsewhere", pkg{ImportPath: "gomahi/meter", Imports: list("github.com/google/nftables")},
			list("meter imports github.com/google/nftables")},
		{"kong elsewhere", pkg{ImportPath: "gomahi/shell", Imports: list("github.com/alecthomas/kong")},
			list("shell imports github.com/alecthomas/kong")},
		{"a name that begins alike", pkg{ImportPath: "gomahi/shell", Imports: list("gomahiother/effects",
			"github.com/alecthomas/kongother")}, nil},
		{"bench is free", pkg{ImportPath: "gomahi/bench", Imports: list("gomahi/shell", "gomahi/effects",
			"github.com/vishvananda/netlink", "gvisor.dev/gvisor/pkg/tcpip")}, nil},
		{"a new package", pkg{ImportPath: "gomahi/attic"}, list("attic has no room in this test")},
		{"code at the root", pkg{ImportPath: "gomahi", Imports: list("os")}, list("the root has code of its own")},
		{"tests at the root", pkg{ImportPath: "gomahi", XTestImports: list("os")}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, violations(row.p)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
