// Command gm-link: see man/gm-link.1.
package main

import (
	"os"

	"gomahi/internal/tool"
	"gomahi/meter"
	"gomahi/meter/tui"
)

func main() {
	tui.Main(func(d meter.Drawer) int {
		l := new(tool.LinkTool)
		l.DrawWith(d)
		return tool.Main(l, os.Args[1:], os.Stdout, os.Stderr)
	})
}
