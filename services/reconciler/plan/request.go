package plan

import "github.com/kubescribe/kubescribe/shared/event"

// Verdict is what becomes of a request for a run.
type Verdict int

// The verdicts.
const (
	Drop  Verdict = iota // Reason says why
	Start                // a run, because of Reason
	Queue                // Record, and a run because of its Next once this one has closed
)

// Answer is what to do about a request.
type Answer struct {
	Verdict  Verdict
	Reason   string
	Approved string            // of Start: the digest of the deletions that are approved
	Record   event.PhaseRecord // of Queue
}

// Requested is what to do about a request for a run, of a reason that is [Askable], of
// a destination that is registered at a revision.
func Requested(rec event.PhaseRecord, exists bool, revision uint64, q event.Request) Answer {
	approved := ""
	if q.Reason == event.ReasonApproved {
		if rec.Outcome == nil || rec.Outcome.Pending == nil || rec.Outcome.Pending.Run != q.Approved {
			return Answer{Reason: "no deletions of that run are pending"}
		}
		approved = rec.Outcome.Pending.Digest
	}
	switch {
	case !exists:
		return Answer{Verdict: Start, Reason: event.ReasonNewDestination}
	case uncovered(rec, revision):
		return Answer{Verdict: Start, Reason: event.ReasonSpecChanged, Approved: approved}
	case !rec.Running():
		return Answer{Verdict: Start, Reason: stronger(rec.Next, q.Reason), Approved: approved}
	case traits[q.Reason].replaces:
		return Answer{Verdict: Start, Reason: q.Reason}
	}
	rec.Next = stronger(rec.Next, q.Reason)
	if approved != "" {
		rec.Approved = approved
	}
	return Answer{Verdict: Queue, Reason: rec.Next, Record: rec}
}
