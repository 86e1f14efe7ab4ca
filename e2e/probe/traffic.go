package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kinds of traffic, as arguments of this program. An address of that family follows, if it has one.
var kinds = []struct {
	name   string
	family int
	args   func(r *rand.Rand) string
}{
	{"tcp4-up", 4, func(r *rand.Rand) string { return fmt.Sprint("tcp -check -bytes ", 1+r.IntN(1_000_000)) }},
	{"tcp4-down", 4, func(r *rand.Rand) string { return fmt.Sprint("tcp -check -reverse -bytes ", 1+r.IntN(2_000_000)) }},
	{"tcp6-up", 6, func(r *rand.Rand) string { return fmt.Sprint("tcp -check -bytes ", 1+r.IntN(1_000_000)) }},
	{"tcp6-down", 6, func(r *rand.Rand) string { return fmt.Sprint("tcp -check -reverse -bytes ", 1+r.IntN(2_000_000)) }},
	{"udp4-small", 4, func(r *rand.Rand) string { return fmt.Sprint("udp -n 300 -i 2ms -size ", 24+r.IntN(100)) }},
	{"udp6-small", 6, func(r *rand.Rand) string { return fmt.Sprint("udp -n 300 -i 2ms -size ", 24+r.IntN(100)) }},
	{"udp4-large", 4, func(r *rand.Rand) string { return fmt.Sprint("udp -n 100 -i 5ms -size ", 1200+r.IntN(272)) }},
	{"udp6-large", 6, func(r *rand.Rand) string { return fmt.Sprint("udp -n 100 -i 5ms -size ", 1200+r.IntN(252)) }},
	{"fragments4", 4, func(r *rand.Rand) string { return fmt.Sprint("udp -n 20 -i 20ms -size ", 1500+r.IntN(12_000)) }},
	{"fragments6", 6, func(r *rand.Rand) string { return fmt.Sprint("udp -n 20 -i 20ms -size ", 1500+r.IntN(12_000)) }},
	{"icmp4", 4, func(*rand.Rand) string { return "ping -c 5 -i 0.05" }},
	{"icmp6", 6, func(*rand.Rand) string { return "ping -c 5 -i 0.05" }},
	{"flood4", 4, func(r *rand.Rand) string { return fmt.Sprint("flood -time 500ms -rate ", 20+r.IntN(180)) }},
	{"flood6", 6, func(r *rand.Rand) string { return fmt.Sprint("flood -time 500ms -rate ", 20+r.IntN(180)) }},
	{"garbage", 0, func(r *rand.Rand) string { return fmt.Sprintf("raw random:%d:200", r.Uint64()) }},
}

// longest is how long one item may take: the links and their faults stop for seconds.
const longest = time.Minute

// traffic sends every kind of traffic there is to the addresses, in an order of the seed's. It obeys lines on standard
// input, and answers each by one when it is done: "go", "quiet", when no more is sent, and "end" or the end of input. Then
// it prints for each kind how often that came to an end, and how often not.
func traffic(args []string) error {
	f := flag.NewFlagSet("traffic", flag.ExitOnError)
	seed := f.Uint64("seed", 1, "")
	workers := f.Int("workers", 3, "")
	f.Parse(args)
	byFamily := map[int][]string{}
	for _, a := range f.Args() {
		family := 4
		if strings.Contains(a, ":") {
			family = 6
		}
		byFamily[family] = append(byFamily[family], a)
	}
	var mu sync.Mutex
	good, bad := map[string]int{}, map[string]int{}
	item := func(r *rand.Rand) {
		k := kinds[r.IntN(len(kinds))]
		args := strings.Fields(k.args(r))
		if to := byFamily[k.family]; to != nil {
			args = append(args, to[r.IntN(len(to))])
		} else if k.family != 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		out, err := exec.CommandContext(ctx, "/proc/self/exe", args...).CombinedOutput()
		mu.Lock()
		defer mu.Unlock()
		switch said := string(out); {
		case strings.Contains(said, "HASH WRONG"):
			fmt.Printf("wrong: %v: %q\n", args, said)
		case err != nil, strings.Contains(said, "received 0 "):
			bad[k.name]++
			fmt.Printf("failed: %v: %v: %q\n", args, err, said)
		default:
			good[k.name]++
		}
	}
	var going atomic.Bool
	var busy sync.WaitGroup
	begin := func() {
		going.Store(true)
		for w := range *workers {
			r := rand.New(rand.NewPCG(*seed, uint64(w)))
			busy.Go(func() {
				for going.Load() {
					item(r)
				}
			})
		}
		*seed++ // the next time, other traffic
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan() && lines.Text() != "end"; fmt.Println(lines.Text()) {
		switch lines.Text() {
		case "go":
			begin()
		case "quiet":
			going.Store(false)
			busy.Wait()
		}
	}
	going.Store(false)
	busy.Wait()
	for _, k := range kinds {
		fmt.Println("traffic", k.name, good[k.name], bad[k.name])
	}
	return nil
}
