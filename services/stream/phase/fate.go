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

// Last is what was forwarded last of an object. The zero value is: nobody knows.
type Last struct {
	Known bool
	Of    Epoch  // the newest run by then
	Hash  string // of the content, "" of a deletion
}

// FateOf decides about a change that the machine lets go on, in the state it is in.
//
// What was forwarded before the newest run began says nothing any more of what stands in
// the folder. Rules may have left the object out for a while, prune.mode may have dropped
// a deletion, or a part of the log been lost; and what the run has found equal, it tells
// nobody.
//
// What is sent again because of a dead letter has the content that went before it, and the
// folder lacks that.
//
// What a run remembers is never suppressed: it is read again after a crash, when
// nobody knows what was, and drops the run's result either way. So it has to bring
// what that would have brought.
func FateOf(c event.Change, st State, fx Effects, last Last, mode event.PruneMode) Fate {
	switch {
	case last.Known && last.Of == st.Epoch && last.Hash == c.Hash && !fx.Remember && c.Retry == 0:
		return Suppressed
	case c.Op == event.Delete && mode == event.PruneNever:
		return Pruned
	}
	return Forwarded
}
