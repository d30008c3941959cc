package cli

import (
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestQuest(t *testing.T) {
	at := time.Now()
	under := func(run, reason, outcome string) event.PhaseRecord {
		rec := event.PhaseRecord{Run: run, Reason: reason}
		if outcome != "" {
			rec.Outcome = &event.Outcome{Run: outcome}
		}
		return rec
	}
	unsettled := func(run, reason, outcome string) event.PhaseRecord {
		rec := under(run, reason, outcome)
		rec.Closed, rec.Settled = at, at.Add(-time.Hour)
		return rec
	}
	left := func(rec event.PhaseRecord) event.PhaseRecord {
		rec.Outcome.Continues = true
		return rec
	}
	closed := func(run, reason string) event.PhaseRecord {
		rec := under(run, reason, run)
		rec.Closed, rec.Settled = at, at
		return rec
	}
	const requested, compare = event.ReasonRequested, event.ReasonCompare
	for _, tt := range []struct {
		name string
		q    quest
		rec  event.PhaseRecord
		next quest
		want verdict
		run  string // of want
	}{
		{"the run before it", quest{requested, "r1", ""}, under("r1", event.ReasonDriftCheck, ""), quest{requested, "r1", ""}, wait, "r1"},
		{"the run before it has closed", quest{requested, "r1", ""}, closed("r1", requested), quest{requested, "r1", ""}, wait, "r1"},
		{"it begins", quest{requested, "r1", ""}, under("r2", requested, "r1"), quest{requested, "", "r2"}, wait, "r2"},
		{"a stronger reason began it", quest{requested, "", ""}, under("r2", event.ReasonWatchGap, "r1"), quest{requested, "", "r2"}, wait, "r2"},
		{"it has closed", quest{requested, "", "r2"}, closed("r2", requested), quest{requested, "", "r2"}, fulfilled, "r2"},
		{"for a stronger reason", quest{requested, "", ""}, closed("r2", event.ReasonSpecChanged), quest{requested, "", "r2"}, fulfilled, "r2"},
		{"of which nothing is known", quest{requested, "", ""}, event.PhaseRecord{Run: "r2", Closed: at, Settled: at}, quest{requested, "", "r2"}, fulfilled, "r2"},
		{"replaced", quest{requested, "", "r2"}, under("r3", event.ReasonSpecChanged, "r1"), quest{requested, "", "r3"}, wait, "r3"},
		{"replaced by one that has closed", quest{requested, "", "r2"}, closed("r3", event.ReasonSpecChanged), quest{requested, "", "r3"}, fulfilled, "r3"},
		{"closed, and another has begun", quest{requested, "", "r2"}, under("r3", event.ReasonDriftCheck, "r2"), quest{requested, "", "r2"}, fulfilled, "r2"},
		{"closed, and a comparison has begun", quest{requested, "", "r2"}, under("r3", compare, "r2"), quest{requested, "", "r2"}, fulfilled, "r2"},
		{"continued", quest{requested, "", "r2"}, left(unsettled("r2", requested, "r2")), quest{requested, "r2", ""}, wait, "r2"},
		{"continued, and the next has begun", quest{requested, "", "r2"}, left(under("r3", event.ReasonContinued, "r2")), quest{requested, "", "r3"}, wait, "r3"},
		{"the last of those that continue it", quest{requested, "", "r3"}, closed("r3", event.ReasonContinued), quest{requested, "", "r3"}, fulfilled, "r3"},
		{"overtaken", quest{requested, "", "r2"}, unsettled("r2", requested, "r1"), quest{requested, "r2", ""}, wait, "r2"},
		{"overtaken, and the next has begun", quest{requested, "", "r2"}, under("r3", event.ReasonOvertaken, "r1"), quest{requested, "", "r3"}, wait, "r3"},
		{"the one behind one that was overtaken", quest{requested, "r2", ""}, closed("r3", event.ReasonTypeAppeared), quest{requested, "", "r3"}, fulfilled, "r3"},
		{"a comparison instead", quest{requested, "", ""}, under("c", compare, "r1"), quest{requested, "", "c"}, wait, "c"},
		{"a comparison has closed instead", quest{requested, "", "c"}, unsettled("c", compare, "r1"), quest{requested, "", "c"}, askAgain, "c"},
		{"a comparison that was asked for", quest{compare, "", "c"}, unsettled("c", compare, "r1"), quest{compare, "", "c"}, fulfilled, "c"},
		{"another instead of a comparison", quest{compare, "", "c"}, closed("r2", event.ReasonWatchGap), quest{compare, "", "r2"}, fulfilled, "r2"},
	} {
		next, got, rec := tt.q.sees(tt.rec)
		if next != tt.next || got != tt.want || rec.Run != tt.run {
			t.Errorf("%s: %+v, verdict %d, of run %s; want %+v, verdict %d, of run %s", tt.name, next, got, rec.Run, tt.next, tt.want, tt.run)
		}
	}
}

// TestStall: a stall lasts until something has reached the remote, and what keeps the
// git-writer now counts, and not what did.
func TestStall(t *testing.T) {
	const patience = time.Minute
	t0 := time.Now()
	stalled := func(position uint64) event.Status {
		return event.Status{Position: position, Stalled: &event.Stalled{Reason: "PushRefused"}}
	}
	var s stall
	for _, step := range []struct {
		after time.Duration
		sees  event.Status
		want  bool
	}{
		{0, event.Status{Position: 3}, false},
		{time.Second, stalled(3), false},
		{30 * time.Second, event.Status{Position: 3}, false}, // it tries again
		{60 * time.Second, stalled(3), false},
		{61 * time.Second, event.Status{Position: 3}, false},
		{62 * time.Second, stalled(3), true},
		{63 * time.Second, stalled(4), false}, // something was pushed
		{122 * time.Second, stalled(4), false},
		{123 * time.Second, stalled(4), true},
		{124 * time.Second, event.Status{Position: 5}, false},
		{200 * time.Second, stalled(5), false},
	} {
		now := t0.Add(step.after)
		s = s.sees(step.sees, now)
		if got := s.outlasts(patience, now); got != step.want {
			t.Errorf("after %s it lasts for too long: %v", step.after, got)
		}
	}
}
