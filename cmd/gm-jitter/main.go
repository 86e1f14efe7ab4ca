// Command gm-jitter: see man/gm-jitter.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Jitter), os.Args[1:], os.Stdout, os.Stderr)) }
