package ledger

import (
	"fmt"
	"slices"
	"testing"
)

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
		if got, _ := p.Holds(); got != tt.want {
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

// TestHeld: what is held is what no statement says to be in the branch, in whatever order
// they are come upon.
func TestHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		hint    statement
		commits []statement
		want    string
	}{
		"nothing":                                {statement{}, nil, "0 []"},
		"one":                                    {statement{}, []statement{{9, []uint64{4}}}, "9 [4]"},
		"the hint alone":                         {statement{9, []uint64{4, 7}}, nil, "9 [4 7]"},
		"committed behind, at the same position": {statement{}, []statement{{9, []uint64{4}}, {9, nil}}, "9 []"},
		"one of two committed":                   {statement{}, []statement{{9, []uint64{4, 7}}, {9, []uint64{7}}}, "9 [7]"},
		"replaced by a newer version":            {statement{}, []statement{{5, []uint64{4}}, {9, []uint64{8}}}, "9 [8]"},
		"still held":                             {statement{}, []statement{{5, []uint64{4}}, {9, []uint64{4}}}, "9 [4]"},
		"the hint lags":                          {statement{5, []uint64{4}}, []statement{{9, nil}}, "9 []"},
		"the hint is of no-ops":                  {statement{9, []uint64{4, 8}}, []statement{{5, []uint64{4}}}, "9 [4 8]"},
		"another writer has committed it":        {statement{9, []uint64{4, 8}}, []statement{{5, nil}}, "9 [8]"},
		"an older commit was cherry-picked":      {statement{}, []statement{{9, nil}, {5, []uint64{4}}}, "9 []"},
		"one that KS_WRITE has not reached":      {statement{5, []uint64{4}}, []statement{{11, nil}}, "5 [4]"},
	} {
		for range 2 {
			p := Position{Hint: tt.hint.through, Held: tt.hint.held, Newest: 10}
			for _, c := range tt.commits {
				p.See(c.through, c.held...)
			}
			seq, held := p.Holds()
			if got := fmt.Sprint(seq, " ", held); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
			slices.Reverse(tt.commits)
		}
	}
}
