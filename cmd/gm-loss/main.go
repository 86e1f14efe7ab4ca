// Command gm-loss: see man/gm-loss.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Loss), os.Args[1:], os.Stdout, os.Stderr)) }
