package host

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// clock says what the kernel reads the time from. Reading some takes a call into the kernel or the hypervisor each time,
// microseconds long: those are not of the kinds that the vDSO reads (arch/x86/include/asm/vdso/clocksource.h,
// arch/arm64/include/asm/vdso/clocksource.h).
func (m *Machine) clock() Finding {
	const dir = "/sys/devices/system/clocksource/clocksource0/"
	now := m.read(dir + "current_clocksource")
	f := Finding{Name: "clock", OK: slices.Contains([]string{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"}, now), Says: now}
	if now == "" {
		f.OK, f.Says = true, "unknown"
	}
	if !f.OK {
		f.Means = "reading it is slow: high rates take more of a CPU"
		f.Mend = "find out why the kernel gave up a better one: sudo dmesg | grep -i clocksource"
	}
	return f
}

// timers says how late sleeps of 1 ms end, when nothing else is to be done.
func (m *Machine) timers() Finding {
	const n, bearable = 200, time.Millisecond
	late := m.Oversleep(n, time.Millisecond)
	f := Finding{Name: "timers", OK: true, Says: "unknown"}
	if len(late) == 0 {
		return f
	}
	slices.Sort(late)
	p50, p99 := late[len(late)/2], late[len(late)*99/100]
	f.Says = fmt.Sprintf("sleeps end %d us late, 99 of 100 at most %d us", p50.Microseconds(), p99.Microseconds())
	f.Figures = map[string]float64{"late_p50_us": float64(p50) / 1e3, "late_p99_us": float64(p99) / 1e3}
	if p99 > bearable {
		f.OK, f.Means = false, "packets leave late, by as much: the machine is busy, or its hypervisor is"
		f.Mend = "use --precise, stop what else runs here, or give the machine more CPUs"
	}
	return f
}

// oversleep sleeps as the tools do, with a timer slack of 1 ns.
func oversleep(n int, each time.Duration) (late []time.Duration) {
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the slack goes with the thread
		unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		for range n {
			start := time.Now()
			t := unix.NsecToTimespec(int64(each))
			if _, err := unix.Ppoll(nil, &t, nil); err == nil {
				late = append(late, time.Since(start)-each)
			}
		}
	}()
	<-done
	return late
}
