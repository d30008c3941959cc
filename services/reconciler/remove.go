package reconciler

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// remove removes whatever is left of a destination that has left the registry.
// errBehind if it is back.
//
// One of the same key may register at any moment, so it is looked for, at the
// registry's leader, after it was read how far the streams reach: what is removed
// was there before it. A crash leaves the key of KS_PHASE, which goes last, and by
// which the next process begins again.
func (r *Reconciler) remove(ctx context.Context, k event.DestinationKey) error {
	key := subject.DestinationToken(k)
	reach := map[string]uint64{}
	for _, stream := range []string{subject.Snap, subject.Ctl, subject.Events, subject.Live, subject.Write} {
		last, err := r.bus.LastSeq(ctx, stream)
		if err != nil {
			return err
		}
		reach[stream] = last + 1
	}
	rec, phaseRev, err := newest(ctx, r.phases, key)
	if err != nil {
		return err
	}
	_, statusRev, err := newest(ctx, r.statuses, key)
	if err != nil {
		return err
	}
	if _, _, err := r.destinations.Newest(ctx, key); !errors.Is(err, bus.ErrNoMessage) {
		if err == nil {
			err = errBehind
		}
		return err
	}
	left := []struct{ stream, filter string }{
		{subject.Snap, subject.SnapDestination(k)},
		{subject.Ctl, subject.CtlRun(k)},
		{subject.Ctl, subject.CtlRunsBehind(k)},
		{subject.Ctl, subject.CtlObjectsOf(k)},
		{subject.Live, subject.LiveDestination(k)},
		{subject.Write, subject.WriteDestination(k)},
	}
	if rec.Run != "" {
		left = append(left, struct{ stream, filter string }{subject.Ctl, subject.CtlOfRun(k.Cluster, rec.Run)})
	}
	for part := range subject.Parts { // the router's cursors must not go with what it routed there
		if err := r.removeMarks(ctx, part, k, reach[subject.Events]); err != nil {
			return err
		}
		if err := r.bus.MoveCursor(ctx, subject.Live, subject.LivePart(part), subject.LiveCheckpoint(part), subject.LiveData(part, k)); err != nil {
			return err
		}
	}
	for _, l := range left {
		if err := r.bus.Purge(ctx, l.stream, l.filter, reach[l.stream]); err != nil {
			return err
		}
	}
	if statusRev > 0 {
		if err := r.statuses.Remove(ctx, key, statusRev); err != nil {
			return err
		}
	}
	if phaseRev > 0 {
		if err := r.phases.Remove(ctx, key, phaseRev); err != nil {
			return err
		}
	}
	r.log.Info("destination removed", "destination", k.String())
	return nil
}

// removeMarks removes a destination's MARKs from a lane, but for the one, if any, at the
// router's cursor, and what is behind it: by that message the router knows that nothing was
// cut. The janitor removes it once the cursor has moved on.
func (r *Reconciler) removeMarks(ctx context.Context, part int, k event.DestinationKey, before uint64) error {
	marks := subject.EventMark(part, k.Cluster, k)
	_, c, err := r.bus.Checkpoint(ctx, subject.Live, subject.LivePart(part))
	if err != nil {
		return err
	}
	switch m, err := r.bus.MessageAt(ctx, subject.Events, max(c.Seq, 1)); {
	case err == nil && m.Subject == marks && c.Seq > 0:
		before = min(before, c.Seq)
	case err != nil && !errors.Is(err, bus.ErrNoMessage):
		return err
	}
	if before < 2 {
		return nil
	}
	return r.bus.Purge(ctx, subject.Events, marks, before)
}

// tidy removes the series of a destination whose newest run has closed, and what
// was asked for and never carried out. bus.ErrConflict if another run has begun.
//
// What it removes was there before it was read, from the leader, that no run is
// under way: it is of that run, of one before, or of somebody who answers late. A
// crash leaves it, for the next process to remove.
func (r *Reconciler) tidy(ctx context.Context, k event.DestinationKey, run string) (upTo uint64, err error) {
	last, err := r.bus.LastSeq(ctx, subject.Snap)
	if err != nil {
		return 0, err
	}
	rec, _, err := newest(ctx, r.phases, subject.DestinationToken(k))
	if err != nil {
		return 0, err
	}
	if rec.Run != run || rec.Running() {
		return 0, fmt.Errorf("tidying behind run %s: %w", run, bus.ErrConflict)
	}
	if err := r.bus.Purge(ctx, subject.Snap, subject.SnapDestination(k), last+1); err != nil {
		return 0, err
	}
	return last, r.bus.Purge(ctx, subject.Ctl, subject.CtlOfRun(k.Cluster, run), 0)
}

// newest reads a key from the leader; revision 0 if there is none.
func newest[R event.Record](ctx context.Context, b *bus.Bucket[R], key string) (rec R, revision uint64, err error) {
	rec, revision, err = b.Newest(ctx, key)
	if errors.Is(err, bus.ErrNoMessage) {
		return rec, 0, nil
	}
	return rec, revision, err
}
