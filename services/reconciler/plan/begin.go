package plan

import (
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Run is a run that begins.
type Run struct {
	ID       string
	Reason   string
	Approved string // the digest of the deletions that a person approved for it
	Now      time.Time
}

// Record is the entry of KS_PHASE with which a run of a destination, registered at
// a revision, takes the place of what was.
func (r Run) Record(was event.PhaseRecord, d event.Destination, revision uint64) event.PhaseRecord {
	rec := event.PhaseRecord{
		V: event.Version, Run: r.ID, Attempt: 1, Reason: r.Reason, Registered: revision,
		Parts: parts(was, d, revision), Phase: was.Phase, Approved: r.Approved, Since: r.Now,
		Cursor: was.Cursor, Counts: was.Counts, Owner: was.Owner, Outcome: was.Outcome, Settled: was.Settled, Gap: was.Gap,
	}
	if len(rec.Parts) == 0 {
		// The rules select nothing, so that no lane has anything to say. But without
		// a MARK there is no place for the BARRIER.
		rec.Parts = []int{0}
	}
	if rec.Phase == "" || traits[r.Reason].holds {
		rec.Phase = event.StartupReconcile
	}
	if pending := pendingOf(was); rec.Approved == "" && pending != "" && pending == was.Approved {
		// Approved while another run was under way, which has not carried it out:
		// it was replaced, or had compared before.
		rec.Approved = pending
	}
	return rec
}

// parts are the lanes that the destination's rules touch, and those that a run of
// other rules has touched: a router that has not seen the new ones yet still hands on
// changes of theirs, until it passes a MARK of this run in that lane.
func parts(was event.PhaseRecord, d event.Destination, revision uint64) []int {
	parts := slices.Clone(subject.PartsOf(d))
	if was.Registered != revision || was.Running() {
		parts = append(parts, was.Parts...)
	}
	slices.Sort(parts)
	return slices.Compact(parts)
}

// Again is the entry of the next attempt at the run that is under way.
func Again(rec event.PhaseRecord, now time.Time) event.PhaseRecord {
	rec.Attempt, rec.Since = rec.Attempt+1, now
	return rec
}

// pendingOf is the digest of the deletions that wait for a person, "" for none.
func pendingOf(rec event.PhaseRecord) string {
	if rec.Outcome == nil || rec.Outcome.Pending == nil {
		return ""
	}
	return rec.Outcome.Pending.Digest
}
