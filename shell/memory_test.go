package shell

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func TestForgetStart(t *testing.T) {
	mapped := func() int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		kb, err := strconv.Atoi(string(regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(b)[1]))
		if err != nil {
			t.Fatal(err)
		}
		return kb
	}
	before := mapped()
	forgetStart()
	if after := mapped(); after > before*2/3 {
		t.Errorf("%d kB of the program are resident, after %d kB", after, before)
	}
}
