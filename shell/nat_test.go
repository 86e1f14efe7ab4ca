package shell

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"gomahi/internal/testutil"
)

// tables lists the nftables tables of the calling thread's namespace, with their flags.
func tables() (map[string]uint32, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	all, err := c.ListTables()
	out := map[string]uint32{}
	for _, t := range all {
		out[t.Name] = bits.ReverseBytes32(t.Flags) // in network byte order, which the library does not heed
	}
	return out, err
}

// chains lists the chains of a table, with the number of their rules.
func chains(of *nftables.Table) (map[string]int, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	all, err := c.ListChains()
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, chain := range all {
		if chain.Table.Name == of.Name {
			rules, err := c.GetRules(of, chain)
			if err != nil {
				return nil, err
			}
			out[chain.Name] = len(rules)
		}
	}
	return out, nil
}

// inTable makes a NAT for a device "own" of the calling thread's namespace.
func inTable(six bool, guarded ...int) (*nat, error) {
	own, err := cable("own")
	if err != nil {
		return nil, err
	}
	return newNAT("own", own.Attrs().Index, pair(0), six, guarded)
}

func TestNAT(t *testing.T) {
	testutil.InNamespace(t, func() error {
		n, err := inTable(true)
		if err != nil {
			return err
		}
		got, err := tables()
		if err != nil {
			return err
		}
		if d := cmp.Diff(map[string]uint32{"gm-own": tableFlagOwner}, got); d != "" {
			return fmt.Errorf("tables and their flags (-want +got):\n%s", d)
		}
		// Nobody else can take away what is ours.
		other, err := nftables.New()
		if err != nil {
			return err
		}
		other.DelTable(n.table)
		if err := other.Flush(); !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("another program deletes our table: %v", err)
		}
		n.close()
		for start := time.Now(); ; time.Sleep(ms) {
			if got, err = tables(); err != nil || len(got) == 0 {
				return err
			}
			if time.Since(start) > 5*time.Second {
				return fmt.Errorf("the table is there after its owner's end: %v", got)
			}
		}
	})
}

func TestNATRules(t *testing.T) {
	for _, row := range []struct {
		name  string
		six   bool
		guard []int
		want  map[string]int
	}{
		{"IPv4", false, nil, map[string]int{"masquerade": 1, chainProbeFirst: 1, chainProbeLast: 1, chainGuard: 2}},
		{"IPv6 too", true, nil,
			map[string]int{"masquerade": 2, chainProbeFirst: 2, chainProbeLast: 2, "stray": 4, chainGuard: 2}},
		{"one device to guard", false, []int{1},
			map[string]int{"masquerade": 1, chainProbeFirst: 1, chainProbeLast: 1, chainGuard: 4}},
		{"many devices to guard", false, []int{1, 2, 3, 4, 5, 6, 7, 8, 9},
			map[string]int{"masquerade": 1, chainProbeFirst: 1, chainProbeLast: 1, chainGuard: 20}},
		{"two devices to guard", false, []int{1, 2},
			map[string]int{"masquerade": 1, chainProbeFirst: 1, chainProbeLast: 1, chainGuard: 6}},
	} {
		t.Run(row.name, func(t *testing.T) {
			testutil.InNamespace(t, func() error {
				n, err := inTable(row.six, row.guard...)
				if err != nil {
					return err
				}
				defer n.close()
				got, err := chains(n.table)
				if err != nil {
					return err
				}
				if d := cmp.Diff(row.want, got); d != "" {
					return fmt.Errorf("rules of each chain (-want +got):\n%s", d)
				}
				return nil
			})
		})
	}
}

func TestNATCounters(t *testing.T) {
	testutil.InNamespace(t, func() error {
		n, err := inTable(true)
		if err != nil {
			return err
		}
		defer n.close()
		for chain, rules := range map[string]int{chainGuard: 1, chainProbeFirst: 2, chainProbeLast: 2} {
			got, err := n.counters(chain)
			if err != nil {
				return err
			}
			if d := cmp.Diff(make([]uint64, rules), got); d != "" {
				return fmt.Errorf("%s (-want +got):\n%s", chain, d)
			}
		}
		if sum := n.untranslated(); sum != 0 {
			return fmt.Errorf("%d packets were not translated", sum)
		}
		return nil
	})
}

// Two containers of one parent have a table each, and neither has the other's name.
func TestNATTwice(t *testing.T) {
	testutil.InNamespace(t, func() error {
		first, err := inTable(false)
		if err != nil {
			return err
		}
		defer first.close()
		if _, err := newNAT("own", 1, pair(1), false, nil); err == nil ||
			!strings.HasPrefix(err.Error(), "making the nftables table gm-own: ") {
			return fmt.Errorf("a second table of that name: %v", err)
		}
		second, err := newNAT("other", 1, pair(1), false, nil)
		if err != nil {
			return err
		}
		defer second.close()
		got, err := tables()
		if err != nil {
			return err
		}
		want := map[string]uint32{"gm-own": tableFlagOwner, "gm-other": tableFlagOwner}
		if d := cmp.Diff(want, got); d != "" {
			return fmt.Errorf("tables and their flags (-want +got):\n%s", d)
		}
		return nil
	})
}
