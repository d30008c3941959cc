package harness

import (
	"testing"
	"time"
)

// TestLongestGap: a gap counts that overlaps with what is looked at, with all of it.
func TestLongestGap(t *testing.T) {
	begun := time.Now()
	var tips []Tip
	for _, s := range []int{0, 10, 11, 14, 15, 35} {
		tips = append(tips, Tip{Seen: begun.Add(time.Duration(s) * time.Second)})
	}
	for _, c := range []struct{ from, to, want int }{{10, 15, 3}, {9, 12, 10}, {11, 16, 20}, {36, 40, 0}} {
		got := LongestGap(tips, begun.Add(time.Duration(c.from)*time.Second), begun.Add(time.Duration(c.to)*time.Second))
		if got != time.Duration(c.want)*time.Second {
			t.Errorf("from %d to %d: %s, want %d s", c.from, c.to, got, c.want)
		}
	}
}
