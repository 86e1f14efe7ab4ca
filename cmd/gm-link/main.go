// Command gm-link: see man/gm-link.1.
package main

import (
	"os"

	"gomahi/internal/tool"
)

func main() { os.Exit(tool.Main(new(tool.LinkTool), os.Args[1:], os.Stdout, os.Stderr)) }
