// Command gm-webrecord: see man/gm-webrecord.1.
package main

import (
	"os"

	"gomahi/internal/tool"
	"gomahi/internal/webtool"
)

func main() { os.Exit(tool.Main(new(webtool.Record), os.Args[1:], os.Stdout, os.Stderr)) }
