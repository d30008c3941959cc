package reconciler

import (
	"context"
	"errors"

	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// requested begins a run because somebody asked for it, or keeps in KS_PHASE that
// it is to begin. It works on the bus alone: the manager sees what it writes.
//
// A crash behind the write, before the request is acknowledged, has the request
// come again: another run is queued behind the one that it began, which is one
// more than asked for and otherwise harmless.
func (r *Reconciler) requested(ctx context.Context, q event.Request) error {
	if err := plan.Askable(q.Reason); err != nil {
		return fault.As(fault.Poison, err)
	}
	key := subject.DestinationToken(q.Destination)
	var backoff fault.Backoff
	for {
		_, registered, err := r.destinations.Newest(ctx, key)
		if errors.Is(err, bus.ErrNoMessage) {
			return nil // it has left since: nothing to reconcile
		}
		if err != nil {
			return err
		}
		rec, revision, err := r.phases.Newest(ctx, key)
		exists := err == nil
		if errors.Is(err, bus.ErrNoMessage) {
			err = nil
		}
		if err != nil {
			return err
		}
		a := plan.Requested(rec, exists, registered, q)
		switch a.Verdict {
		case plan.Drop:
			r.log.Warn("request for a run dropped", "destination", q.Destination.String(), "reason", q.Reason, "approved", q.Approved, "because", a.Reason)
			return nil
		case plan.Start:
			_, _, err = r.begin(ctx, q.Destination, rec, revision, a.Reason, a.Approved)
		case plan.Queue:
			if a.Record.Next != rec.Next || a.Record.Approved != rec.Approved {
				_, err = r.phases.Put(ctx, key, a.Record, revision)
			}
			if err == nil {
				r.log.Info("run queued", "destination", q.Destination.String(), "reason", a.Reason, "behind", rec.Run)
			}
		}
		if !errors.Is(err, bus.ErrConflict) && !errors.Is(err, errBehind) {
			return err
		}
		if werr := fault.Wait(ctx, backoff.Next()); werr != nil {
			return errors.Join(err, werr)
		}
	}
}
