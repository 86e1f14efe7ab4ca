package archive

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"gomahi/web"
)

// secret are the headers by which a recording tells who made it.
var secret = []string{"Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization"}

// Strip takes out of an exchange what is not to be shared: cookies, authorizations and the named headers. It says whether
// the exchange is to be kept: not if drop matches its URL.
func Strip(x *web.Exchange, headers []string, drop *regexp.Regexp) (keep bool) {
	for _, names := range [][]string{secret, headers} {
		for _, name := range names {
			x.Request.Remove(name)
			x.Response.Remove(name)
		}
	}
	return drop == nil || !drop.MatchString(x.URL())
}

// Merge stores recordings one after the other. Their order among each other is that of the recordings.
func Merge(to *web.Dir, recordings [][]*web.Exchange) (n int, err error) {
	for _, all := range recordings {
		for _, x := range all {
			n++
			x.Order = web.Placed + uint64(n)
			if _, err := to.Write(x); err != nil {
				return n - 1, err
			}
		}
	}
	return n, nil
}

// Verify reads every file of a recording, and calls bad for those that are no exchange, or one with a fault.
func Verify(path string, bad func(error)) (good int, err error) {
	names, err := web.Files(path)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		x, err := web.Read(name)
		if err == nil {
			err = fault(x)
		}
		if err != nil {
			bad(err)
			continue
		}
		good++
	}
	return good, nil
}

// fault is what is wrong with an exchange that parses.
func fault(x *web.Exchange) error {
	if x.Failure != "" {
		return nil // says itself what is missing
	}
	if s := x.Status(); s < 100 || s > 999 {
		return fmt.Errorf("%s: its status line is %q", x.File, x.Response.First)
	}
	if !strings.HasPrefix(x.Target(), "/") && x.Target() != "*" {
		return fmt.Errorf("%s: its request line is %q", x.File, x.Request.First)
	}
	if n := x.Response.Get("Content-Length"); n != "" && x.Method() != "HEAD" && x.Status() != 304 && n != fmt.Sprint(x.Response.Body.Size()) {
		return fmt.Errorf("%s: its body has %d bytes, and its Content-Length is %s", x.File, x.Response.Body.Size(), n)
	}
	return nil
}

// List writes a table of exchanges.
func List(w io.Writer, all []*web.Exchange) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "METHOD\tSTATUS\tTYPE\tSIZE\tORIGIN\tPROTOCOL\tURL")
	for _, x := range all {
		status, kind, protocol := fmt.Sprint(x.Status()), x.Response.Get("Content-Type"), x.Protocol
		if x.Failure != "" {
			status = "failed"
		}
		kind, _, _ = strings.Cut(kind, ";")
		if protocol == "" {
			protocol, _, _ = strings.Cut(x.Response.First, " ")
		}
		url := x.URL()
		if x.Failure != "" {
			url += " (" + x.Failure + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", dash(x.Method()), status, dash(kind), x.Response.Body.Size(), x.Server, dash(protocol), url)
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
