package effects

import (
	"time"

	"gomahi/packet"
)

// heap is packets in the order of their Due and, where that is the same, of their coming. With Pop and Next it is the
// second half of a stage. (That of container/heap allocates for each.)
type heap struct {
	items  []numbered
	number uint64
}

type numbered struct {
	packet.Packet
	number uint64
}

func (a *numbered) before(b *numbered) bool {
	return a.Due < b.Due || a.Due == b.Due && a.number < b.number
}

func (h *heap) add(p packet.Packet) {
	h.items = append(h.items, numbered{p, h.number})
	h.number++
	for i := len(h.items) - 1; i > 0; {
		above := (i - 1) / 2
		if !h.items[i].before(&h.items[above]) {
			return
		}
		h.items[i], h.items[above] = h.items[above], h.items[i]
		i = above
	}
}

// Pop returns the next packet whose time has come.
func (h *heap) Pop(now time.Duration) (packet.Packet, bool) {
	if len(h.items) == 0 || h.items[0].Due > now {
		return packet.Packet{}, false
	}
	first, n := h.items[0].Packet, len(h.items)-1
	h.items[0], h.items[n] = h.items[n], numbered{}
	h.items = h.items[:n]
	for i := 0; ; {
		least := i
		for below := 2*i + 1; below <= 2*i+2 && below < n; below++ {
			if h.items[below].before(&h.items[least]) {
				least = below
			}
		}
		if least == i {
			return first, true
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
}

// Next says when Pop will next have something.
func (h *heap) Next() (time.Duration, bool) {
	if len(h.items) == 0 {
		return 0, false
	}
	return h.items[0].Due, true
}
