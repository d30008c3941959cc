package harness

import (
	"context"
	"time"
)

// Tip is a commit that a branch was seen to point to, and when that was first
// seen.
type Tip struct {
	Commit string
	Seen   time.Time
}

// tipEvery is how often a branch is looked at: the error of [Tip.Seen].
const tipEvery = time.Millisecond

// FollowTips looks at a branch on disk every millisecond and sends each new tip,
// starting from the one that stands there, until ctx ends. Then it closes tips.
// It must be received from without delay, or times are late.
func (r Repository) FollowTips(ctx context.Context, tips chan<- Tip) {
	defer close(tips)
	tick := time.NewTicker(tipEvery)
	defer tick.Stop()
	last := ""
	for {
		tip, err := r.loose()
		if err == nil && tip != "" && tip != last {
			last = tip
			select {
			case tips <- Tip{Commit: tip, Seen: time.Now()}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// LongestGap is the longest time between two tips, of those that began or ended between
// two instants.
func LongestGap(tips []Tip, from, to time.Time) (longest time.Duration) {
	for n := 1; n < len(tips); n++ {
		if tips[n].Seen.After(from) && tips[n-1].Seen.Before(to) {
			longest = max(longest, tips[n].Seen.Sub(tips[n-1].Seen))
		}
	}
	return longest
}
