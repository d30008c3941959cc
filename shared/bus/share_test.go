package bus

import (
	"slices"
	"testing"
)

// TestShare: who takes what, and gives what back.
func TestShare(t *testing.T) {
	for name, tt := range map[string]struct {
		members []string
		holders []string
		mine    []int
		free    []int
		surplus []int
	}{
		"alone":                   {[]string{"a"}, []string{"", "", ""}, nil, []int{0, 1, 2}, nil},
		"nobody is known yet":     {nil, []string{"", ""}, nil, []int{0, 1}, nil},
		"the first of two":        {[]string{"a", "b"}, []string{"", "", "", ""}, nil, []int{0, 1}, nil},
		"a newcomer is there":     {[]string{"a", "b"}, []string{"a", "a", "a", "a"}, []int{0, 1, 2, 3}, nil, []int{2, 3}},
		"rounded up":              {[]string{"a", "b", "c"}, []string{"a", "a", "a", "", "b"}, []int{0, 1, 2}, nil, []int{2}},
		"the last gets the rest":  {[]string{"a", "b", "c"}, []string{"b", "b", "c", "c", ""}, nil, []int{4}, nil},
		"more than shards":        {[]string{"a", "b", "c"}, []string{"b", "c"}, nil, nil, nil},
		"its predecessor's":       {[]string{"a", "b"}, []string{"a", "b", "a", "b"}, nil, []int{0, 2}, nil},
		"its predecessor's, some": {[]string{"a", "b"}, []string{"a", "a", "a", "b"}, []int{1}, []int{0}, nil},
		"one has gone":            {[]string{"a"}, []string{"a", "", "a", ""}, []int{0, 2}, []int{1, 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := standing{members: map[string]bool{}, holders: tt.holders}
			for _, m := range tt.members {
				s.members[m] = true
			}
			if got := s.free("a", tt.mine); !slices.Equal(got, tt.free) {
				t.Errorf("it takes %v, want %v", got, tt.free)
			}
			if got := s.surplus(tt.mine); !slices.Equal(got, tt.surplus) {
				t.Errorf("it gives %v back, want %v", got, tt.surplus)
			}
		})
	}
}

// FuzzShare: whatever the replicas do in turn, each shard ends with one owner, and each replica
// with its part.
func FuzzShare(f *testing.F) {
	f.Add(uint8(3), uint8(8), []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, members, shards uint8, turns []byte) {
		n, all := int(members%5)+1, int(shards%16)
		s := standing{members: map[string]bool{}, holders: make([]string, all)}
		names := []string{"a", "b", "c", "d", "e"}[:n]
		for _, m := range names {
			s.members[m] = true
		}
		for i, b := range turns { // who has what before they look
			if all > 0 {
				s.holders[i%all] = append(names, "", "gone")[int(b)%(n+2)]
			}
		}
		for i, h := range s.holders {
			if h == "gone" {
				s.holders[i] = ""
			}
		}
		turn := func(me string) {
			var mine []int
			for i, h := range s.holders {
				if h == me {
					mine = append(mine, i)
				}
			}
			for _, i := range s.surplus(mine) {
				s.holders[i] = ""
				mine = slices.DeleteFunc(mine, func(m int) bool { return m == i })
			}
			for _, i := range s.free(me, mine) {
				s.holders[i] = me
			}
		}
		for range 2 {
			for _, m := range names {
				turn(m)
			}
		}
		counts := map[string]int{}
		for i, h := range s.holders {
			if h == "" {
				t.Fatalf("nobody works on shard %d: %v", i, s.holders)
			}
			counts[h]++
		}
		for m, c := range counts {
			if c > s.share() {
				t.Errorf("%s works on %d, its share is %d", m, c, s.share())
			}
		}
	})
}
