package ledger

import (
	"slices"
	"time"
)

const (
	// minute is within what an object may have so many commits.
	minute = time.Minute
	// limitedObjects bounds twice of how many objects the commits are remembered: some
	// megabytes. Those beyond it have a commit more than they may.
	limitedObjects = 50_000
)

// Limiter remembers the commits of objects that may have only so many within a minute,
// while that counts. It is in memory alone: whoever begins knows of none, and so an object
// may then have as many again. The zero value has seen none.
type Limiter struct {
	young, old map[string][]time.Time // by path; of a minute, and of the one before
	began      time.Time              // the young ones
}

// count takes in that an object has a commit.
func (l *Limiter) count(path string, at time.Time) {
	if l.young == nil || at.Sub(l.began) > minute || len(l.young) >= limitedObjects {
		l.young, l.old, l.began = map[string][]time.Time{}, l.young, at
	}
	l.young[path] = append(l.young[path], at)
}

// of is when an object had commits.
func (l *Limiter) of(path string) []time.Time { return slices.Concat(l.old[path], l.young[path]) }

// turn is when an object may have its next commit, of at most so many within a minute, that
// had some then; the zero time: it may have had it at any time.
func turn(had []time.Time, most int) time.Time {
	if len(had) < most {
		return time.Time{}
	}
	slices.SortFunc(had, time.Time.Compare)
	return had[len(had)-most].Add(minute)
}

// Clock tells the time of the server that keeps KS_WRITE, as its messages show it: clocks
// that differ make no commit early. The zero value has seen no message.
type Clock struct{ shown, here time.Time }

// See takes in a message of that time, which came when it was here by our own clock.
func (c *Clock) See(shown, here time.Time) {
	if shown.After(c.Now(here)) {
		c.shown, c.here = shown, here
	}
}

// Now is the server's time, or before it, by our own clock.
func (c *Clock) Now(here time.Time) time.Time { return c.shown.Add(max(0, here.Sub(c.here))) }
