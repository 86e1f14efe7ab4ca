package graph

import (
	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A mark draws what a legend's words are about.
type mark func(draw.Canvas)

// A table is a legend above the data, where it hides none: a row per log, a column per kind of mark.
type table []row

type row struct {
	name  string
	cells []cell
}

// A cell of no words is empty.
type cell struct {
	mark  mark
	words string
}

const (
	rowHeight vg.Length = 14
	markWidth vg.Length = 20
	gap       vg.Length = 16
)

func (t table) height() vg.Length { return rowHeight * vg.Length(len(t)) }

// draw draws the table at the top of a canvas.
func (t table) draw(c draw.Canvas) {
	words, names := style(9.5), style(9.5)
	names.Font.Weight = xfont.WeightBold
	words.YAlign, names.YAlign = text.YCenter, text.YCenter
	var widths []vg.Length
	for _, r := range t {
		for i, cell := range r.cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if cell.words != "" {
				widths[i] = max(widths[i], markWidth+5+words.Width(cell.words)+gap)
			}
		}
	}
	room := c.Size().X + gap
	for _, w := range widths {
		room -= w
	}
	var widest vg.Length
	shown := make([]string, len(t))
	for i, r := range t {
		shown[i] = shortened(r.name, names, room-gap)
		widest = max(widest, names.Width(shown[i])+gap)
	}
	for i, r := range t {
		x, y := c.Min.X, c.Max.Y-rowHeight*(vg.Length(i)+0.5)
		c.FillText(names, vg.Point{X: x, Y: y}, shown[i])
		x += widest
		for k, cell := range r.cells {
			if cell.words != "" {
				in := c
				in.Rectangle = vg.Rectangle{Min: vg.Point{X: x, Y: y - 4}, Max: vg.Point{X: x + markWidth, Y: y + 4}}
				cell.mark(in)
				c.FillText(words, vg.Point{X: x + markWidth + 5, Y: y}, cell.words)
			}
			x += widths[k]
		}
	}
}

// shortened is a name's end that fits a width: directories are the first to go.
func shortened(name string, s text.Style, room vg.Length) string {
	r := []rune(name)
	if s.Width(name) <= room {
		return name
	}
	for len(r) > 1 && s.Width("..."+string(r)) > room {
		r = r[1:]
	}
	return "..." + string(r)
}
