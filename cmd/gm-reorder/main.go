// Command gm-reorder: see man/gm-reorder.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Reorder), os.Args[1:], os.Stdout, os.Stderr)) }
