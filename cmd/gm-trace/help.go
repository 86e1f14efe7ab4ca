package main

import (
	"fmt"
	"strings"

	"gomahi/internal/cli"
	"gomahi/trace"
)

const helpEnd = `FILE is a trace, - or nothing is standard input; the result goes to standard output, or to -o FILE.
gm-trace COMMAND --help says more.

Examples:
  gm-trace make constant 12Mbps --seconds 1 -o 12.trace
  gm-trace make walk 1Mbps 30Mbps 2Mbps --seed 7 | gm-trace info
  gm-trace cut 10s 20s lte.down | gm-trace scale 0.5 | gm-trace plot -o half.svg
`

func program() *cli.Program {
	return &cli.Program{Name: name, End: helpEnd, Commands: commands(),
		About: "Make, convert, change and describe traces: files that say when a link may deliver."}
}

// commands are all of them, in the order of the help.
func commands() []*cli.Command {
	return []*cli.Command{
		cli.NewCommand("info", "[FILE]",
			"Describe a trace. Its mean rate counts 1500 bytes for each opportunity.",
			[]string{"gm-trace info lte.down", "gm-trace make sine 1Mbps 9Mbps 10s | gm-trace info"},
			0, 1, new(info)),
		cli.NewCommand("plot", "[FILE]",
			"Draw the rate over time. It is SVG, or PNG where the name after -o ends in .png.",
			[]string{"gm-trace plot lte.down -o lte.png", "gm-trace scale 2 lte.down | gm-trace plot > twice.svg",
				"gm-trace plot --bin 1s lte.down -o lte.svg  # smoother"},
			0, 1, new(plots)),
		cli.NewCommand("make", "KIND ARGUMENT...",
			"Make a trace. The same arguments and seed make the same trace. A kind is:\n\n"+kinds()+
				"\nRates are 12Mbps or 720kbit, and LOW may be 0. Times are 10s or 200ms; a bare number is seconds.",
			[]string{"gm-trace make constant 12Mbps --seconds 1 -o 12.trace",
				"gm-trace make walk 1Mbps 30Mbps 2Mbps --seed 7 -o lte.down",
				"gm-trace make walk 5Mbps 50Mbps 5Mbps 50ms --gaps 4s,300ms > wifi.down",
				"gm-trace make constant 4.8Gbit --fine --seconds 0.1  # opportunities 2.5 us apart"},
			0, 5, new(makes)),
		cli.NewCommand("convert", "[FILE]",
			"Convert between formats. See the manual for what each is.",
			[]string{"gm-trace convert rates.mbps --from mbps -o rates.trace",
				"gm-trace convert --to csv --interval 1s lte.down",
				"gm-trace convert cooked.txt --from pensieve  # to a trace"},
			0, 1, new(convert)),
		cli.NewCommand("cut", "FROM TO [FILE]",
			"Keep what lies between two times. The last opportunity there is the new end.",
			[]string{"gm-trace cut 10s 20s lte.down > ten.down"},
			2, 3, new(cut)),
		cli.NewCommand("scale", "FACTOR [FILE]",
			"Multiply the rate. The times stay; there are more or fewer opportunities.",
			[]string{"gm-trace scale 0.5 lte.down > half.down"},
			1, 2, new(scale)),
		cli.NewCommand("repeat", "N [FILE]",
			"Repeat a trace N times. A link does that by itself; this is for what comes after.",
			[]string{"gm-trace repeat 3 lte.down > thrice.down"},
			1, 2, new(repeat)),
		cli.NewCommand("join", "FILE...",
			"Put traces one after another. One of them may be -, standard input.",
			[]string{"gm-trace join 3g.down lte.down > both.down"},
			1, 1<<20, new(join)),
	}
}

func kinds() string {
	var b strings.Builder
	usage, about := trace.Kinds()
	for i := range usage {
		fmt.Fprintf(&b, "  %-28s %s\n", usage[i], about[i])
	}
	return b.String()
}
