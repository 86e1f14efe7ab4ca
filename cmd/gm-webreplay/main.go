// Command gm-webreplay: see man/gm-webreplay.1.
package main

import (
	"os"

	"gomahi/internal/tool"
	"gomahi/internal/webtool"
)

func main() { os.Exit(tool.Main(new(webtool.Replay), os.Args[1:], os.Stdout, os.Stderr)) }
