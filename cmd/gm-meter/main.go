// Command gm-meter: see man/gm-meter.1.
package main

import (
	"os"

	"gomahi/internal/tool"
	"gomahi/meter/tui"
)

func main() {
	if tui.IsGuard() {
		os.Exit(tui.Guard())
	}
	m := new(tool.Meter)
	m.DrawWith(tui.Drawer{})
	os.Exit(tool.Main(m, os.Args[1:], os.Stdout, os.Stderr))
}
