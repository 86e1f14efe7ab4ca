// Command gm-intermittent: see man/gm-intermittent.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Intermittent), os.Args[1:], os.Stdout, os.Stderr)) }
