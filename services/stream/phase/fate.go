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

// FateOf decides about a change that the machine lets go on. last is the content hash
// of what was forwarded last of its object, "" of a deletion; known is false if nobody
// remembers.
//
// What a run remembers is never suppressed: it is read again after a crash, when
// nobody knows what was, and drops the run's result either way. So it has to bring
// what that would have brought.
func FateOf(c event.Change, fx Effects, last string, known bool, mode event.PruneMode) Fate {
	switch {
	case known && last == c.Hash && !fx.Remember:
		return Suppressed
	case c.Op == event.Delete && mode == event.PruneNever:
		return Pruned
	}
	return Forwarded
}
