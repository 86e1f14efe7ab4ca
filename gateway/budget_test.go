package gateway

import "testing"

func TestBudget(t *testing.T) {
	const mb = 1 << 20
	b := budget{most: 10}
	for range 10 {
		if !b.open() {
			t.Fatal("a connection was refused too early")
		}
	}
	if b.open() {
		t.Error("there is one more than there may be")
	}
	var granted [10]int
	for _, row := range []struct{ who, wants, gets int }{
		{0, 8 * mb, 8 * mb},
		{1, 8 * mb, 8 * mb},
		{2, 8 * mb, 8 * mb},
		{3, 8 * mb, 8 * mb},
		{4, 8 * mb, 24 * mb / 10}, // a quarter is kept for those with no more than their share
		{4, 4 * mb, 4 * mb},
		{0, 8 * mb, 8 * mb}, // there is room for what it has
		{5, 2 * mb, 2 * mb},
		{0, 8 * mb, 24 * mb / 10}, // now there is not
		{6, 2 * mb, 2 * mb},
		{5, 0, 0},
	} {
		granted[row.who] = b.grant(granted[row.who], row.wants)
		if granted[row.who] != row.gets {
			t.Errorf("%d wants %d and gets %d, should get %d", row.who, row.wants, granted[row.who], row.gets)
		}
		if b.extra > enlargement {
			t.Errorf("%d bytes are granted", b.extra)
		}
	}
	for _, g := range granted {
		b.close(g)
	}
	if b.n != 0 || b.extra != 0 {
		t.Errorf("%d connections and %d bytes are left", b.n, b.extra)
	}
}
