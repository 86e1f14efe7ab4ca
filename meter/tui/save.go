package tui

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
)

// save writes the graphs into a new file in the working directory, and returns what to say of it.
func (s *Screen) save(now time.Time) string {
	name := now.Format("gm-meter-20060102-150405.svg")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Sprintf("not saved: %v", err)
	}
	w, h := s.screen.Size()
	graphs, _, _ := divide(w, h, s.view.layout, s.view.share)
	err = writeSVG(f, s.screen, graphs)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Sprintf("not saved: %v", err)
	}
	return "saved as " + name
}

const cellW, cellH, dot = 8, 16, 4 // pixels

// writeSVG writes an area of a screen as a picture on white. Dots are drawn as squares, so that they fit together
// whatever the font.
func writeSVG(to io.Writer, s tcell.Screen, a area) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="monospace" font-size="13">`+"\n"+
		`<rect width="100%%" height="100%%" fill="white"/>`+"\n", a.w*cellW, a.h*cellH)
	rect := func(x, y, w0, h int, c tcell.Color) {
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, w0, h, hue(c))
	}
	for row := range a.h {
		for column := range a.w {
			text, style, _ := s.Get(a.x+column, a.y+row)
			fg, bg, _ := style.Decompose()
			x, y := column*cellW, row*cellH
			if bg != tcell.ColorDefault {
				rect(x, y, cellW, cellH, bg)
			}
			switch r, _ := utf8.DecodeRuneInString(text); {
			case r > brailleStart && r < brailleStart+256:
				for k, bits := range braille {
					for n := 0; n < len(bits); n++ {
						from := n
						for n < len(bits) && uint8(r-brailleStart)&bits[n] != 0 {
							n++
						}
						if n > from {
							rect(x+k*dot, y+cellH-n*dot, dot, (n-from)*dot, fg)
						}
					}
				}
			case text != " " && text != "":
				fmt.Fprintf(w, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", x, y+cellH-4, hue(fg), html.EscapeString(text))
			}
		}
	}
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

func hue(c tcell.Color) string {
	if c == tcell.ColorDefault || c.Hex() < 0 {
		return "black"
	}
	return fmt.Sprintf("#%06x", c.Hex())
}
