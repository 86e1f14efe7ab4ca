// Command probe is what the end-to-end tests, the benchmarks and the demo see the network with: a laboratory of
// namespaces, servers, and clients that measure.
package main

import (
	"fmt"
	"os"
	"time"
)

const usage = `usage: probe COMMAND [ARGUMENT...]
  lab                          make a host and a server beyond it; print "PID TID"; stay until end of input
  enter host|server PID TID CMD...
                               run CMD in one of a laboratory's namespaces
  ping [-c N] [-i SECONDS] ADDRESS
                               ICMP echo, as ping(8) prints it
  udp [-n N] [-i DURATION] [-size BYTES] [-reply BYTES] [-wait DURATION] [-each FILE] ADDRESS
                               send numbered packets to an echo server; print who came back, and one-way delays;
                               write to FILE of each that came back its number, and when it was sent, there and back [ns]
  tcp [-reverse] [-check] [-cc NAME] (-bytes N | -time DURATION) ADDRESS
                               one flow to or from the server; print its goodput and, with -check, whether its hash is right
  connect ADDRESS:PORT         print whether a TCP connection is made
  resolve [-tcp] NAME          ask the resolver of resolv.conf
  dns ADDRESS:PORT IP          answer every A query with IP
  raw HEX|random:SEED:N        send raw IP packets from here, whatever they say
  count DEVICE DURATION        print the packets seen on a device
  state                        print the devices, addresses, routes and tables here
  firewall                     drop what is forwarded here
  route PREFIX GATEWAY         add a route
  sink PORT FILE               take TCP connections; write to FILE how much came, and how it ended
  push ADDRESS:PORT BYTES      send that much over TCP and be gone
  flood [-rate MBIT] [-time DURATION] [-size BYTES] ADDRESS
                               send UDP packets of so many bytes over IPv4, 1,500 unless given; at rate 0 as fast as it can
  natted CMD...                run CMD behind a bare veth pair whose packets are forwarded and masqueraded here
  websites FILE                be a small internet of web sites, and write its authority's certificate to FILE
  browse [-n N] [-h3 URL]      get all that these have, N times, or one thing by HTTP/3; print what was got
  fetch URL                    get something by HTTP, and print how fast it came; the small internet has it at ?bytes=N
  page [-n N] [-times] URL [OPTION...]
                               load a page in Chromium with these options, N times; print the resources and the document, or how
                               long it took [ms]
  traffic [-seed N] [-workers N] ADDRESS...
                               send every kind of traffic, as "go", "quiet" and "end" on standard input say
  device NAME down DURATION    take a device down for a while; likewise: device NAME mtu BYTES DURATION
  sysctl PATH VALUE DURATION   give a setting below /proc/sys/net another value for a while
  serve                        be the laboratory's servers, on all addresses
  now                          print the time, in nanoseconds since 1970
  ignoring SIGNAL CMD...       run CMD with a signal ignored
  as UID CMD...                run CMD as an ordinary user
  rootly CMD...                run CMD as root in a user namespace, if an ordinary user may make one
  signals FILE                 print each signal that arrives, to FILE, until SIGTERM
`

func main() {
	commands := map[string]func([]string) error{"lab": lab, "enter": enter, "ping": ping, "udp": udp, "tcp": tcp,
		"connect": connect, "resolve": resolve, "dns": dns, "raw": raw, "count": count, "signals": signals,
		"as": as, "rootly": rootly, "ignoring": ignoring, "state": state, "firewall": firewall,
		"route": route, "sink": sink, "push": push, "flood": flood, "now": now, "websites": websites, "browse": browse, "page": loadPage, "fetch": fetch,
		"traffic": traffic, "device": device, "sysctl": sysctl,
		"natted": natted, "serve": func([]string) error { return forever(serve()) }}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "probe: error: %v\n", err)
		os.Exit(1)
	}
}

// forever returns only an error.
func forever(err error) error {
	for err == nil {
		time.Sleep(time.Hour)
	}
	return err
}
