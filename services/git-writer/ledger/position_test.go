package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"
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
			p.See(seq, time.Time{})
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

func TestCut(t *testing.T) {
	for at, want := range map[[2]uint64]bool{{0, 1}: false, {0, 9}: false, {5, 1}: false, {5, 5}: false, {5, 6}: false, {5, 7}: true} {
		if got := Cut(at[0], at[1]); got != want {
			t.Errorf("from position %d on, of a log that begins at %d: %t", at[0], at[1], got)
		}
	}
}

// TestContradicted: the furthest commit that says when its message was stored tells whether
// KS_WRITE is the log that the branch is of.
func TestContradicted(t *testing.T) {
	then := time.Unix(1_700_000_000, 123_456_789)
	type commit struct {
		seq    uint64
		stored time.Time
	}
	for name, tt := range map[string]struct {
		commits []commit
		stands  time.Time // at the position of the furthest
		at      uint64
		want    bool
	}{
		"nothing was pushed since the hint":         {nil, time.Time{}, 0, false},
		"commits that do not say":                   {[]commit{{9, time.Time{}}}, time.Time{}, 0, false},
		"the same":                                  {[]commit{{9, then}, {8, then.Add(-1)}}, then, 9, false},
		"in another time zone":                      {[]commit{{9, then}}, then.In(time.FixedZone("", 3600)), 9, false},
		"another message":                           {[]commit{{9, then}}, then.Add(1), 9, true},
		"it was removed":                            {[]commit{{9, then}}, time.Time{}, 9, false},
		"KS_WRITE ends before it":                   {[]commit{{3, then.Add(-1)}, {11, then}}, time.Time{}, 11, true},
		"an older one was cherry-picked":            {[]commit{{3, then.Add(-9)}, {9, then}}, then, 9, false},
		"one that does not say is further":          {[]commit{{9, then}, {10, time.Time{}}}, then.Add(1), 9, true},
		"one that does not say claims far too much": {[]commit{{9, then}, {1_000_000, time.Time{}}}, then, 9, false},
	} {
		for range 2 {
			p := Position{Newest: 10}
			for _, c := range tt.commits {
				p.See(c.seq, c.stored)
			}
			if got := p.Contradicted(tt.stands); got != tt.want || p.Marked() != tt.at {
				t.Errorf("%s: %t by what stands at %d, want %t at %d", name, got, p.Marked(), tt.want, tt.at)
			}
			slices.Reverse(tt.commits)
		}
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
				p.See(c.through, time.Time{}, c.held...)
			}
			seq, held := p.Holds()
			if got := fmt.Sprint(seq, " ", held); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
			slices.Reverse(tt.commits)
		}
	}
}
