package tui

import "github.com/gdamore/tcell/v2"

// A theme is how things look. Text has the terminal's own colours, so that it can be read on light and dark ones.
type theme struct {
	uplink, downlink tcell.Style // two hues that all can tell apart: M. Okabe and K. Ito, Color Universal Design, 2008
	capacity         tcell.Style // drawn as a foreground
	shaded           bool        // capacity is drawn as a shade, where there is no grey
	arrivals, drops  tcell.Style
	text, faint, bar tcell.Style
}

// themeFor makes the best of a number of colours; 0 is none at all, as NO_COLOR wants it.
func themeFor(colors int) theme {
	plain := tcell.StyleDefault
	t := theme{uplink: plain, downlink: plain, capacity: plain, shaded: true, arrivals: plain.Bold(true), drops: plain.Bold(true),
		text: plain, faint: plain, bar: plain.Reverse(true)}
	set := func(up, down, red tcell.Color) {
		t.uplink, t.downlink, t.drops = plain.Foreground(up), plain.Foreground(down), plain.Foreground(red).Bold(true)
	}
	grey := func(c tcell.Color) {
		t.capacity, t.shaded, t.faint = plain.Foreground(c), false, plain.Foreground(c)
	}
	switch {
	case colors > 256:
		set(tcell.NewRGBColor(0, 114, 178), tcell.NewRGBColor(230, 159, 0), tcell.NewRGBColor(204, 0, 0))
		grey(tcell.NewRGBColor(128, 128, 128))
	case colors == 256:
		set(tcell.PaletteColor(32), tcell.PaletteColor(172), tcell.PaletteColor(160))
		grey(tcell.PaletteColor(244))
	case colors >= 8:
		set(tcell.PaletteColor(4), tcell.PaletteColor(3), tcell.PaletteColor(1))
	}
	return t
}

func (t *theme) of(direction string) tcell.Style {
	if direction == "downlink" {
		return t.downlink
	}
	return t.uplink
}

// over is a style on the colour of another's foreground.
func over(s, under tcell.Style) tcell.Style {
	fg, _, _ := under.Decompose()
	return s.Background(fg)
}
