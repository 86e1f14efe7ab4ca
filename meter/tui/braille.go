package tui

import "math/bits"

// braille has the bit of each dot of a cell: of its two columns, from the left, and its four rows, from the bottom (The
// Unicode Standard, "Braille Patterns").
var braille = [perCell][dotsHigh]uint8{{0x40, 0x04, 0x02, 0x01}, {0x80, 0x20, 0x10, 0x08}}

const brailleStart = '\u2800'

var brailleText = func() (all [256]string) {
	all[0] = " "
	for b := 1; b < len(all); b++ {
		all[b] = string(brailleStart + rune(b))
	}
	return all
}()

// coarse is what comes closest to a cell of dots where there are only halves of cells: the Linux console's fonts.
func coarse(dots uint8, pattern bool) string {
	const upper = 0x01 | 0x02 | 0x08 | 0x10
	switch up, down := dots&upper != 0, dots&^upper != 0; {
	case dots == 0:
		return " "
	case pattern:
		return "░"
	case up && down:
		return "█"
	case up:
		return "▀"
	}
	return "▄"
}

// ascii is likewise where there are letters alone.
func ascii(dots uint8) string {
	switch n := bits.OnesCount8(dots); {
	case n == 0:
		return " "
	case n <= 2:
		return "."
	case n <= 5:
		return ":"
	}
	return "#"
}
