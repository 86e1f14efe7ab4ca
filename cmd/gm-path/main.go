// Command gm-path: see man/gm-path.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(tool.NewPath(draw), os.Args[1:], os.Stdout, os.Stderr)) }
