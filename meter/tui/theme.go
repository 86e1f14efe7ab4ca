package tui

import "github.com/gdamore/tcell/v2"

// A theme is how things look. Text has the terminal's own colours, so that it can be read on light and dark ones.
type theme struct {
	uplink, downlink tcell.Style
	capacity         tcell.Style
	arrivals, drops  tcell.Style
	text, faint, bar tcell.Style
	coarse           bool // there are no dots of braille
}

// themeFor makes the best of a number of colours; 0 is none at all, as NO_COLOR wants it. The two directions have hues
// that all can tell apart, blue and orange (M. Okabe and K. Ito, Color Universal Design, 2008), in shades that can be seen
// on black and on white. Of 8 colours magenta and green are such a pair; blue cannot be seen on black, yellow on white.
func themeFor(colors int) theme {
	plain := tcell.StyleDefault
	t := theme{uplink: plain, downlink: plain, capacity: plain, arrivals: plain.Bold(true), drops: plain.Bold(true),
		text: plain, faint: plain, bar: plain.Reverse(true)}
	set := func(up, down, red int) {
		fg := func(n int) tcell.Style { return plain.Foreground(tcell.PaletteColor(n)) }
		t.uplink, t.downlink, t.drops = fg(up), fg(down), fg(red).Bold(true)
	}
	switch {
	case colors >= 256:
		set(32, 172, 160)
		grey := plain.Foreground(tcell.PaletteColor(244))
		t.capacity, t.faint = grey, grey
	case colors >= 8:
		set(5, 2, 1)
	}
	return t
}

func (t *theme) of(direction string) tcell.Style {
	if direction == "downlink" {
		return t.downlink
	}
	return t.uplink
}

// glyph is a cell of dots; pattern says that they are the capacity's alone.
func (t *theme) glyph(dots uint8, pattern bool) string {
	if t.coarse {
		return coarse(dots, pattern)
	}
	return brailleText[dots]
}
