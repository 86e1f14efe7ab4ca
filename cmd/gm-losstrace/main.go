// Command gm-losstrace: see man/gm-losstrace.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.LossTrace), os.Args[1:], os.Stdout, os.Stderr)) }
