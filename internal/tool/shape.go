package tool

import (
	"time"

	"gomahi/effects"
	"gomahi/effects/queue"
	"gomahi/internal/cli"
	"gomahi/packet"
	"gomahi/scenario"
	"gomahi/trace"
)

// Shape is gm-shape.
type Shape struct {
	Burst     int64  `placeholder:"BYTES" help:"How much may pass at once."`
	Peak      string `placeholder:"RATE" help:"The rate within a burst."`
	Police    bool   `help:"Drop what exceeds the rate, in place of queueing it."`
	Queue     string `placeholder:"TYPE" words:"infinite,droptail,drophead,codel,pie,fq_codel,red" help:"The queue: infinite (the default), droptail, drophead, codel, pie, fq_codel, red."`
	QueueArgs string `placeholder:"ARGS" help:"Its arguments: packets=100, bytes=60000, ms=100, target=5, ecn, ..."`
	Seeded
	Fusing
	Common
	directed
	rate, peak int64
	text       string // the rate as given
	queue      queue.Spec
}

func (o *Shape) Grammar() *cli.Grammar {
	return &cli.Grammar{
		Name:  "gm-shape",
		Usage: optionsUsage + "uplink|downlink|both RATE --burst=BYTES [COMMAND...]",
		About: "Run a command, or a shell, behind a token bucket: RATE (12Mbps, 720kbit) in the long run, and up to BYTES at once\n" +
			"after a pause. What exceeds that waits.",
		Examples: []string{
			"gm-shape downlink 10Mbps --burst=100000  # a shell",
			"gm-shape both 5Mbps --burst=64000 --peak=20Mbps --queue=droptail --queue-args=packets=100 ./test",
			"gm-shape uplink 1Mbps --burst=16000 --police iperf3 -c 192.0.2.1",
		},
		Options: o,
		Own:     func(map[string]bool) int { return 2 },
	}
}

// bitrate parses a rate, in bit/s.
func bitrate(s string) (int64, error) {
	rate, err := trace.ParseRate(s)
	if err != nil {
		return 0, asUsage(err)
	}
	return max(1, int64(rate+0.5)), nil
}

func (o *Shape) Set(args []string) (err error) {
	if err = o.direct(args[0]); err != nil {
		return err
	}
	if o.rate, err = bitrate(args[1]); err != nil {
		return err
	}
	o.text = args[1]
	if o.Peak != "" {
		if o.peak, err = bitrate(o.Peak); err != nil {
			return err
		}
	}
	switch {
	case o.Burst == 0:
		return cli.Usagef("give the size of the bucket in bytes: --burst=15000", "--burst is missing")
	case o.Burst < 1500:
		return cli.Usagef("give at least 1500 bytes, or full packets would never pass", "burst %d is too small", o.Burst)
	case o.Burst > effects.MaxBurst:
		return cli.Usagef("at most 1000000000 bytes", "burst %d is too large", o.Burst)
	case o.Peak != "" && o.peak <= o.rate:
		return cli.Usagef("it is the rate within a burst", "peak rate %q is not above the rate %q", o.Peak, args[1])
	case o.Police && (o.Queue != "" || o.QueueArgs != ""):
		return cli.Usagef("leave out one of them", "--police has no queue")
	}
	if o.queue, err = queue.Parse(o.Queue, o.QueueArgs); err != nil {
		return asUsage(err)
	}
	return nil
}

func (o *Shape) Link(l *Link) error {
	o.link(l, func(direction string, seen effects.Observer) effects.Stage {
		m := map[string]*measures{"uplink": &l.Up, "downlink": &l.Down}[direction]
		m.ask(askedRate, float64(o.rate))
		if o.Police {
			return effects.NewShape(o.rate, o.Burst, o.peak, nil, seen)
		}
		m.pace = new(pace)
		c := queue.Config{Rate: float64(o.rate), Seen: seen}
		if o.queue.Draws() {
			c.Random = l.Random(direction + " queue")
		}
		return shaping{effects.NewShape(o.rate, o.Burst, o.peak, o.queue.New(c), seen), m.pace}
	})
	takes := []string{"rate", "queue.packets", "queue.bytes", "queue.ms"}
	if o.Police {
		takes = takes[:1]
	}
	for _, m := range o.directed.steer(l, scenario.State{Rate: o.rate}, takes...) {
		m.knobs.links = true
		m.knobs.check = o.belowPeak
		if !o.Police {
			m.knobs.queue = o.queue.String()
		}
	}
	return nil
}

// shaping tells a pace what leaves a bucket.
type shaping struct {
	*effects.Shape
	pace *pace
}

func (s shaping) Pop(now time.Duration) (packet.Packet, bool) {
	p, ok := s.Shape.Pop(now)
	if ok {
		s.pace.leave(p.Due, p)
	}
	return p, ok
}

func (o *Shape) belowPeak(s scenario.State) error {
	if o.peak > 0 && s.Rate >= o.peak {
		return cli.Usagef("it is the rate within a burst", "peak rate %q is not above the rate %s", o.Peak, trace.Rate(float64(s.Rate)))
	}
	return nil
}

func (o *Shape) Prefix() string { return o.prefix("shape", " "+o.text) }
