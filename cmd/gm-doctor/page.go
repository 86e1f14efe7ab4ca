package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"gomahi/internal/host"
)

// page prints findings for people: a line each, and under what is amiss what that means and what mends it.
type page struct {
	w        io.Writer
	coloured bool
	err      error // of the first write that failed
}

// A line has a mark, a name and what is so, in columns; but a command is never broken.
const (
	width  = 80
	column = 21
	indent = "      "
)

// coloured says whether w is a terminal of somebody who wants colours (no-color.org).
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (p *page) print(format string, a ...any) {
	if _, err := fmt.Fprintf(p.w, format, a...); p.err == nil {
		p.err = err
	}
}

func (p *page) heading(h string) { p.print("\n%s\n", h) }

func (p *page) findings(all []host.Finding) {
	for _, f := range all {
		p.finding(f)
	}
}

func (p *page) finding(f host.Finding) {
	says := f.Says
	if f.Means != "" {
		means := f.Means
		if f.Vital {
			means = "the tools " + means
		}
		says += ": " + means
	}
	for i, line := range wrap(says, width-column) {
		if i == 0 {
			p.print("%s  %-*s%s\n", p.mark(f), column-4, f.Name, line)
		} else {
			p.print("%*s%s\n", column, "", line)
		}
	}
	if f.Mend != "" {
		p.print("%sto mend it: %s\n", indent, f.Mend)
	}
	if f.Keep != "" {
		p.print("%sto keep it: %s\n", indent, f.Keep)
	}
}

// mark is two characters wide: ok, no where the tools do not work for it, !! else.
func (p *page) mark(f host.Finding) string {
	mark, colour := "ok", 32 // green
	switch {
	case f.OK:
	case f.Vital:
		mark, colour = "no", 31 // red
	default:
		mark, colour = "!!", 33 // yellow
	}
	if p.coloured {
		return fmt.Sprintf("\x1b[%dm%s\x1b[m", colour, mark)
	}
	return mark
}

// verdict is the last line.
func (p *page) verdict(r results) {
	amiss := false
	for _, f := range append(r.Findings, r.Measured...) {
		amiss = amiss || !f.OK
	}
	switch {
	case !r.Works:
		p.heading(`The tools do not work here. Mend what is marked "no", from the top.`)
	case amiss:
		p.heading(`The tools work here. What is marked "!!" limits them.`)
	default:
		p.heading("The tools work here.")
	}
}

// wrap breaks a text at spaces into lines of at most n characters, if its words let it.
func wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
