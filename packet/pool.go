package packet

// A Pool keeps the frames of one direction for use again, so that the steady state allocates nothing. It is used by one
// goroutine. The zero Pool is ready.
//
// What a burst needed beyond that is left to the garbage collector, or a process that was once behind would stay large.
type Pool struct {
	spare  *Frame   // ready to read into
	frames []*Frame // without tails
	tails  [][]byte
	room   [HeaderRoom]byte // for headers that Corrupt needs
}

// The most that is kept: 8 and 16 MB. It is more than what most links hold, and theirs goes round without any being spare.
const (
	mostFrames = 4096
	mostTails  = 1024
)

// Get returns a frame to read into: fill it and say so, or Discard it.
func (p *Pool) Get() *Frame {
	if f := p.spare; f != nil {
		p.spare = nil
		return f
	}
	var f *Frame
	if n := len(p.frames); n > 0 {
		f, p.frames = p.frames[n-1], p.frames[:n-1]
	} else {
		f = &Frame{pool: p, head: make([]byte, headLen)}
	}
	for i := range f.tail {
		if n := len(p.tails); n > 0 {
			f.tail[i], p.tails = p.tails[n-1], p.tails[:n-1]
		} else {
			f.tail[i] = make([]byte, tailLen)
		}
	}
	return f
}

// Discard gives back a frame from Get into which nothing was read.
func (p *Pool) Discard(f *Frame) { p.spare = f }

func (p *Pool) put(f *Frame) {
	f.unmark()
	for i := range f.tail {
		p.putTail(&f.tail[i])
	}
	if len(p.frames) < mostFrames {
		p.frames = append(p.frames, f)
	}
}

func (p *Pool) putTail(t *[]byte) {
	if *t != nil && len(p.tails) < mostTails {
		p.tails = append(p.tails, *t)
	}
	*t = nil
}
