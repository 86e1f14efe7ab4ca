// Command gm-sandbox: see man/gm-sandbox.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.Sandbox), os.Args[1:], os.Stdout, os.Stderr)) }
