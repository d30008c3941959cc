package owing

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestCaughtUp: behind a gap a run is asked for where one skipped the type, or may yet, and
// none is to come.
func TestCaughtUp(t *testing.T) {
	maps := []string{"configmaps"}
	froze := event.Mark{Run: "r", Attempt: 2}
	skipped := &event.Outcome{Skipped: maps}
	under := func(change func(*event.PhaseRecord)) event.PhaseRecord {
		rec := event.PhaseRecord{Run: "r", Attempt: 2, Reason: event.ReasonDriftCheck, Registered: 7}
		change(&rec)
		return rec
	}
	closes := func(rec *event.PhaseRecord) { rec.Closed = time.Unix(1, 0) }
	for _, tt := range []struct {
		name     string
		rec      event.PhaseRecord
		newest   event.Mark
		contents *event.End
		asks     bool
	}{
		{"no run yet", event.PhaseRecord{Registered: 7}, event.Mark{}, nil, false},
		{"one is to freeze the lane", under(func(rec *event.PhaseRecord) { rec.Outcome = skipped }), event.Mark{Run: "q"}, nil, false},
		{"another attempt is to", under(func(rec *event.PhaseRecord) { rec.Outcome = skipped }), event.Mark{Run: "r", Attempt: 1}, nil, false},
		{"frozen, and contents may be on their way", under(func(*event.PhaseRecord) {}), froze, nil, true},
		{"frozen, and all contents were there", under(func(rec *event.PhaseRecord) { rec.Outcome = skipped }), froze, &event.End{}, false},
		{"frozen, and some were skipped", under(func(*event.PhaseRecord) {}), froze, &event.End{Skipped: maps}, true},
		{"frozen, and some of another type were", under(func(*event.PhaseRecord) {}), froze, &event.End{Skipped: []string{"services"}}, false},
		{"a comparison, which skips in vain", under(func(rec *event.PhaseRecord) { rec.Reason = event.ReasonCompare }), froze, &event.End{Skipped: maps}, false},
		{"a comparison behind a run that skipped", under(func(rec *event.PhaseRecord) { rec.Reason, rec.Outcome = event.ReasonCompare, skipped }), froze, nil, true},
		{"closed", under(closes), froze, nil, false},
		{"closed, and skipped", under(func(rec *event.PhaseRecord) { closes(rec); rec.Outcome = skipped }), froze, nil, true},
		{"closed, and skipped others", under(func(rec *event.PhaseRecord) { closes(rec); rec.Outcome = &event.Outcome{Skipped: []string{"services"}} }), froze, nil, false},
		{"of other rules", under(func(rec *event.PhaseRecord) { closes(rec); rec.Registered, rec.Outcome = 6, skipped }), froze, nil, false},
	} {
		got := CaughtUp(tt.rec, 7, tt.newest, tt.contents, schema.GroupResource{Resource: "configmaps"})
		if (got == event.ReasonContentsSkipped) != tt.asks {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
