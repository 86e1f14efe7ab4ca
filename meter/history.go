package meter

import "time"

// A History keeps the columns of a Source, so that it is asked only for those that may have changed.
type History struct {
	Source  Source
	width   time.Duration
	first   int64
	columns []Sum
	settled int // of these
}

// Columns are n columns from number first on. The slice is the History's, until the next call.
func (h *History) Columns(width time.Duration, first int64, n int) []Sum {
	shift := first - h.first
	if width != h.width || n != len(h.columns) || shift < 0 || shift > int64(h.settled) {
		h.columns, h.settled, shift = make([]Sum, n), 0, 0
	}
	h.width, h.first = width, first
	copy(h.columns, h.columns[shift:h.settled])
	h.settled -= int(shift)
	fresh := h.columns[h.settled:]
	clear(fresh)
	h.settled += h.Source.Columns(width, first+int64(h.settled), fresh)
	return h.columns
}
