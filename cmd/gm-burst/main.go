// Command gm-burst: see man/gm-burst.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Burst), os.Args[1:], os.Stdout, os.Stderr)) }
