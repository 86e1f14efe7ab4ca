package host

import (
	"fmt"
	"strconv"
	"strings"
)

// Kernel says whether Linux is new enough: 5.12 brought tables that go with their owner (NFT_TABLE_F_OWNER).
func (m *Machine) Kernel() Finding {
	f := Finding{Name: "kernel", Vital: true, Says: "Linux " + m.Release}
	var major, minor int
	if n, _ := fmt.Sscanf(m.Release, "%d.%d", &major, &minor); n == 2 {
		f.OK = major > 5 || major == 5 && minor >= 12
	}
	if !f.OK {
		f.Says += ", and 5.12 is needed"
		f.Means, f.Mend = "cannot make rules that go when the tool does", "install a newer kernel, such as your distribution's next release has"
	}
	return f
}

// cpus counts what this process may use, with the limit of its control group (cgroup v2, cpu.max).
func (m *Machine) cpus() Finding {
	n := float64(m.CPUs)
	if f := strings.Fields(m.read("/sys/fs/cgroup/cpu.max")); len(f) == 2 {
		quota, err1 := strconv.ParseFloat(f[0], 64) // "max" is none
		period, err2 := strconv.ParseFloat(f[1], 64)
		if err1 == nil && err2 == nil && period > 0 {
			n = min(n, quota/period)
		}
	}
	f := Finding{Name: "CPUs", OK: n >= 2, Says: fmt.Sprintf("%.3g", n), Figures: map[string]float64{"cpus": n}}
	if !f.OK {
		f.Means = "a tool and its command take turns: packets leave late under load"
		f.Mend = "give the machine two CPUs"
		if m.container() != "" {
			f.Mend = "docker run --cpus 2 ..."
		}
	}
	return f
}
