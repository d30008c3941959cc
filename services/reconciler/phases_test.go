package reconciler

import (
	"log/slog"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestPhasesReadAnew: what all of KS_PHASE lacks when it is read anew was removed, but for what was
// written since the reading began: it comes behind it.
func TestPhasesReadAnew(t *testing.T) {
	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "d"}
	for name, tt := range map[string]struct {
		written, at uint64
		stays       bool
	}{
		"removed meanwhile":           {7, 9, false},
		"written as the last of them": {7, 7, false},
		"written since":               {7, 6, true},
	} {
		m := newManager(&Reconciler{log: slog.New(slog.DiscardHandler), clock: systemClock{}})
		d := m.get(k)
		d.becomes(event.PhaseRecord{Run: "r"}, true, tt.written, time.Now())
		m.takePhase(t.Context(), phaseNews{all: map[string]bus.Entry[event.PhaseRecord]{}, at: tt.at})
		if d.exists != tt.stays || d.record.Run == "r" != tt.stays {
			t.Errorf("%s: it is there: %t, %+v", name, d.exists, d.record)
		}
	}
}
