package tui

// What the command keeps, if there are so many.
const paneRows, paneColumns = 3, 20

// divide splits a screen into the graphs' area, the bar that belongs to it, and the command's. Areas may be empty.
func divide(w, h int, layout string, percent int) (graphs, bar, pane area) {
	screen := area{0, 0, w, h}
	if layout == "full" {
		return area{0, 0, w, h - 1}, area{0, h - 1, w, 1}, area{}
	}
	if h < paneRows+2 || w < paneColumns {
		return area{}, area{}, screen
	}
	switch layout {
	case "left", "right":
		g := min(w*percent/100, w-paneColumns-1)
		if g < 1 {
			return area{}, area{}, screen
		}
		graphs, pane = area{0, 0, g, h - 1}, area{g + 1, 0, w - g - 1, h}
		if layout == "right" {
			graphs.x, pane.x = w-g, 0
		}
		return graphs, area{graphs.x, h - 1, g, 1}, pane
	case "bottom":
		g := min(max(2, h*percent/100), h-paneRows)
		return area{0, h - g + 1, w, g - 1}, area{0, h - g, w, 1}, area{0, 0, w, h - g}
	}
	g := min(max(2, h*percent/100), h-paneRows)
	return area{0, 0, w, g - 1}, area{0, g - 1, w, 1}, area{0, g, w, h - g}
}

// grid places n graphs in an area, in rows and columns, so that each is large and about six times as wide as high. If
// there are more than can be drawn at all, the last are left out.
func grid(a area, n int) (out []area) {
	best, columns := 0.0, 1
	for c := 1; c <= n; c++ {
		rows := (n + c - 1) / c
		if score := min(float64(a.w/c)/6, float64(a.h/rows)); score > best {
			best, columns = score, c
		}
	}
	rows := (n + columns - 1) / columns
	for rows > 1 && a.h/rows < 1 {
		rows--
	}
	for i := range min(n, rows*columns) {
		r, c := i/columns, i%columns
		x, y := a.w*c/columns, a.h*r/rows
		cell := area{a.x + x, a.y + y, a.w*(c+1)/columns - x, a.h*(r+1)/rows - y}
		if c < columns-1 {
			cell.w-- // between neighbours
		}
		out = append(out, cell)
	}
	return out
}
