// Command gm-ctl: see man/gm-ctl.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.RunCtl(os.Args[1:], os.Stdout, os.Stderr)) }
