package record_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gomahi/effects/record"
	"gomahi/packet"
	"gomahi/trace"
	"gomahi/tun/tuntest"
)

const ms = time.Millisecond

type memory struct{ bytes.Buffer }

func (*memory) Close() error { return nil }

// datagrams is a frame of n UDP packets over IPv4 with 100 bytes of payload each, checksums not yet computed.
func datagrams(n int) []byte {
	b := make([]byte, packet.VnetLen+28+100*n)
	b[0] = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	if n > 1 {
		b[1] = 5 // VIRTIO_NET_HDR_GSO_UDP_L4
		binary.LittleEndian.PutUint16(b[2:], 28)
		binary.LittleEndian.PutUint16(b[4:], 100)
	}
	binary.LittleEndian.PutUint16(b[6:], 20)
	binary.LittleEndian.PutUint16(b[8:], 6)
	ip := b[packet.VnetLen:]
	copy(ip, []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 100, 64, 0, 2, 192, 0, 2, 1, 0x9c, 0x40, 0x01, 0xbb})
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[24:], uint16(len(ip)-20))
	binary.BigEndian.PutUint16(ip[26:], sum(ip[12:20])+17+uint16(len(ip)-20)) // the pseudo-header's
	for i := range ip[28:] {
		ip[28+i] = byte(i)
	}
	return b
}

// sum is RFC 1071's, without the complement.
func sum(b []byte) uint16 {
	var s uint32
	for i := range b {
		s += uint32(b[i]) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// scene records the same events whatever is written of them: three packets arrive at once, the queue does not take the
// third, the first departs, the second is dropped later, and the first is lost behind the link.
func scene(r *record.Recorder) {
	f := tuntest.Frame(new(packet.Pool), datagrams(3))
	var p [3]packet.Packet
	for i := range p {
		p[i] = f.Packet(i, 2*ms+5)
		r.Arrive(2*ms+5, p[i])
	}
	r.Drop(2*ms+5, p[2], "queue full")
	r.Depart(4*ms, p[0], 1)
	r.Drop(6*ms, p[1], "codel")
	r.Beyond().Drop(7*ms, p[0], "random loss")
}

func TestLog(t *testing.T) {
	schedule, err := trace.Parse("x", strings.NewReader("1\n4\n"))
	if err != nil {
		t.Fatal(err)
	}
	head := record.Head{Link: "Uplink", Trace: "x", Log: "x.log", Command: "'gm-link' 'x' 'x'", Queue: "codel [packets=2]",
		Init: time.UnixMilli(1234567890123), Config: "[delay 5 ms] "}
	const heading = "# mahimahi mm-link (Uplink) [x] > x.log\n# command line: 'gm-link' 'x' 'x'\n# queue: codel [packets=2]\n" +
		"# init timestamp: 1234567890123\n# base timestamp: 0\n# mahimahi config: [delay 5 ms] \n"
	for _, row := range []struct {
		name     string
		capacity record.Capacity
		want     string
	}{
		{"a schedule", record.Capacity{Schedule: schedule, Overhead: 4, Size: 1504},
			"1 # 1504\n2 + 132\n2 + 132\n2 + 132\n2 d 1 132\n4 # 1504\n4 - 132 2\n5 # 1504\n6 d 1 132\n8 # 1504\n9 # 1504\n"},
		{"once", record.Capacity{Schedule: schedule, Once: true, Overhead: 4, Size: 1504},
			"1 # 1504\n2 + 132\n2 + 132\n2 + 132\n2 d 1 132\n4 # 1504\n4 - 132 2\n6 d 1 132\n"},
		{"a rate of 2/3 byte a millisecond", record.Capacity{Rate: 5333},
			"0 # 0\n1 # 1\n2 # 0\n2 + 128\n2 + 128\n2 + 128\n2 d 1 128\n3 # 1\n4 # 1\n4 - 128 2\n5 # 0\n6 # 1\n6 d 1 128\n7 # 1\n8 # 0\n9 # 1\n10 # 1\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out memory
			r := record.New()
			r.Log(head, row.capacity, &out)
			r.Start()
			scene(r)
			if err := r.Close(10 * ms); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(heading+row.want, out.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	var out memory
	r := record.New()
	r.Events("e", "uplink", &out)
	r.Start()
	scene(r)
	garbage := tuntest.Frame(new(packet.Pool), make([]byte, packet.VnetLen+7))
	r.Arrive(8*ms, garbage.Packet(0, 8*ms))
	if err := r.Close(9 * ms); err != nil {
		t.Fatal(err)
	}
	const who = `"size":128,"proto":"udp","src":"100.64.0.2","sport":40000,"dst":"192.0.2.1","dport":443,`
	want := []string{
		`{"t":2000005,"link":"uplink","event":"arrival",` + who + `"queue_packets":1,"queue_bytes":128}`,
		`{"t":2000005,"link":"uplink","event":"arrival",` + who + `"queue_packets":2,"queue_bytes":256}`,
		`{"t":2000005,"link":"uplink","event":"arrival",` + who + `"queue_packets":3,"queue_bytes":384}`,
		`{"t":2000005,"link":"uplink","event":"drop",` + who + `"queue_packets":2,"queue_bytes":256,"arrival":2000005,"reason":"queue full"}`,
		`{"t":4000000,"link":"uplink","event":"departure",` + who + `"queue_packets":1,"queue_bytes":128,"arrival":2000005,"delay":1999995,"opportunity":1}`,
		`{"t":6000000,"link":"uplink","event":"drop",` + who + `"queue_packets":0,"queue_bytes":0,"arrival":2000005,"reason":"codel"}`,
		`{"t":7000000,"link":"uplink","event":"drop",` + who + `"queue_packets":0,"queue_bytes":0,"arrival":2000005,"reason":"random loss"}`,
		`{"t":8000000,"link":"uplink","event":"arrival","size":7,"proto":"unknown","queue_packets":1,"queue_bytes":7}`,
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, line := range got {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestPcap(t *testing.T) {
	var out memory
	r := record.New()
	r.Pcap("p", time.Unix(1000, 1), &out)
	r.Start()
	scene(r)
	if err := r.Close(9 * ms); err != nil {
		t.Fatal(err)
	}
	type seen struct {
		Interface uint32
		At        time.Duration
		ID        uint16 // of the IP packet
		Comment   string
	}
	var got []seen
	u32 := binary.LittleEndian.Uint32
	interfaces := 0
	for b := out.Bytes(); len(b) > 0; {
		n := u32(b[4:])
		if n%4 != 0 || u32(b[n-4:]) != n {
			t.Fatalf("a block of length %d ends with %d", n, u32(b[n-4:]))
		}
		switch u32(b) {
		case 1:
			interfaces++
		case 6:
			size := u32(b[20:])
			if u32(b[24:]) != size || size != 4+128 || u32(b[28:]) != 2 {
				t.Errorf("size %d of %d, family %d", size, u32(b[24:]), u32(b[28:]))
			}
			ip := b[32 : 28+size]
			if pseudo := append(append([]byte{}, ip[12:20]...), 0, 17, 0, 108); sum(append(pseudo, ip[20:]...)) != 0xffff {
				t.Errorf("the UDP checksum of %x is wrong", ip)
			}
			at := time.Duration(uint64(u32(b[12:]))<<32|uint64(u32(b[16:]))) - 1000*time.Second - 1
			s := seen{Interface: u32(b[8:]), At: at, ID: binary.BigEndian.Uint16(ip[4:])}
			if options := b[28+size : n-4]; len(options) > 0 {
				s.Comment = string(options[4 : 4+binary.LittleEndian.Uint16(options[2:])])
			}
			got = append(got, s)
		}
		b = b[n:]
	}
	want := []seen{{0, 2*ms + 5, 1, ""}, {0, 2*ms + 5, 2, ""}, {0, 2*ms + 5, 3, "dropped: queue full"}, {1, 4 * ms, 1, ""},
		{0, 6 * ms, 2, "dropped: codel, 3.999995ms after its arrival"}, {1, 7 * ms, 1, "dropped after the link: random loss"}}
	if d := cmp.Diff(want, got); d != "" || interfaces != 2 {
		t.Errorf("%d interfaces; (-want +got):\n%s", interfaces, d)
	}
}

// A slow disk makes no packet wait, and loses nothing.
func TestSlowDisk(t *testing.T) {
	const n = 400_000
	slow := &blocked{release: make(chan bool)}
	r := record.New()
	r.Log(record.Head{Log: "l"}, record.Capacity{Rate: 1}, slow)
	r.Start()
	f := tuntest.Frame(new(packet.Pool), datagrams(1))
	for range n {
		r.Arrive(0, f.Packet(0, 0))
	}
	close(slow.release)
	if err := r.Close(0); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(slow.String(), "+ 128\n"); got != n {
		t.Errorf("%d arrivals, want %d", got, n)
	}
}

type blocked struct {
	memory
	release chan bool
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	return b.memory.Write(p)
}

// A full disk is told, with the file's name, once.
func TestWriteError(t *testing.T) {
	r := record.New()
	r.Log(record.Head{Log: "up.log"}, record.Capacity{Rate: 1}, full{})
	var events memory
	r.Events("e", "uplink", &events)
	r.Start()
	scene(r)
	if err := r.Close(0); err == nil || err.Error() != "writing up.log: no space" {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(events.String(), "\n"); n != 7 {
		t.Errorf("%d events beside it, want 7", n)
	}
}

type full struct{ io.WriteCloser }

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }
func (full) Close() error              { return nil }

func BenchmarkRecorder(b *testing.B) {
	r := record.New()
	r.Log(record.Head{Log: "l"}, record.Capacity{Rate: 1}, discard{})
	r.Start()
	f := tuntest.Frame(new(packet.Pool), datagrams(1))
	b.ReportAllocs()
	for b.Loop() {
		r.Arrive(0, f.Packet(0, 0))
	}
	r.Close(0)
}

type discard struct{ io.Writer }

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
