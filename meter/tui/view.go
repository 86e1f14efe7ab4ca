// Package tui draws graphs of package meter in a terminal, next to the command that runs there.
package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"gomahi/meter"
)

// spans are the times that graphs can show.
var spans = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

// A view is what the graphs look like.
type view struct {
	theme  theme
	graphs []*graph
	layout string
	share  int
	span   time.Duration
	log    bool
	zoom   int           // one alone, from 1; 0 is all
	paused time.Duration // since when; 0 if not
	help   bool
	prefix bool   // the next key is ours
	back   int    // by how many lines the command's output is scrolled back
	alone  bool   // there is no command
	said   string // on the bar, until the next key
}

func newView(colors int, layout string, share int) *view {
	return &view{theme: themeFor(colors), layout: layout, share: share, span: time.Minute}
}

// show replaces the graphs; those that stay keep what they know.
func (v *view) show(graphs []meter.Graph) {
	var now []*graph
	for _, g := range graphs {
		k := slices.IndexFunc(v.graphs, func(old *graph) bool { return old.Graph == g })
		if k < 0 {
			now = append(now, newGraph(g))
		} else {
			now = append(now, v.graphs[k])
		}
	}
	v.graphs = now
	if v.zoom > len(now) {
		v.zoom = 0
	}
}

// key does what a letter says, and whether it is to save a picture or to quit.
func (v *view) key(k byte, now time.Duration) (save, quit bool) {
	v.said = ""
	if v.help {
		v.help = false
		return false, false
	}
	if v.alone && (k == 'l' || k == '<' || k == ',' || k == '>' || k == '.') {
		return false, false // there is nothing beside the graphs
	}
	i := slices.Index(spans, v.span)
	switch k {
	case 'l':
		v.layout = meter.Layouts[(slices.Index(meter.Layouts, v.layout)+1)%len(meter.Layouts)]
	case 'z':
		v.zoom = (v.zoom + 1) % (len(v.graphs) + 1)
	case 'p', ' ':
		if v.paused != 0 {
			v.paused = 0
		} else {
			v.paused = now
		}
	case '+', '=':
		v.span = spans[min(i+1, len(spans)-1)]
	case '-':
		v.span = spans[max(i-1, 0)]
	case '>', '.':
		v.share = min(v.share+5, meter.MostShare)
	case '<', ',':
		v.share = max(v.share-5, meter.LeastShare)
	case 'y':
		v.log = !v.log
	case 's':
		return true, false
	case 'q':
		return false, v.alone
	case '?', 'h':
		v.help = true
	}
	return false, false
}

// helpLines say what the keys do; those of the command are left out where there is none.
func (v *view) helpLines() (lines []string) {
	for _, l := range []struct {
		text           string
		command, alone bool // only there
	}{
		{"Ctrl-G, then", true, false},
		{"l    where the graphs are: top, bottom, left, right, full", true, false},
		{"< >  less or more room for them", true, false},
		{"z    one graph alone, the next, and all again", false, false},
		{"p    pause, and go on", false, false},
		{"- +  the time shown: 10 s to 10 min", false, false},
		{"y    linear or logarithmic", false, false},
		{"s    save the graphs as a picture (SVG)", false, false},
		{"Page Up: what the command wrote before; then Page Down, the wheel", true, false},
		{"Ctrl-G: Ctrl-G for the command", true, false},
		{"q    end, as Ctrl-C does", false, true},
		{"? h  this help; any key ends it", false, false},
		{"", false, false},
		{"Graphs with little room say now/mean/peak.", false, false},
	} {
		if l.command && v.alone || l.alone && !v.alone {
			continue
		}
		lines = append(lines, l.text)
	}
	return lines
}

// draw draws all but the command, and returns where that has its place.
func (v *view) draw(s tcell.Screen, now time.Duration) (pane area) {
	w, h := s.Size()
	graphs, bar, pane := divide(w, h, v.layout, v.share)
	for _, a := range []area{graphs, bar} {
		for y := range a.h {
			for x := range a.w {
				s.Put(a.x+x, a.y+y, " ", v.theme.text)
			}
		}
	}
	if v.layout == "left" || v.layout == "right" {
		x := graphs.x + graphs.w
		if v.layout == "right" {
			x = graphs.x - 1
		}
		for y := range h {
			if graphs.w > 0 {
				s.Put(x, y, "│", v.theme.faint)
			}
		}
	}
	at := window{v.span, now}
	if v.paused != 0 {
		at.now = v.paused
	}
	shown := v.graphs
	if v.zoom > 0 {
		shown = shown[v.zoom-1 : v.zoom]
	}
	for i, a := range grid(graphs, len(shown)) {
		shown[i].draw(s, a, &v.theme, at, v.log)
	}
	v.bar(s, bar)
	if v.help {
		v.drawHelp(s, area{0, 0, w, h})
	}
	return pane
}

func (v *view) bar(s tcell.Screen, a area) {
	if a.w == 0 {
		return
	}
	for x := range a.w {
		s.Put(a.x+x, a.y, " ", v.theme.bar)
	}
	scale := "linear"
	if v.log {
		scale = "log"
	}
	text := fmt.Sprintf(" %s  %s", ago(v.span)[1:], scale)
	if v.zoom > 0 {
		text += fmt.Sprintf("  graph %d of %d", v.zoom, len(v.graphs))
	}
	if v.paused != 0 {
		text += "  PAUSED"
	}
	if v.back > 0 {
		text += fmt.Sprintf("  OUTPUT OF %d LINES BEFORE", v.back)
	}
	hint := "Ctrl-G ? for help "
	switch {
	case v.prefix:
		text, hint = " l layout  z zoom  p pause  - + time  y log  s save  PgUp earlier output  ? help", ""
	case v.said != "":
		text, hint = " "+v.said, ""
	case v.alone:
		hint = "q quits, ? for help "
	}
	end := put(s, a.x, a.y, a.w, text, v.theme.bar)
	at := a.x + a.w - len(hint)
	if at > end {
		put(s, at, a.y, len(hint), hint, v.theme.bar)
	}
	if hint != "" && slices.ContainsFunc(v.graphs, (*graph).drops) {
		v.legend(s, area{end + 2, a.y, at - end - 3, 1})
	}
}

// legend says what is what in graphs of links, if there is room for it, in colours that are not the bar's.
func (v *view) legend(s tcell.Screen, a area) {
	t := &v.theme
	x := 0
	words := []struct {
		text string
		look tcell.Style
	}{{" " + strings.Repeat(t.glyph(0xff, false), 2), t.uplink}, {strings.Repeat(t.glyph(0xff, false), 2), t.downlink}, {" out  ", t.text},
		{strings.Repeat(t.glyph(braille[0][2]|braille[1][2], false), 2), t.arrivals}, {" in  ", t.text},
		{strings.Repeat(t.glyph(0x6a, true), 2), t.capacity}, {" capacity  ", t.text}, {"×", t.drops}, {" dropped ", t.text}}
	for _, w := range words {
		x += length(w.text)
	}
	if x > a.w {
		return
	}
	x = a.x
	for _, w := range words {
		x = put(s, x, a.y, length(w.text), w.text, w.look)
	}
}

func (v *view) drawHelp(s tcell.Screen, a area) {
	text, w := v.helpLines(), 0
	for _, l := range text {
		w = max(w, len(l)+4)
	}
	w = min(w, a.w)
	box := area{(a.w - w) / 2, max(0, (a.h-len(text)-2)/2), w, min(len(text)+2, a.h)}
	for y := range box.h {
		for x := range box.w {
			s.Put(box.x+x, box.y+y, " ", v.theme.bar)
		}
		if y > 0 && y <= len(text) {
			put(s, box.x+2, box.y+y, box.w-2, text[y-1], v.theme.bar)
		}
	}
}
