// Command gm-link: see man/gm-link.1.
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
	l := new(tool.LinkTool)
	l.DrawWith(tui.Drawer{})
	os.Exit(tool.Main(l, os.Args[1:], os.Stdout, os.Stderr))
}
