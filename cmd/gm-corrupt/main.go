// Command gm-corrupt: see man/gm-corrupt.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Corrupt), os.Args[1:], os.Stdout, os.Stderr)) }
