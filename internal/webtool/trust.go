// Package webtool has the container tools that record and replay web sites. They are apart from the others, which would
// carry the protocols' libraries in vain.
package webtool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gomahi/shell"
	"gomahi/web/authority"
)

// bundles are where distributions have the certificates that they trust, as crypto/x509 looks for them.
var bundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}

// variables name a file of trusted certificates to OpenSSL and Go, Node, Python's requests, curl, and git.
var variables = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"}

// chromiumVar has what Chromium, which has certificates of its own, is to be told.
const chromiumVar = "GM_CHROMIUM_FLAGS"

// trust makes the command trust an authority, beside those that it does anyway.
func trust(a *authority.Authority, o *shell.Options) error {
	o.Files = map[string][]byte{}
	for _, path := range bundles {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		b, err := os.ReadFile(real)
		if err != nil {
			continue
		}
		for _, v := range variables { // what the user trusts beside the system
			if own := os.Getenv(v); own != "" && own != path && own != real {
				if more, err := os.ReadFile(own); err == nil {
					b = append(append(b, '\n'), more...)
				}
			}
		}
		o.Files[real] = append(append(b, '\n'), a.PEM()...)
		if len(o.Env) == 0 {
			for _, v := range variables {
				o.Env = append(o.Env, v+"="+path)
			}
		}
	}
	if len(o.Files) == 0 {
		return errors.New("the system has no file of trusted certificates that could be extended\nhint: install the package ca-certificates")
	}
	flag := "--ignore-certificate-errors-spki-list=" + a.SPKI()
	o.Env = append(o.Env, chromiumVar+"="+flag)
	for i, word := range o.Argv {
		if isChromium(word) {
			o.Argv = slices.Insert(slices.Clone(o.Argv), i+1, flag)
			break
		}
	}
	return nil
}

// isChromium says whether a word of a command line is the browser's program, or one made of it.
func isChromium(word string) bool {
	if strings.HasPrefix(word, "-") {
		return false
	}
	name := filepath.Base(word)
	for _, b := range []string{"chromium", "google-chrome", "chrome-headless-shell"} {
		if name == b || strings.HasPrefix(name, b+"-") {
			return true
		}
	}
	return name == "chrome"
}
