package packet_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"gomahi/packet"
	"gomahi/tun/tuntest"
)

// datagrams are the frames, each of one packet, that a recipe's frame stands for.
func datagrams(t testing.TB, r recipe) (out [][]byte) {
	t.Helper()
	var pool packet.Pool
	f := tuntest.Frame(&pool, r.bytes())
	for i := range f.Len() {
		out = append(out, tuntest.Run(f, i, i+1))
	}
	return out
}

// joined makes rows of frames that come one after the other, and checks that each row stands for its frames. It returns
// how many each has.
func joined(t testing.TB, frames [][]byte) (lengths []int) {
	t.Helper()
	var pool packet.Pool
	var row packet.Row
	for len(frames) > 0 {
		n := 0
		if row.Start(tuntest.Frame(&pool, frames[0])) {
			for n = 1; n < len(frames) && row.Add(tuntest.Frame(&pool, frames[n])); n++ {
			}
		}
		if n > 1 {
			if _, err := segment(frames[0]); err != nil && strings.HasPrefix(err.Error(), "unfinished checksum") {
				return nil // the same in all, so the row is as wrong as they are
			}
			got, err := segment(bytes.Join(row.Buffers(nil, make([]byte, packet.HeaderRoom)), nil))
			if err != nil || len(got) != n || row.Len() != n {
				t.Fatalf("a row of %d, %d is segmented into %d: %v", row.Len(), n, len(got), err)
			}
			for i, p := range got {
				want, err := segment(frames[i])
				if err != nil || len(want) != 1 {
					t.Fatalf("a datagram that joined is none: %v", err)
				}
				w := want[0]
				if w[0]>>4 == 4 && w[6]&0x40 != 0 { // the identification means nothing
					for _, b := range [][]byte{p, w} {
						ip := b[:int(b[0]&15)*4]
						clear(ip[4:6])
						clear(ip[10:12])
						binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
					}
				}
				if !bytes.Equal(p, w) {
					t.Fatalf("datagram %d of %d:\n% x, want\n% x", i, n, p[:min(100, len(p))], w[:min(100, len(w))])
				}
			}
		}
		n = max(n, 1)
		lengths = append(lengths, n)
		frames = frames[n:]
	}
	return lengths
}

func TestRow(t *testing.T) {
	udp4, udp6 := recipe{udp: true, payload: 5000, gso: 1000}, recipe{udp: true, v6: true, payload: 5000, gso: 1000}
	fragmentable := func(frames [][]byte) { // may be fragmented, so identifications matter
		for _, f := range frames {
			f[packet.VnetLen+6] &^= 0x40
			f[packet.VnetLen+10], f[packet.VnetLen+11] = 0, 0
			ip := f[packet.VnetLen:][:20]
			binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
		}
	}
	set := func(k, at int, v byte) func([][]byte) {
		return func(frames [][]byte) { frames[k][at] = v }
	}
	const ip, l4 = packet.VnetLen, packet.VnetLen + 20
	for _, row := range []struct {
		name   string
		recipe recipe
		change func([][]byte)
		want   []int
	}{
		{"five of one size", udp4, nil, []int{5}},
		{"IPv6", udp6, nil, []int{5}},
		{"IPv4 options", recipe{udp: true, ipOptions: []byte{1, 1, 1, 0}, payload: 3000, gso: 1000}, nil, []int{3}},
		{"extension headers", recipe{udp: true, v6: true, ext: []ext{hopByHop, routing4, destOpts}, payload: 3000, gso: 1000}, nil, []int{3}},
		{"the last is smaller", recipe{udp: true, payload: 4001, gso: 1000}, nil, []int{5}},
		{"as many as a frame stands for", recipe{udp: true, payload: 100, gso: 1}, nil, []int{64, 36}},
		{"as long as a frame may be", recipe{udp: true, payload: 65507, gso: 1472}, nil, []int{45}},
		{"identifications that count up", udp4, fragmentable, []int{5}},
		{"one identification for all, and no fragmentation", udp4, func(frames [][]byte) {
			for _, f := range frames {
				clear(f[ip+4 : ip+6])
				clear(f[ip+10 : ip+12])
				binary.BigEndian.PutUint16(f[ip+10:], ^onesSum(f[ip:][:20]))
			}
		}, []int{5}},
		{"one identification for all, fragmentable", udp4, func(frames [][]byte) {
			for _, f := range frames {
				clear(f[ip+4 : ip+6])
			}
			fragmentable(frames)
		}, []int{1, 1, 1, 1, 1}},
		{"another source port", udp4, set(2, l4+1, 9), []int{2, 1, 2}},
		{"another destination port", udp4, set(2, l4+3, 9), []int{2, 1, 2}},
		{"another address", udp4, set(4, ip+19, 9), []int{4, 1}},
		{"another address, IPv6", udp6, set(4, ip+39, 9), []int{4, 1}},
		{"another TTL", udp4, set(1, ip+8, 9), []int{1, 1, 3}},
		{"another hop limit", udp6, set(1, ip+7, 9), []int{1, 1, 3}},
		{"marked", udp4, set(1, ip+1, 3), []int{1, 1, 3}},
		{"another flow label", udp6, set(1, ip+3, 3), []int{1, 1, 3}},
		{"a fragment", udp4, set(2, ip+6, 0x20), []int{2, 1, 2}},
		{"a checksum that is complete", udp4, set(2, packet.VnetFlags, 0), []int{2, 1, 2}},
		{"a checksum elsewhere", udp4, set(2, packet.VnetCsumOffset, 4), []int{2, 1, 2}},
		{"another protocol", udp4, set(2, ip+9, 6), []int{2, 1, 2}},
		{"a length that is wrong", udp4, set(2, l4+5, 9), []int{2, 1, 2}},
		{"a smaller one between", udp4, func(frames [][]byte) {
			frames[1] = datagrams(t, recipe{udp: true, id: 1, payload: 1001, gso: 999})[0]
		}, []int{2, 3}},
		{"TCP", recipe{flags: ack, payload: 3000, gso: 1000}, nil, []int{1, 1, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			frames := datagrams(t, row.recipe)
			if row.change != nil {
				row.change(frames)
			}
			if got := joined(t, frames); !slices.Equal(got, row.want) {
				t.Errorf("rows of %v, want %v", got, row.want)
			}
		})
	}
	long := recipe{udp: true, payload: 44 * 1472, gso: 1472}
	after := long
	after.id = 44
	if got := joined(t, append(datagrams(t, long), datagrams(t, after)...)); !slices.Equal(got, []int{44, 44}) {
		t.Errorf("rows of %v of more than a frame has room for", got)
	}
	var row packet.Row
	var pool packet.Pool
	if row.Start(tuntest.Frame(&pool, udp4.bytes())) {
		t.Error("a frame of several began a row")
	}
}

// Whatever follows each other, a row stands for what joined it.
func FuzzRow(f *testing.F) {
	f.Add(false, uint16(3000), uint16(1000), uint16(7), []byte{})
	f.Add(true, uint16(3001), uint16(1000), uint16(7), []byte{1, 30, 4})
	f.Add(false, uint16(9), uint16(1), uint16(65535), []byte{2, 16, 0, 3, 5, 1, 0, 33, 1})
	f.Fuzz(func(t *testing.T, v6 bool, payload, gso, id uint16, changes []byte) {
		r := recipe{v6: v6, udp: true, id: id, payload: max(int(payload)%9000, 2)}
		r.gso = max(1, int(gso)%1472, r.payload/99)
		if r.gso >= r.payload {
			r.gso = r.payload - 1
		}
		frames := datagrams(t, r)
		for ; len(changes) >= 3; changes = changes[3:] {
			b := frames[int(changes[0])%len(frames)]
			b[int(changes[1])%min(len(b), 80)] ^= changes[2]
		}
		joined(t, frames)
	})
}
