package ledger

import "testing"

func TestPosition(t *testing.T) {
	for _, tt := range []struct {
		name         string
		hint, newest uint64
		commits      []uint64
		want         uint64
	}{
		{"nothing yet", 0, 9, nil, 0},
		{"no hint", 0, 9, []uint64{3}, 3},
		{"the hint lags", 3, 9, []uint64{7, 5}, 7},
		{"no-ops behind the newest commit", 8, 9, []uint64{7}, 8},
		{"an older commit was cherry-picked", 0, 9, []uint64{2, 7}, 7},
		{"one that KS_WRITE has not reached", 3, 9, []uint64{10, 7}, 7},
	} {
		p := Position{Hint: tt.hint, Newest: tt.newest}
		for _, seq := range tt.commits {
			p.See(seq)
		}
		if got := p.Holds(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWentBack(t *testing.T) {
	for hint, want := range map[uint64]bool{0: false, 9: false, 10: false, 11: true} {
		if p := (Position{Hint: hint, Newest: 10}); p.WentBack() != want {
			t.Errorf("at %d of a log that ends at 10: %t", hint, !want)
		}
	}
	if p := (Position{Hint: 9, Other: true, Newest: 10}); !p.WentBack() {
		t.Error("another message stands there, and it is the same log")
	}
}
