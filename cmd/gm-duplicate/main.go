// Command gm-duplicate: see man/gm-duplicate.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Duplicate), os.Args[1:], os.Stdout, os.Stderr)) }
