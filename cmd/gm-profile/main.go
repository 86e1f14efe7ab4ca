// Command gm-profile: see man/gm-profile.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Profile), os.Args[1:], os.Stdout, os.Stderr)) }
