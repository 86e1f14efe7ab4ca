package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gomahi/web"
	"gomahi/web/authority"
	"gomahi/web/match"
	"gomahi/web/replay"
)

// serving measures how often a second gm-webreplay serves an object of 10 kB, in turn with nginx, which serves a file as
// large: the servers alone on loopback, and at the outer end of the same link. They, and the link, have one CPU, and the client
// the other.
func (b *bench) serving(rounds int, row func(what, figure, wanted string, ok bool), trusting func(...string) (string, error), dir string) error {
	for _, program := range []string{"nginx", "h2load", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Println(program, "is not installed: what gm-webreplay serves in comparison with nginx is left out")
			return nil
		}
	}
	const size = 10_000
	site := filepath.Join(dir, "site")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := nginx(dir, size); err != nil {
		return err
	}
	const plainSite, tlsSite = "http://plain.site.test/", "https://img.site.test/"
	for _, url := range []string{plainSite, tlsSite} {
		if _, err := trusting("gm-webrecord", "--append", site, "probe", "fetch", fmt.Sprintf("%s?bytes=%d", url, size)); err != nil {
			return err
		}
	}
	server := b.command("taskset", "-c", "0", "nginx", "-c", filepath.Join(dir, "nginx.conf"))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { server.Process.Signal(syscall.SIGTERM); server.Wait() }()
	alone, err := b.alone(site)
	if err != nil {
		return err
	}
	defer alone()
	query := fmt.Sprintf("?bytes=%d", size)
	for _, way := range []struct{ name, options, ours, loopback, nginx string }{
		{"HTTP/1.1", "--h1", plainSite, "127.0.0.1:10080", "http://%s:8080/"},
		{"HTTP/2", "-m 10", tlsSite, "127.0.0.1:10443", "https://%s:8443/"},
	} {
		client := "taskset -c 1 h2load -D 3 -c 8 " + way.options + " "
		for _, c := range []struct{ what, ours, nginx string }{
			{way.name + ", alone",
				client + "--connect-to=" + way.loopback + " " + way.ours + query,
				client + fmt.Sprintf(way.nginx, "127.0.0.1") + query},
			{way.name + ", behind a link",
				"taskset -c 0 gm-webreplay --fail-on-miss " + site + " " + client + way.ours + query,
				"taskset -c 0 gm-delay 0 " + client + fmt.Sprintf(way.nginx, outside) + query},
		} {
			var ours, theirs []float64
			for range rounds {
				us, err := served(trusting, c.ours)
				if err != nil {
					return err
				}
				them, err := served(trusting, c.nginx)
				if err != nil {
					return err
				}
				ours, theirs = append(ours, us), append(theirs, them)
				fmt.Printf("%8.0f per second, nginx %.0f  %s\n", us, them, c.what)
			}
			share := median(ours) / median(theirs)
			row("10 kB served by gm-webreplay, "+c.what, fmt.Sprintf("%.0f a second, %.0f %% of nginx's %.0f", median(ours), 100*share, median(theirs)),
				">= 1/3 of nginx", share >= 1.0/3)
		}
	}
	return nil
}

// served is how many requests a second a line with h2load got answered.
func served(run func(...string) (string, error), line string) (float64, error) {
	out, err := run(strings.Fields(line)...)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?s)finished in [^,]*, ([\d.]+) req/s.*, 0 failed, 0 errored`).FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("not every request was answered: %q", out)
	}
	return strconv.ParseFloat(m[1], 64)
}

// alone starts the servers of a recording on loopback, without a link: see serveAlone.
func (b *bench) alone(site string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := b.command("taskset", "-c", "0", self, "alone", site)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop = func() { in.Close(); c.Wait() }
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		stop()
		return nil, errors.New("the servers alone did not start")
	}
	return stop, nil
}

// serveAlone serves a recording as gm-webreplay does, at 127.0.0.1 and ports that are 10,000 higher, until its input ends.
func serveAlone(site string) error {
	all, err := web.Load(site)
	if err != nil {
		return err
	}
	a, err := authority.New("bench")
	if err != nil {
		return err
	}
	listen := func(network, address string) (net.Listener, error) {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		return net.Listen(network, fmt.Sprintf("127.0.0.1:%d", 10_000+int(at.Port())))
	}
	h := &replay.Handler{Index: match.New(all, match.Fuzzy, nil), HTTP3: replay.Off, Start: time.Now()}
	if _, err := replay.Serve(replay.Origins(all), h, a, replay.Network{Listen: listen}); err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// nginx writes a configuration of one process that serves one file, without and with TLS.
func nginx(dir string, size int) error {
	a, err := authority.New("bench")
	if err != nil {
		return err
	}
	c, err := a.Certificate("img.site.test")
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"index.html": make([]byte, size),
		"cert.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		"key.pem":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"nginx.conf": fmt.Appendf(nil, `daemon off; worker_processes 1; user root; pid %[1]s/pid; error_log stderr;
			events { worker_connections 64; }
			http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; root %[1]s; open_file_cache max=10;
				server { listen 8080; listen 8443 ssl http2; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; } }`, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
