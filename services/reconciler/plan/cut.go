package plan

import (
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Outcome is what a run hands in: what its comparison has found, without the results for
// whose contents there was no room, and whether another run follows at once and brings
// those: not of a destination in DryRun, which would lack what this one has brought, and get
// that again. A comparison for a person has found what it has found, whatever of it can be
// shown.
func Outcome(rec event.PhaseRecord, found event.Outcome, ends map[subject.Side]event.End, dryRun bool) event.Outcome {
	out, contents := found, 0
	out.Incomplete = incomplete(found.Incomplete, ends)
	if Dry(rec.Reason) {
		return out
	}
	for part := range subject.Parts {
		end := ends[subject.SideContent(part)]
		contents += end.Count
		out.Skipped = append(out.Skipped, end.Skipped...) // each type is of one lane
		out.Left.Created += end.Left.Created
		out.Left.Updated += end.Left.Updated
	}
	out.Created -= out.Left.Created
	out.Updated -= out.Left.Updated
	if rec.Reason == event.ReasonContinued && rec.Outcome != nil {
		out.Before = through(*rec.Outcome)
	}
	out.Continues = out.Left.Count() > 0 && contents > 0 && !dryRun && !inVain(out)
	return out
}

// inVain reports whether the runs that continue each other have brought twice as much as
// there are objects: something undoes what they do, or keeps it from the folder. Each
// brings at least one, so that they do come to an end.
func inVain(o event.Outcome) bool {
	all := through(o)
	return all.Created+all.Updated >= 2*(o.Equal+o.Created+o.Updated+o.Left.Count())
}

// through is what has been brought up to the run of an outcome.
func through(o event.Outcome) event.Brought {
	b := o.Before
	return event.Brought{Runs: b.Runs + 1, Created: b.Created + o.Created, Updated: b.Updated + o.Updated, Deleted: b.Deleted + o.Deleted}
}
