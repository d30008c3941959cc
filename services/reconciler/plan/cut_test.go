package plan

import (
	"reflect"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestOutcome: what there was no room for is counted as left and as nothing else, and
// another run follows for it.
func TestOutcome(t *testing.T) {
	found := event.Outcome{Run: "r", Created: 6, Updated: 4, Deleted: 2, Equal: 10, Pending: &event.Pending{Count: 3}}
	ends := func(contents ...event.End) map[subject.Side]event.End {
		m := map[subject.Side]event.End{subject.SideRepo: {Count: 12}}
		for part, end := range contents {
			m[subject.SideContent(part)] = end
		}
		return m
	}
	cut := ends(event.End{Count: 4, Left: event.Wanted{Created: 2, Updated: 1}}, event.End{Left: event.Wanted{Created: 1, Updated: 1}})
	left := event.Outcome{Run: "r", Created: 3, Updated: 2, Deleted: 2, Equal: 10, Pending: found.Pending, Left: event.Wanted{Created: 3, Updated: 2}, Continues: true}
	was := func(before event.Brought) *event.Outcome {
		return &event.Outcome{Run: "q", Created: 5, Updated: 3, Deleted: 1, Continues: true, Before: before}
	}
	with := func(o event.Outcome, change func(*event.Outcome)) event.Outcome {
		change(&o)
		return o
	}
	for _, tt := range []struct {
		name string
		rec  event.PhaseRecord
		ends map[subject.Side]event.End
		want event.Outcome
	}{
		{"no contents are wanted", event.PhaseRecord{Reason: event.ReasonDriftCheck}, ends(), found},
		{"all is there", event.PhaseRecord{Reason: event.ReasonDriftCheck}, ends(event.End{Count: 9}), found},
		{"some is left", event.PhaseRecord{Reason: event.ReasonDriftCheck}, cut, left},
		{"some is left, of a comparison for a person", event.PhaseRecord{Reason: event.ReasonCompare}, cut, found},
		{
			"some is left, and nothing brought",
			event.PhaseRecord{Reason: event.ReasonDriftCheck},
			ends(event.End{Left: event.Wanted{Created: 3, Updated: 2}}),
			with(left, func(o *event.Outcome) { o.Continues = false }),
		},
		{"another one has left something before", event.PhaseRecord{Reason: event.ReasonRequested, Outcome: was(event.Brought{Runs: 9, Created: 90})}, cut, left},
		{
			"it continues one",
			event.PhaseRecord{Reason: event.ReasonContinued, Outcome: was(event.Brought{})},
			cut,
			with(left, func(o *event.Outcome) { o.Before = event.Brought{Runs: 1, Created: 5, Updated: 3, Deleted: 1} }),
		},
		{
			"it continues several, and is the last",
			event.PhaseRecord{Reason: event.ReasonContinued, Outcome: was(event.Brought{Runs: 2, Created: 10, Updated: 1, Deleted: 4})},
			ends(event.End{Count: 10}),
			with(found, func(o *event.Outcome) { o.Before = event.Brought{Runs: 3, Created: 15, Updated: 4, Deleted: 5} }),
		},
		// There are 20 objects, and this run brings 5.
		{
			"nearly twice as much was brought",
			event.PhaseRecord{Reason: event.ReasonContinued, Outcome: was(event.Brought{Runs: 8, Created: 26})},
			cut,
			with(left, func(o *event.Outcome) { o.Before = event.Brought{Runs: 9, Created: 31, Updated: 3, Deleted: 1} }),
		},
		{
			"twice as much was brought",
			event.PhaseRecord{Reason: event.ReasonContinued, Outcome: was(event.Brought{Runs: 8, Created: 20, Updated: 7})},
			cut,
			with(left, func(o *event.Outcome) {
				o.Before, o.Continues = event.Brought{Runs: 9, Created: 25, Updated: 10, Deleted: 1}, false
			}),
		},
	} {
		if got := Outcome(tt.rec, found, tt.ends, false); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
		tt.want.Continues = false
		if got := Outcome(tt.rec, found, tt.ends, true); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s, in DryRun: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestPendingOverRuns: what waits for a person is withheld alike by a run and by those that
// continue it, and an approval that came in the middle counts for the next one.
func TestPendingOverRuns(t *testing.T) {
	was := event.PhaseRecord{Phase: event.StartupReconcile, Run: "r1", Approved: "digest", Outcome: pendingBy("r0", "digest")}
	was.Outcome.Continues = true
	rec := Run{ID: "r2", Reason: event.ReasonContinued, Now: t0}.Record(was, event.Destination{Key: key}, 5)
	if rec.Approved != "digest" || rec.Outcome != was.Outcome || rec.Phase != event.StartupReconcile {
		t.Errorf("it is continued by %+v", rec)
	}
	was.Phase, was.Approved = event.LiveProcessing, ""
	if rec := (Run{ID: "r2", Reason: event.ReasonContinued, Now: t0}).Record(was, event.Destination{Key: key}, 5); rec.Phase != event.LiveProcessing || rec.Approved != "" {
		t.Errorf("a drift check is continued by %+v", rec)
	}
}
