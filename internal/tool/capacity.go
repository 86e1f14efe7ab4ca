package tool

import (
	"sync/atomic"
	"time"

	"gomahi/scenario"
)

// capacity is how many bytes could have passed a link until a time, while what it carries changes. Others look at any time.
type capacity struct {
	link  func(time.Duration) uint64 // of the link as it began
	steps atomic.Pointer[[]capacityStep]
}

// capacityStep is what holds from a time on.
type capacityStep struct {
	from   time.Duration
	before uint64 // bytes until then
	link   func(time.Duration) uint64
}

func newCapacity(link func(time.Duration) uint64) *capacity {
	c := &capacity{link: link}
	c.steps.Store(&[]capacityStep{{link: link}})
	return c
}

func capacityOf(rate int64) func(time.Duration) uint64 {
	return func(t time.Duration) uint64 { return uint64(float64(rate) / 8 * t.Seconds()) }
}

// change notes a change of the link, whose rate is the state's if it is rated.
func (c *capacity) change(to scenario.Change, rated bool) {
	link := c.link
	switch {
	case to.Down:
		link = capacityOf(0)
	case rated:
		link = capacityOf(to.Rate)
	}
	steps := *c.steps.Load()
	steps = append(steps[:len(steps):len(steps)], capacityStep{to.At, c.until(to.At), link})
	c.steps.Store(&steps)
}

func (c *capacity) until(t time.Duration) uint64 {
	steps := *c.steps.Load()
	i := len(steps) - 1
	for i > 0 && steps[i].from > t {
		i--
	}
	s := &steps[i]
	return s.before + s.link(t) - s.link(s.from)
}
