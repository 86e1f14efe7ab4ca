package tun_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"gomahi/internal/testutil"
	"gomahi/packet"
	"gomahi/tun"
	"gomahi/tun/tuntest"
)

// shapes are sizes and flags for every family; where gso is 0 it fills the MTU.
var shapes = []recipe{
	{name: "one byte over", payload: -1},
	{name: "three full", payload: 3 * 1380, gso: 1380},
	{name: "odd size, odd last", payload: 5*1337 + 1, gso: 1337, flags: psh},
	{name: "FIN and PSH", payload: 8000, flags: fin | psh, seq: 1<<32 - 3000},
	{name: "CWR with GSO_ECN", payload: 8000, flags: cwr | psh, ecn: true},
	{name: "CWR without GSO_ECN", payload: 8000, flags: cwr | ece | urg},
	{name: "id wraps", payload: 8000, gso: 1000, id: 65533},
	{name: "one byte each", payload: 9, gso: 1, id: 65535},
	{name: "tens", payload: 2005, gso: 10, flags: fin},
	{name: "64 KiB", payload: 65535 - 140, flags: psh},
	{name: "hdr_len counts a packet", payload: 2001, gso: 1000, hdrLen: 1000},
	{name: "hdr_len counts all", payload: 2001, gso: 1000, hdrLen: 2001},
}

func (r recipe) shaped(s recipe) recipe {
	r.name += ", " + s.name
	r.payload, r.gso, r.id, r.seq, r.hdrLen = s.payload, s.gso, s.id, s.seq, s.hdrLen
	if r.gso == 0 {
		r.gso = 1500 - r.headers()
	}
	if r.payload < 0 {
		r.payload = r.gso + 1
	}
	if r.udp {
		r.payload = min(r.payload, 128*r.gso) // UDP_MAX_SEGMENTS; the kernel refuses more with EINVAL
		r.hdrLen = min(r.hdrLen, r.payload)
	} else {
		r.flags |= s.flags
		r.ecn = s.ecn
	}
	return r
}

// What the kernel makes of runs is what it makes of the whole frame, to the bit.
func TestRunsAsTheKernelSegments(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var frames []recipe
	for _, f := range families {
		for _, s := range shapes {
			frames = append(frames, f.shaped(s))
		}
		for i := range 5 {
			s := recipe{name: fmt.Sprint("random ", i), id: uint16(65500 + rnd.IntN(100)), seq: rnd.Uint32(), flags: byte(rnd.IntN(256)) | ack}
			s.gso = 1 + rnd.IntN(1500-f.headers())
			s.payload = s.gso + 1 + rnd.IntN(min(200*s.gso, 65535-f.headers()-s.gso-1))
			s.hdrLen = rnd.IntN(2) * rnd.IntN(s.payload)
			s.ecn = s.flags&cwr != 0
			frames = append(frames, f.shaped(s))
		}
	}
	testutil.InNamespace(t, func() error {
		a, b, err := forwarding(tun.Open, tun.OpenPlain)
		if err != nil {
			return err
		}
		defer a.Close()
		defer b.Close()
		var in, out packet.Pool
		for _, r := range frames {
			f := tuntest.Frame(&in, r.bytes())
			n := (r.payload + r.gso - 1) / r.gso
			if f.Len() != n {
				t.Errorf("%s: %d packets, want %d", r.name, f.Len(), n)
				continue
			}
			if err := a.Write(f, 0, n); err != nil {
				return fmt.Errorf("%s: writing the frame: %w", r.name, err)
			}
			want, err := nextPackets(b, &out, n)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			for _, split := range []struct {
				name       string
				most, lost int // packets of a run, runs in ten that are lost
			}{
				{"singles", 1, 0}, {"pairs", 2, 0}, {"runs", max(2, n/2), 0}, {"lossy singles", 1, 3}, {"lossy runs", max(2, n/5), 3},
			} {
				var kept []int
				for i := 0; i < n; {
					j := min(n, i+1+rnd.IntN(split.most))
					if rnd.IntN(10) >= split.lost {
						if err := a.Write(f, i, j); err != nil {
							return fmt.Errorf("%s, %s: writing packets %d to %d of %d: %w", r.name, split.name, i, j-1, n, err)
						}
						for ; i < j; i++ {
							kept = append(kept, i)
						}
					}
					i = j
				}
				got, err := nextPackets(b, &out, len(kept))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", r.name, split.name, err)
				}
				for k, i := range kept {
					if !r.udp {
						positiveZero(got[k])
						positiveZero(want[i])
					}
					if !bytes.Equal(got[k], want[i]) {
						t.Errorf("%s, %s: packet %d of %d is %d bytes that begin with\n% x, want %d:\n% x", r.name, split.name,
							i, n, len(got[k]), got[k][:min(len(got[k]), 120)], len(want[i]), want[i][:min(len(want[i]), 120)])
						break
					}
				}
			}
			release(f)
		}
		return nil
	})
}

// What the kernel makes of a row is the datagrams that are in it, to the bit.
func TestRowsAsTheKernelSegments(t *testing.T) {
	var frames []recipe
	for _, f := range families {
		if f.udp {
			for _, size := range []struct{ payload, gso int }{{9, 1}, {2 * 64, 2}, {20 * 1000, 1000}, {5*1337 + 1, 1337}, {63000, 1400}} {
				f.payload, f.gso, f.id = size.payload, size.gso, 65530
				frames = append(frames, f)
			}
		}
	}
	testutil.InNamespace(t, func() error {
		a, b, err := forwarding(tun.Open, tun.OpenPlain)
		if err != nil {
			return err
		}
		defer a.Close()
		defer b.Close()
		var in, out packet.Pool
		for _, r := range frames {
			whole := tuntest.Frame(&in, r.bytes())
			n := whole.Len()
			var row packet.Row
			var want [][]byte
			for i := range n {
				one := tuntest.Frame(&in, tuntest.Run(whole, i, i+1))
				if i == 0 && !row.Start(one) || i > 0 && !row.Add(one) {
					t.Fatalf("%s, %d bytes each: datagram %d does not join", r.name, r.gso, i)
				}
				if err := a.Write(one, 0, 1); err != nil {
					return fmt.Errorf("%s: writing datagram %d: %w", r.name, i, err)
				}
				p, err := nextPackets(b, &out, 1)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				want = append(want, p...)
			}
			var err error
			const runs = 5 // of which what others allocate meanwhile is no whole part
			if n := testing.AllocsPerRun(runs, func() { err = a.(tun.Joiner).WriteRow(&row) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if err != nil {
				return fmt.Errorf("%s: writing a row of %d: %w", r.name, n, err)
			}
			if _, err := nextPackets(b, &out, runs*n); err != nil { // the first run is not counted
				return fmt.Errorf("%s: %w", r.name, err)
			}
			got, err := nextPackets(b, &out, n)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("%s, %d bytes each: datagram %d of %d is\n% x, want\n% x", r.name, r.gso, i, n, got[i][:min(len(got[i]), 120)],
						want[i][:min(len(want[i]), 120)])
					break
				}
			}
		}
		return nil
	})
}

// positiveZero makes a TCP checksum of ffff 0. They are the same sum; the kernel's segmentation gives 0, its
// completion of a single packet's checksum ffff, because it does not know whether it is UDP's
// (net/core/dev.c, skb_checksum_help).
func positiveZero(ip []byte) {
	at := 40
	if ip[0]>>4 == 4 {
		at = int(ip[0]&15) * 4
	} else {
		for next, n := ip[6], 0; next != 6; next, at = ip[at], at+n {
			n = 8 * (int(ip[at+1]) + 1)
		}
	}
	if binary.BigEndian.Uint16(ip[at+16:]) == 0xffff {
		binary.BigEndian.PutUint16(ip[at+16:], 0)
	}
}
