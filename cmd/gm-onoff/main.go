// Command gm-onoff: see man/gm-onoff.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.OnOff), os.Args[1:], os.Stdout, os.Stderr)) }
