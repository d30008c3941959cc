package bus

import (
	"testing"
	"time"
)

// TestEndHolds: that a stream ends where it ended is believed again for the same end alone, and
// not for what may have been stored behind it since.
func TestEndHolds(t *testing.T) {
	made := time.Unix(1_700_000_000, 0)
	now := made.Add(time.Hour)
	was := end{made: made, last: 9, past: 20, found: now}
	for name, tt := range map[string]struct {
		made      time.Time
		last, seq uint64
		after     time.Duration
		want      bool
	}{
		"the same":                 {made, 9, 20, 0, true},
		"further":                  {made, 9, 30, time.Second, true},
		"the next to be stored":    {made, 9, 10, time.Second, false},
		"it has come further":      {made, 10, 20, time.Second, false},
		"it ends before that":      {made, 8, 20, time.Second, false},
		"another stream":           {made.Add(1), 9, 20, time.Second, false},
		"it was found long before": {made, 9, 20, lagRest, false},
	} {
		if got := was.holds(tt.made, tt.last, tt.seq, now.Add(tt.after)); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
