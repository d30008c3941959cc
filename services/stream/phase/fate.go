package phase

import "github.com/kubescribe/kubescribe/shared/event"

// Fate is what becomes of a change that is not held back.
type Fate int

// The fates.
const (
	Forwarded  Fate = iota
	Suppressed      // the same content as the last one of its object
	Pruned          // a deletion, and nothing may remove files
)

// FateOf decides about a change. last is the content hash of what was forwarded
// last of its object, "" of a deletion; known is false if nobody remembers.
func FateOf(c event.Change, last string, known bool, mode event.PruneMode) Fate {
	switch {
	case known && last == c.Hash:
		return Suppressed
	case c.Op == event.Delete && mode == event.PruneNever:
		return Pruned
	}
	return Forwarded
}
