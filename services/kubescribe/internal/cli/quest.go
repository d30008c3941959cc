package cli

import "github.com/kubescribe/kubescribe/shared/event"

// quest is a person's request for a run, on its way to the run that fulfils it: any that
// began behind the request, and has done what was asked for.
type quest struct {
	reason string // of the request
	behind string // the run that comes before, "" for none
	run    string // the one that is followed, "" if it is not known yet
}

// verdict is what a look at KS_PHASE means for a quest.
type verdict int

const (
	wait      verdict = iota
	fulfilled         // by the run that is returned
	askAgain          // the newest run has closed, and none follows that would do it
)

// sees takes in the newest run. It is a pure function: of a run that has been replaced
// since the last look nothing is left but its outcome, if it wrote its results.
func (q quest) sees(rec event.PhaseRecord) (quest, verdict, event.PhaseRecord) {
	if rec.Run == q.behind {
		return q, wait, rec
	}
	if o := rec.Outcome; q.run != "" && q.run != rec.Run && o != nil && o.Run == q.run {
		if last := (event.PhaseRecord{Run: q.run, Outcome: o}); !continued(last) {
			return q, fulfilled, last
		}
	}
	q.behind, q.run = "", rec.Run
	switch {
	case rec.Running():
		return q, wait, rec
	case q.reason == event.ReasonCompare: // another that came instead is seen by its reason
		return q, fulfilled, rec
	case rec.Reason == event.ReasonCompare: // wrote nothing, and nobody need have asked for another
		return q, askAgain, rec
	case !settled(rec): // nor is one that another continues
		return quest{reason: q.reason, behind: rec.Run}, wait, rec
	}
	return q, fulfilled, rec
}

// settled reports whether the results of a run that has closed are written. Of one that
// more has passed during than is remembered they are not: another was asked for before
// it closed.
func settled(rec event.PhaseRecord) bool { return rec.Settled.Equal(rec.Closed) }

// continued reports whether a run that has closed left a part of what it found to
// another one.
func continued(rec event.PhaseRecord) bool { return rec.Continues() }
