// Command gm-meter: see man/gm-meter.1.
package main

import (
	"os"

	"gomahi/internal/tool"
	"gomahi/meter"
	"gomahi/meter/tui"
)

func main() {
	tui.Main(func(d meter.Drawer) int {
		m := new(tool.Meter)
		m.DrawWith(d)
		return tool.Main(m, os.Args[1:], os.Stdout, os.Stderr)
	})
}
