// Package webtool has the container tools that record and replay web sites. They are apart from the others, which would
// carry the protocols' libraries in vain.
package webtool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gomahi/internal/cli"
	"gomahi/internal/host"
	"gomahi/shell"
	"gomahi/web/authority"
)

// bundles are the files of certificates that the system may have.
var bundles = host.Bundles

// variables name a file of trusted certificates to OpenSSL and Go, Node, Python's requests, curl, and git.
var variables = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"}

// chromiumVar has what Chromium is to be told. It trusts certificates of its own alone, and knows of another option only where
// it has a profile of its own; one that runs already would take the page to its own network.
const chromiumVar = "GM_CHROMIUM_FLAGS"

// A Browser is what both tools have for Chromium.
type Browser struct {
	Chromium bool `help:"Within the command: print what Chromium's command line needs, and exit."`
	profile  string
}

// trust makes the command trust an authority, beside those that it does anyway.
func (b *Browser) trust(a *authority.Authority, o *shell.Options) error {
	o.Files = map[string][]byte{}
	for _, path := range bundles {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		trusted, err := os.ReadFile(real)
		if err != nil {
			continue
		}
		for _, v := range variables { // what the user trusts beside the system
			if own := os.Getenv(v); own != "" && own != path && own != real {
				if more, err := os.ReadFile(own); err == nil {
					trusted = append(append(trusted, '\n'), more...)
				}
			}
		}
		o.Files[real] = append(append(trusted, '\n'), a.PEM()...)
		if len(o.Env) == 0 {
			for _, v := range variables {
				o.Env = append(o.Env, v+"="+path)
			}
		}
	}
	if len(o.Files) == 0 {
		return errors.New("the system has no file of trusted certificates that could be extended\nhint: install the package ca-certificates")
	}
	b.profile = filepath.Join(os.TempDir(), "gm-chromium-"+rand.Text())
	flags := []string{"--ignore-certificate-errors-spki-list=" + a.SPKI(), "--user-data-dir=" + b.profile}
	o.Env = append(o.Env, chromiumVar+"="+strings.Join(flags, " "))
	for i, word := range o.Argv {
		if isChromium(word) {
			o.Argv = slices.Insert(slices.Clone(o.Argv), i+1, flags...)
			break
		}
	}
	return nil
}

// forget removes what browsers kept, if one ran.
func (b *Browser) forget() error {
	if err := os.RemoveAll(b.profile); err != nil {
		return fmt.Errorf("removing the browser's profile: %w", err)
	}
	return nil
}

// Tells says whether the options alone are wanted.
func (b *Browser) Tells() bool { return b.Chromium }

// Tell prints them. They are those of the authority of this run, so only what runs in it can know them.
func (b *Browser) Tell(w io.Writer, _ []string) error {
	flags := os.Getenv(chromiumVar)
	if flags == "" {
		return cli.Usagef("within the command of gm-webrecord or gm-webreplay: chromium $(gm-webrecord --chromium) URL",
			"there is no recording or replay here")
	}
	_, err := fmt.Fprintln(w, flags)
	return err
}

// own is how many arguments there are beside the options.
func (b *Browser) own(seen map[string]bool) int {
	if seen["chromium"] {
		return 0
	}
	return 1
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
