package mark

import (
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestAsked(t *testing.T) {
	q := event.Request{Run: "r", Attempt: 2}
	for _, tt := range []struct {
		name string
		rec  event.PhaseRecord
		want Verdict
	}{
		{"the attempt under way", event.PhaseRecord{Run: "r", Attempt: 2}, Carry},
		{"of the attempt before", event.PhaseRecord{Run: "r", Attempt: 3}, Drop},
		{"of a run before", event.PhaseRecord{Run: "s", Attempt: 1}, Drop},
		{"of a run before, of more attempts", event.PhaseRecord{Run: "s", Attempt: 2}, Drop},
		{"of a destination that has left", event.PhaseRecord{}, Drop},
		{"of a run that has closed", event.PhaseRecord{Run: "r", Attempt: 2, Closed: time.Unix(1, 0)}, Drop},
		{"of an attempt that is not shown yet", event.PhaseRecord{Run: "r", Attempt: 1}, Later},
	} {
		if got := Asked(tt.rec, q); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if got := Answer(tt.rec, event.Mark{}, q); got != tt.want {
			t.Errorf("%s, of the lane's state: %v", tt.name, got)
		}
	}
}

func TestAnswer(t *testing.T) {
	q, rec := event.Request{Run: "r", Attempt: 2}, event.PhaseRecord{Run: "r", Attempt: 2}
	for _, tt := range []struct {
		name   string
		newest event.Mark
		want   Verdict
	}{
		{"no MARK yet", event.Mark{}, Carry},
		{"of another run", event.Mark{Run: "q", Attempt: 2}, Carry},
		{"of the attempt before", event.Mark{Run: "r", Attempt: 1}, Carry},
		{"of the attempt", event.Mark{Run: "r", Attempt: 2}, Fail},
		{"of a later attempt", event.Mark{Run: "r", Attempt: 3}, Drop},
	} {
		if got := Answer(rec, tt.newest, q); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestToCome(t *testing.T) {
	of := func(run string, attempt uint64) event.Mark { return event.Mark{Run: run, Attempt: attempt} }
	running := event.PhaseRecord{Run: "r", Attempt: 2, Registered: 5}
	closed := running
	closed.Closed = time.Unix(1, 0)
	comparison := running
	comparison.Reason = event.ReasonCompare
	older := closed
	older.Registered = 4
	for _, tt := range []struct {
		name   string
		rec    event.PhaseRecord
		newest event.Mark
		want   bool
	}{
		{"never reconciled", event.PhaseRecord{}, event.Mark{}, true},
		{"changed since", older, of("r", 2), true},
		{"under way, nothing frozen", running, event.Mark{}, true},
		{"under way, frozen for the attempt before", running, of("r", 1), true},
		{"under way, frozen for another run", running, of("q", 2), true},
		{"under way, frozen", running, of("r", 2), false},
		{"under way, frozen for an attempt not read yet", running, of("r", 3), false},
		{"a comparison under way, nothing frozen", comparison, event.Mark{}, false},
		{"closed", closed, of("r", 2), false},
	} {
		if got := ToCome(tt.rec, 5, tt.newest); got != tt.want {
			t.Errorf("%s: a run is to come: %v", tt.name, got)
		}
	}
}
