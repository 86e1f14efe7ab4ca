package effects

import (
	"math"
	"testing"

	"gomahi/packet"
)

// The mean loss and, where the bad state loses everything, the length of bursts are those of the formulae.
func TestBurst(t *testing.T) {
	const n = 1_000_000
	for _, row := range []struct {
		name string
		Gilbert
		loss, burst float64 // burst 0: not geometric
	}{
		{"1 % in bursts of 5", SimpleGilbert(0.01, 5), 0.01, 5},
		{"30 % in bursts of 1.5", SimpleGilbert(0.3, 1.5), 0.3, 1.5},
		{"90 % in bursts of 9: one passes between two", SimpleGilbert(0.9, 9), 0.9, 9},
		{"nothing", SimpleGilbert(0, 3), 0, 0},
		{"p and r", Gilbert{P: 0.02, R: 0.5, K: 1}, 0.02 / 0.52, 2},
		{"loss in both states", Gilbert{P: 0.01, R: 0.1, H: 0.3, K: 0.999}, 0.01/0.11*0.7 + 0.1/0.11*0.001, 0},
		{"states in turn", Gilbert{P: 1, R: 1, K: 1}, 0.5, 1},
		{"always bad", Gilbert{P: 1, R: 0.0000001, K: 1}, 1 / 1.0000001, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := row.Gilbert
			if math.Abs(g.Loss()-row.loss) > 1e-12 {
				t.Errorf("the model's loss is %v, want %v", g.Loss(), row.loss)
			}
			b := NewBurst(g, Random(1, "uplink"))
			var lost, bursts int
			last := uint64(0)
			for range n {
				d := b.Decide(0, packet.Packet{})
				lost += int(d)
				if d > last {
					bursts++
				}
				last = d
			}
			// The variance of a sum of dependent variables, whose covariance falls by l a step.
			l, v := 1-g.P-g.R, g.Bad()*(1-g.Bad())*(g.K-g.H)*(g.K-g.H)
			within(t, "the loss", float64(lost)/n, row.loss, math.Sqrt((row.loss*(1-row.loss)+2*v*l/(1-l))/n))
			if row.burst > 0 {
				r := 1 / row.burst
				within(t, "the length of bursts", float64(lost)/float64(bursts), row.burst,
					math.Sqrt((1-r)/r/r/float64(bursts))+1/float64(bursts)) // the last one may not have ended
			}
		})
	}
	if p := SimpleGilbert(0.9, 8.9).P; p <= 1 {
		t.Errorf("90 %% in bursts of 8.9 has P %v", p)
	}
}
