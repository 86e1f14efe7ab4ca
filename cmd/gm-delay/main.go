// Command gm-delay: see man/gm-delay.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Delay), os.Args[1:], os.Stdout, os.Stderr)) }
