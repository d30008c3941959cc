package reconciler

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nuid"

	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// errBehind says that what this process knows of a destination is older than what
// the bus knows: the newer comes by itself.
var errBehind = errors.New("what is known of the destination is behind")

// begin writes a run of a destination into KS_PHASE, in the place of an entry of a
// revision. Of two that begin one at once, one gets bus.ErrConflict.
//
// A crash behind it leaves a run that nobody was asked for: whoever manages the
// destination next asks every lane that has not ended its state.
func (r *Reconciler) begin(ctx context.Context, k event.DestinationKey, was event.PhaseRecord, revision uint64, reason, approved string) (event.PhaseRecord, uint64, error) {
	key := subject.DestinationToken(k)
	// From the leader: the registry that is followed may lag, and a run of an older
	// spec would take the place of one of a newer.
	d, registered, err := r.destinations.Newest(ctx, key)
	switch {
	case errors.Is(err, bus.ErrNoMessage), reason == event.ReasonSpecChanged && was.Registered == registered && len(was.Parts) > 0:
		return event.PhaseRecord{}, 0, errBehind
	case err != nil:
		return event.PhaseRecord{}, 0, err
	}
	run := plan.Run{ID: nuid.Next(), Reason: reason, Approved: approved, Now: r.clock.Now().UTC()}
	rec := run.Record(was, d, registered)
	if revision, err = r.phases.Put(ctx, key, rec, revision); err != nil {
		return event.PhaseRecord{}, 0, fmt.Errorf("beginning a run: %w", err)
	}
	r.metrics.runs.WithLabelValues(reason).Inc()
	r.log.Info("run begun", "destination", k.String(), "run", rec.Run, "reason", reason, "phase", rec.Phase, "parts", rec.Parts)
	return rec, revision, nil
}
