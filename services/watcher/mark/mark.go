// Package mark decides, as pure functions, about the MARKs of a lane: when it is
// frozen for an attempt at a run, and whether a run is yet to freeze it.
package mark

import "github.com/kubescribe/kubescribe/shared/event"

// Verdict is what becomes of a request that has no answer yet.
type Verdict int

// The verdicts.
const (
	Carry Verdict = iota // it out: freeze the lane, or answer with contents
	Drop                 // nobody waits for this attempt any more
	Fail                 // the lane was frozen by somebody who did not say how: another attempt is needed
	Later                // KS_PHASE does not show the attempt yet
)

// Asked decides about a request of either kind by the destination's entry in KS_PHASE,
// the zero one if there is none, as it is at the leader after the request has come. The
// reconciler writes an attempt there before it asks, so one of another run is of one
// before: a MARK of it behind those of the newer would be out of turn.
func Asked(rec event.PhaseRecord, q event.Request) Verdict {
	switch {
	case rec.Run != q.Run, q.Attempt < rec.Attempt:
		return Drop
	case q.Attempt > rec.Attempt:
		return Later
	case !rec.Running():
		return Drop
	}
	return Carry
}

// Answer decides about a REQUEST_CLUSTER_STATE that was [Asked], by the newest MARK of
// its destination in the lane too, the zero one if there is none. A lane stores one MARK
// for an attempt at most, in the order of attempts.
func Answer(rec event.PhaseRecord, newest event.Mark, q event.Request) Verdict {
	if v := Asked(rec, q); v != Carry {
		return v
	}
	switch {
	case newest.Run != q.Run || newest.Attempt < q.Attempt:
		return Carry
	case newest.Attempt > q.Attempt:
		return Drop
	}
	return Fail
}

// ToCome reports whether a run of a destination that was written at a revision has
// yet to freeze the lane whose newest MARK of it is given. A comparison for a person
// brings nothing.
func ToCome(rec event.PhaseRecord, revision uint64, newest event.Mark) bool {
	if rec.Registered != revision {
		return true // the reconciler begins one, for one that is new or changed
	}
	frozen := newest.Run == rec.Run && newest.Attempt >= rec.Attempt
	return rec.Running() && rec.Reason != event.ReasonCompare && !frozen
}
