package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"gomahi/web/authority"
)

// serving measures how often a second gm-webreplay serves an object of 10 kB, in turn with nginx, which serves a file as large
// at the outer end of the same link: a CPU for the servers and the link, the other for the client.
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
	server := b.command("taskset", "-c", "0", "nginx", "-c", filepath.Join(dir, "nginx.conf"))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { server.Process.Signal(syscall.SIGTERM); server.Wait() }()
	answered := regexp.MustCompile(`(?s)finished in [^,]*, ([\d.]+) req/s.*, 0 failed, 0 errored`)
	for _, way := range []struct{ name, options, ours, nginx string }{
		{"HTTP/1.1", "--h1", "http://plain.site.test/", "http://" + outside + ":8080/"},
		{"HTTP/2", "-m 10", "https://img.site.test/", "https://" + outside + ":8443/"},
	} {
		if _, err := trusting("gm-webrecord", "--append", site, "probe", "fetch", fmt.Sprintf("%s?bytes=%d", way.ours, size)); err != nil {
			return err
		}
		var rates [2][]float64
		for range rounds {
			for i, line := range []string{"gm-webreplay --fail-on-miss " + site, "gm-delay 0"} {
				url := []string{way.ours, way.nginx}[i]
				out, err := trusting(strings.Fields(fmt.Sprintf("taskset -c 0 %s taskset -c 1 h2load %s -D 3 -c 8 %s?bytes=%d", line, way.options, url, size))...)
				if err != nil {
					return err
				}
				m := answered.FindStringSubmatch(out)
				if m == nil {
					return fmt.Errorf("not every request was answered: %q", out)
				}
				rate, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					return err
				}
				rates[i] = append(rates[i], rate)
			}
			fmt.Printf("%8.0f per second, nginx %.0f  %s\n", rates[0][len(rates[0])-1], rates[1][len(rates[1])-1], way.name)
		}
		ours, theirs := median(rates[0]), median(rates[1])
		share := ours / theirs
		row(fmt.Sprintf("10 kB served by gm-webreplay, %s", way.name), fmt.Sprintf("%.0f a second, %.0f %% of nginx's %.0f", ours, 100*share, theirs),
			">= 1/3 of nginx", share >= 1.0/3)
	}
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
