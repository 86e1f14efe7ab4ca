package trace

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func convert(from, to, text string, interval time.Duration, fine bool) (string, error) {
	var b bytes.Buffer
	err := Conversion{From: from, To: to, Interval: interval, Fine: fine}.Convert("in", strings.NewReader(text), &b)
	return b.String(), err
}

func TestConvert(t *testing.T) {
	const (
		none  = time.Duration(0)
		fcc   = "unit_id,dtime,target,bytes_total,bytes_sec\n7,2014-01-01 00:00:00,\"a, b\",1,300000\n7,2014-01-01 01:00:00,c,1,150000\n"
		scene = "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n5,0,41.0,80.0\n11000,0,41.2,80.2\n23000,1,37.0,100.0\n"
	)
	for _, row := range []struct {
		name, from, to, text string
		interval             time.Duration
		want                 string
	}{
		{"a line is a millisecond", "mbps", "mahimahi", "12\n24\n0\n12\n", none, "1\n2\n2\n4\n"},
		{"a remainder is carried", "mbps", "mahimahi", "8\n8\n8\n", none, "2\n3\n"},
		{"no part of a bit is lost", "mbps", "mahimahi", strings.Repeat("0.1\n", 240), none, "120\n240\n"},
		{"a longer line", "mbps", "mahimahi", "12\n6\n", 4 * ms, "1\n2\n3\n4\n6\n8\n"},
		{"too short is repeated", "mbps", "mahimahi", "4\n", none, "3\n"},
		{"comments and blank lines", "mbps", "mahimahi", "# rates\n12 # one\r\n\n12\n", none, "1\n2\n"},
		{"a schedule's milliseconds", "mahimahi", "mbps", "1\n2\n2\n4\n", none, "12\n24\n0\n12\n"},
		{"time 0 belongs to the first", "mahimahi", "mbps", "0\n1\n2\n", none, "24\n12\n"},
		{"an interval that does not divide it", "mahimahi", "mbps", "1\n2\n3\n", 2 * ms, "8\n16\n"},
		{"shorter than the interval", "mahimahi", "mbps", "0.25\n0.5\n", none, "48\n"},
		{"a schedule to csv", "mahimahi", "csv", "50\n100\n200\n", none, "time_s,rate_mbps\n0,0.24\n0.1,0.12\n"},
		{"a schedule to pensieve", "mahimahi", "pensieve", "50\n100\n200\n", none, "0 0.24\n0.1 0.24\n0.2 0.12\n"},
		{"a schedule to phantomlink", "mahimahi", "phantomlink", "50\n100\n200\n", none,
			"Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,0,0.24\n100,0,0,0.12\n"},
		{"a schedule to the original's", "mahimahi", "mahimahi", "0.5\n1\n1.5\n2\n", none, "1\n1\n2\n2\n"},
		{"csv", "csv", "pensieve", "time_s,rate_mbps\n0,1\n2.5,3\n4,2\n", none, "0 1\n2.5 1\n4 3\n5.5 2\n"},
		{"csv with its columns elsewhere", "csv", "csv", "n,Rate (kB/s),Time [ms]\n1,1000,500\n2,2000,1500\n", none,
			"time_s,rate_mbps\n0,8\n1,16\n"},
		{"csv with spaces, quotes and a comment", "csv", "csv", "# rates\n\"timestamp (sec)\", throughput_kbps\n0, 720\n", none,
			"time_s,rate_mbps\n0,0.72\n"},
		{"csv with times since 1970", "csv", "csv", "time_s,rate_bit/s\n1700000000.25,1\n1700000000.5,2\n", none,
			"time_s,rate_mbps\n0,0.000001\n0.25,0.000002\n"},
		{"csv at an interval", "csv", "csv", "time_s,rate_mbps\n0,1\n1,3\n3,5\n", 2 * s, "time_s,rate_mbps\n0,1.8\n2,3.4\n4,5\n"},
		{"pensieve's rows end", "pensieve", "csv", "10 9\n10.5 1\n12 2\n", none, "time_s,rate_mbps\n0,1\n0.5,2\n"},
		{"pensieve with tabs", "pensieve", "mbps", "0\t9\n0.002\t1.5\n", none, "1.5\n1.5\n"},
		{"one row of pensieve's", "pensieve", "csv", "0 9\n", none, "time_s,rate_mbps\n0,9\n"},
		{"fcc", "fcc", "csv", fcc, none, "time_s,rate_mbps\n0,2.4\n5,1.2\n"},
		{"phantomlink", "phantomlink", "csv", scene, none, "time_s,rate_mbps\n0,80\n11,80.2\n23,100\n"},
		{"phantomlink to itself", "phantomlink", "phantomlink", scene, none,
			"Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,0,80\n11000,0,0,80.2\n23000,0,0,100\n"},
		{"parts of milliseconds to phantomlink", "csv", "phantomlink", "time_ms,rate_mbps\n0,1\n99.5,1\n100.5,1\n", none,
			"Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,0,1\n"},
		{"guessed: mahimahi", "", "mbps", "1\n2\n", none, "12\n12\n"},
		{"guessed: a single time", "", "mbps", "1\n", none, "12\n"},
		{"guessed: mbps", "", "mahimahi", "24\n12\n", none, "1\n1\n2\n"},
		{"guessed: csv", "", "csv", "time_s,rate_mbps\n0,1\n", none, "time_s,rate_mbps\n0,1\n"},
		{"guessed: pensieve", "", "csv", "#\n0 9\n1 1\n", none, "time_s,rate_mbps\n0,1\n"},
		{"guessed: fcc", "", "csv", fcc, none, "time_s,rate_mbps\n0,2.4\n5,1.2\n"},
		{"guessed: phantomlink", "", "csv", scene, none, "time_s,rate_mbps\n0,80\n11,80.2\n23,100\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := convert(row.from, row.to, row.text, row.interval, false)
			if err != nil || got != row.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, row.want)
			}
		})
	}
	got, err := convert("mbps", "mahimahi", "8\n8\n8\n", none, true)
	if err != nil || got != "1.5\n3\n" {
		t.Errorf("fine: %q, %v", got, err)
	}
}

func TestConvertErrors(t *testing.T) {
	for _, row := range []struct{ name, from, to, text, want string }{
		{"an unknown format", "xml", "csv", "1\n", `"xml" is no format to read`},
		{"an unknown format to write", "mbps", "fcc", "1\n", `"fcc" is no format to write`},
		{"unclear: one number again and again", "", "mbps", "12\n12\n12\n", "in: its format is unclear"},
		{"unclear: words", "", "mbps", "hello\n", "in: its format is unclear"},
		{"unclear: nothing", "", "mbps", "", "in: its format is unclear"},
		{"mahimahi", "mahimahi", "csv", "1\nx\n", `in:2: "x" is not a number of milliseconds`},
		{"mbps: a word", "mbps", "mahimahi", "1\n\nx\n", `in:3: "x" is not a number`},
		{"mbps: negative", "mbps", "mahimahi", "-1\n", `in:1: rate "-1" is negative`},
		{"mbps: infinite", "mbps", "mahimahi", "inf\n", `in:1: "inf" is not a number`},
		{"mbps: too high", "mbps", "mahimahi", "1000001\n", `in:1: rate "1000001" is too high`},
		{"mbps: nothing", "mbps", "mahimahi", "\n", "in: there is no rate in it"},
		{"mbps: an endless line", "mbps", "mahimahi", strings.Repeat("1", longestLine+1), "in:1: the line is longer than 65536 bytes"},
		{"only zeros", "mbps", "mahimahi", "0\n0\n", "there is not one opportunity in all this time"},
		{"csv: no units", "csv", "mahimahi", "time,rate\n0,1\n", "in:1: there is no time with a unit and rate with a unit in the header"},
		{"csv: no header", "csv", "mahimahi", "0,1\n", "in:1: there is no time with a unit and rate with a unit in the header"},
		{"csv: only a header", "csv", "mahimahi", "time_s,rate_mbps\n", "in: there is no rate in it"},
		{"csv: nothing", "csv", "mahimahi", "", "in: there is no rate in it"},
		{"csv: a column too few", "csv", "mahimahi", "time_s,rate_mbps\n0\n", "in:2: wrong number of fields"},
		{"csv: a time again", "csv", "mahimahi", "time_s,rate_mbps\n0,1\n0,2\n", "in:3: time 0 does not ascend"},
		{"csv: a date", "csv", "mahimahi", "time_s,rate_mbps\n2014-01-01,1\n", `in:2: "2014-01-01" is not a time`},
		{"csv: too late a time", "csv", "mahimahi", "time_s,rate_mbps\n99999999999,1\n", `in:2: "99999999999" is not a time`},
		{"csv: too long", "csv", "mahimahi", "time_s,rate_mbps\n0,1\n2000000000,1\n", "it lasts longer than 30 years"},
		{"pensieve: three columns", "pensieve", "mahimahi", "0 1\n1 2 3\n", "in:2: 3 numbers in place of two"},
		{"fcc: no rate", "fcc", "mahimahi", "unit_id,dtime\n1,2\n", "in:1: there is no column bytes_sec"},
		{"fcc: two units", "fcc", "mahimahi", "unit_id,bytes_sec\n1,2\n2,2\n", "in:3: unit 2 after unit 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := convert(row.from, row.to, row.text, 0, false)
			if err == nil {
				t.Fatal("no error")
			}
			if got, hint, _ := strings.Cut(err.Error(), "\nhint: "); got != row.want || hint == "" {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
	if _, err := convert("mbps", "phantomlink", "1\n", 1500*us, false); err == nil {
		t.Error("phantomlink has no part of a millisecond")
	}
	if _, err := convert("mahimahi", "mbps", "1000000000000\n", 0, false); err != errTooFine {
		t.Error(err)
	}
	if _, err := convert("mahimahi", "mbps", "0.000001\n", 0, false); err != errTooFast {
		t.Error(err)
	}
}

// roundTrips converts a schedule to every format and from that to every other, and back, and compares the mean rates.
func roundTrips(t *testing.T, trace string, interval time.Duration, fine bool) {
	t.Helper()
	want := parse(t, trace).Mean()
	names := []string{"mahimahi", "mbps", "csv", "pensieve", "phantomlink"}
	for _, one := range names {
		first, err := convert("mahimahi", one, trace, interval, fine)
		if err != nil {
			t.Errorf("to %s: %v", one, err)
			continue
		}
		for _, two := range names {
			second, err := convert(one, two, first, interval, fine)
			if err != nil {
				t.Errorf("%s to %s: %v\n%.200s", one, two, err, first)
				continue
			}
			back, err := convert(two, "mahimahi", second, interval, fine)
			if err != nil {
				t.Errorf("%s to %s to mahimahi: %v\n%.200s", one, two, err, second)
				continue
			}
			if got := parse(t, back).Mean(); math.Abs(got/want-1) > 0.001 {
				t.Errorf("%s to %s to mahimahi: %v bit/s, was %v\n%.200s\n%.200s", one, two, got, want, trace, back)
			}
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for _, args := range []string{"constant 12Mbps", "constant 720kbit", "constant 5.5Mbps", "square 0 9Mbps 300ms",
		"sine 1Mbps 9Mbps 1s", "walk 1Mbps 30Mbps 2Mbps", "onoff 5Mbps 1s 200ms", "handover 1Mbps 9Mbps 700ms 50ms"} {
		for _, fine := range []bool{false, true} {
			for _, interval := range []time.Duration{0, 7 * ms, 1 * s} {
				t.Run(fmt.Sprint(args, fine, interval), func(t *testing.T) {
					made, err := Make(strings.Fields(args), Options{Length: 2230 * ms, Fine: fine, Seed: 3})
					if err != nil {
						t.Fatal(err)
					}
					roundTrips(t, written(t, made), interval, fine)
				})
			}
		}
	}
}

// Whatever a trace is: what is written in one format is read, and keeps the mean rate.
func FuzzRoundTrips(f *testing.F) {
	f.Add("1\n2\n2\n4\n", uint16(0), false)
	f.Add("0.25\n0.5\n", uint16(1), true)
	f.Add("0.3\n1.4\n", uint16(100), false)
	f.Add("0\n0\n999\n", uint16(70), true)
	f.Fuzz(func(t *testing.T, text string, interval uint16, fine bool) {
		s, err := Parse("x", strings.NewReader(text))
		if err != nil || s.Mean() > 1e9 || s.Period() > time.Second {
			return
		}
		roundTrips(t, written(t, s), time.Duration(interval%2000)*ms, fine)
	})
}

// No reader panics, and what it accepts can be written and read again.
func FuzzConvert(f *testing.F) {
	for _, text := range []string{"1\n2\n", "24\n12\n", "time_s,rate_mbps\n0,1\n1,2\n", "0 1\n1 2\n",
		"unit_id,bytes_sec\n1,2\n", "Time[ms],RouteID,Delay[ms],Btldr[Mbps]\n0,0,41.0,80.0\n"} {
		for _, from := range formats {
			f.Add(from.name, text)
		}
	}
	f.Fuzz(func(t *testing.T, from, text string) {
		if i := (Conversion{}).find(from); i >= 0 {
			s, p, _ := formats[i].read("in", strings.NewReader(text), ms)
			if s != nil && s.Period() > time.Minute || p != nil && p.length() > time.Minute {
				return // is slow
			}
		}
		for _, to := range []string{"csv", "pensieve", "phantomlink"} {
			first, err := convert(from, to, text, 0, false)
			if err != nil {
				if !strings.Contains(err.Error(), "\nhint: ") {
					t.Error(err)
				}
				continue
			}
			if again, err := convert(to, to, first, 0, false); err != nil || again != first {
				t.Errorf("%s of %q: %v\n%s\nand then\n%s", to, text, err, first, again)
			}
		}
	})
}
