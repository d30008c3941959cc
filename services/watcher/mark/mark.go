// Package mark decides, as pure functions, about the MARKs of a lane: when it is
// frozen for an attempt at a run, and whether a run is yet to freeze it.
package mark

import "github.com/kubescribe/kubescribe/shared/event"

// Verdict is what becomes of a REQUEST_CLUSTER_STATE that has no answer yet.
type Verdict int

// The verdicts.
const (
	Freeze Verdict = iota // the lane, and answer with what was frozen
	Drop                  // nobody waits for this attempt any more
	Fail                  // the lane was frozen by somebody who did not say how: another attempt is needed
)

// Answer decides about a request by the newest MARK of its destination in the lane,
// the zero one if there is none. A lane stores one MARK for an attempt at most.
func Answer(newest event.Mark, q event.Request) Verdict {
	switch {
	case newest.Run != q.Run || newest.Attempt < q.Attempt:
		return Freeze
	case newest.Attempt > q.Attempt:
		return Drop
	}
	return Fail
}

// ToCome reports whether a run of a destination that was written at a revision has
// yet to freeze the lane whose newest MARK of it is given.
func ToCome(rec event.PhaseRecord, revision uint64, newest event.Mark) bool {
	if rec.Registered != revision {
		return true // the reconciler begins one, for one that is new or changed
	}
	frozen := newest.Run == rec.Run && newest.Attempt >= rec.Attempt
	return rec.Running() && !frozen
}
