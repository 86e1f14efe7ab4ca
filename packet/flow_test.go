package packet

import (
	"encoding/binary"
	"testing"
)

// flowOf is the flow of an IP packet.
func flowOf(ip []byte, seed uint64) uint64 {
	var pool Pool
	f := pool.Get()
	copy(f.head[VnetLen:], ip)
	f.FilledPlain(len(ip))
	return f.Packet(0, 0).Flow(seed)
}

// flow4 and flow6 make packets of 20 bytes beyond their headers, changed by change.
func flow4(change func(ip []byte)) []byte {
	ip := make([]byte, 40)
	ip[0], ip[9] = 0x45, 6
	binary.BigEndian.PutUint16(ip[2:], 40)
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0x00, 0x50})
	change(ip)
	return ip
}

func flow6(change func(ip []byte)) []byte {
	ip := make([]byte, 60)
	ip[0], ip[6], ip[23], ip[39] = 0x60, 17, 1, 2
	binary.BigEndian.PutUint16(ip[4:], 20)
	copy(ip[40:], []byte{0x12, 0x34, 0x00, 0x50})
	change(ip)
	return ip
}

func TestFlow(t *testing.T) {
	none := func([]byte) {}
	set := func(i int, v byte) func([]byte) { return func(ip []byte) { ip[i] = v } }
	both := func(a, b func([]byte)) func([]byte) { return func(ip []byte) { a(ip); b(ip) } }
	fragment := set(7, 8)         // of IPv4, not the first
	hopByHop := func(ip []byte) { // whose ports are 8 bytes later
		copy(ip[48:], ip[40:44])
		copy(ip[40:], []byte{ip[6], 0, 0, 0, 0, 0, 0, 0})
		ip[6] = 0
	}
	for _, row := range []struct {
		name string
		a, b []byte
		same bool
	}{
		{"IPv4", flow4(none), flow4(none), true},
		{"IPv4, another packet", flow4(none), flow4(both(set(5, 9), both(set(1, 3), set(39, 1)))), true},
		{"IPv4, source", flow4(none), flow4(set(15, 9)), false},
		{"IPv4, destination", flow4(none), flow4(set(19, 9)), false},
		{"IPv4, source port", flow4(none), flow4(set(21, 9)), false},
		{"IPv4, destination port", flow4(none), flow4(set(23, 9)), false},
		{"IPv4, protocol", flow4(none), flow4(set(9, 17)), false},
		{"IPv4, ICMP has no ports", flow4(set(9, 1)), flow4(both(set(9, 1), set(21, 9))), true},
		{"IPv4, fragments have no ports", flow4(fragment), flow4(both(fragment, set(21, 9))), true},
		{"IPv4, the first fragment", flow4(fragment), flow4(set(6, 0x20)), true},
		{"IPv4, fragments of another protocol", flow4(fragment), flow4(both(fragment, set(9, 17))), false},
		{"IPv4, a length that is wrong", flow4(set(3, 39)), flow4(both(set(3, 41), set(21, 9))), true},
		{"IPv6", flow6(none), flow6(none), true},
		{"IPv6, another packet", flow6(none), flow6(both(set(7, 9), set(59, 9))), true},
		{"IPv6, source", flow6(none), flow6(set(8, 9)), false},
		{"IPv6, destination", flow6(none), flow6(set(39, 9)), false},
		{"IPv6, ports", flow6(none), flow6(set(41, 9)), false},
		{"IPv6, fragments have no ports", flow6(set(6, 44)), flow6(both(set(6, 44), set(48, 9))), true},
		{"IPv6, behind options", flow6(none), flow6(hopByHop), true},
		{"neither", []byte{0x10}, make([]byte, 60), true},
		{"too short", []byte{0x45}, []byte{0x60}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if a, b := flowOf(row.a, 1), flowOf(row.b, 1); (a == b) != row.same {
				t.Errorf("flows %#x and %#x", a, b)
			}
		})
	}
	if flowOf(flow4(none), 1) == flowOf(flow4(none), 2) {
		t.Error("two seeds make one number")
	}
}

// Flows that differ in their ports alone are spread evenly.
func TestFlowSpreads(t *testing.T) {
	var n [16]int
	for port := range 16000 {
		ip := flow4(func(ip []byte) { binary.BigEndian.PutUint16(ip[20:], uint16(port)) })
		n[flowOf(ip, 7)%16]++
	}
	for i, n := range n {
		if n < 850 || n > 1150 { // 1000 +- 5 standard deviations
			t.Errorf("%d flows in bucket %d", n, i)
		}
	}
}

func TestFlowAllocates(t *testing.T) {
	var pool Pool
	f := pool.Get()
	copy(f.head[VnetLen:], flow6(func([]byte) {}))
	f.FilledPlain(60)
	p := f.Packet(0, 0)
	if n := testing.AllocsPerRun(100, func() { p.Flow(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
