// Command gm-shape: see man/gm-shape.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Shape), os.Args[1:], os.Stdout, os.Stderr)) }
