package stream

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// heldEvery is how often what is held back is counted.
	heldEvery = time.Second
)

// record is a destination's entry in KS_PHASE, from the leader; empty if there is
// none.
func (s *Stream) record(ctx context.Context, k event.DestinationKey) (event.PhaseRecord, error) {
	rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(k))
	if errors.Is(err, bus.ErrNoMessage) {
		return rec, nil
	}
	return rec, err
}

// show writes to KS_PHASE what a state means, unless it stands there already or the
// reconciler has begun another run in the meantime.
func (s *Stream) show(ctx context.Context, k event.DestinationKey, st phase.State, cursor uint64) error {
	if st.Epoch == (phase.Epoch{}) {
		return nil
	}
	return s.change(ctx, k, st.Epoch, func(rec *event.PhaseRecord) error {
		m := s.memory(k)
		if rec.Phase != st.Phase() {
			rec.Since = time.Now().UTC()
		}
		rec.Phase, rec.Owner = st.Phase(), s.owner
		if !st.Holds() {
			rec.Counts.Held = 0
		}
		if m.counts != (event.Counts{}) {
			rec.Counts.Forwarded += m.counts.Forwarded
			rec.Counts.Suppressed += m.counts.Suppressed
			rec.Counts.Pruned += m.counts.Pruned
		}
		rec.Cursor = max(rec.Cursor, cursor)
		if !st.Closed || !rec.Closed.IsZero() {
			return nil
		}
		rec.Closed, rec.Overrun = time.Now().UTC(), uint64(st.Late)
		if !st.Settled {
			return nil // what a run found before is to be done yet, or approved
		}
		rec.Settled, rec.Outcome = rec.Closed, nil
		end, err := s.bus.SeriesEnd(ctx, series(k, st, subject.SideRun))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		rec.Outcome = end.Outcome
		return nil
	})
}

// change writes a record that is of an epoch, and says when its phase became
// another.
func (s *Stream) change(ctx context.Context, k event.DestinationKey, of phase.Epoch, f func(*event.PhaseRecord) error) error {
	key := subject.DestinationToken(k)
	for {
		// From the leader: a replica that lags shows the run before, and this
		// one would be left at its phase.
		rec, rev, err := s.phases.Newest(ctx, key)
		if errors.Is(err, bus.ErrNoMessage) {
			return nil // the destination is being removed
		}
		if err != nil {
			return err
		}
		if phase.RunOf(rec).Epoch != of {
			return nil
		}
		was := rec
		if err := f(&rec); err != nil {
			return err
		}
		if same(was, rec) {
			return nil
		}
		if _, err = s.phases.Put(ctx, key, rec, rev); errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		if m := s.known[k]; m != nil {
			m.counts = event.Counts{}
		}
		if was.Phase != rec.Phase {
			s.log.Info("phase changed", "destination", k.String(), "phase", rec.Phase, "run", rec.Run)
		}
		if was.Running() && !rec.Running() {
			s.log.Info("run closed", "destination", k.String(), "run", rec.Run, "attempt", rec.Attempt, "late", rec.Overrun)
		}
		return nil
	}
}

// same compares what is shown, but for the cursor and the counts: they go with
// what is worth showing.
func same(a, b event.PhaseRecord) bool {
	return a.Phase == b.Phase && a.Owner == b.Owner && a.Closed.Equal(b.Closed) && a.Counts.Held == b.Counts.Held
}

// countHeld tells how much is held back, for as long as it is: in the metrics each
// time, in KS_PHASE, whose history is for the phases, when it has doubled.
func (s *Stream) countHeld(ctx context.Context) {
	shown := map[event.DestinationKey]uint64{}
	for fault.Wait(ctx, heldEvery) == nil {
		s.mu.Lock()
		held := maps.Clone(s.held)
		s.mu.Unlock()
		for k, cursor := range held {
			n, err := s.bus.Waiting(ctx, subject.Live, subject.LiveDestination(k), cursor)
			if err != nil {
				s.log.Debug("what is held back was not counted", "destination", k.String(), "err", err)
				continue
			}
			s.mu.Lock()
			_, still := s.held[k]
			if still {
				s.metrics.held.WithLabelValues(k.String()).Set(float64(n))
			}
			s.mu.Unlock()
			if still && n >= 2*shown[k] && n > 0 {
				shown[k] = n
				s.showHeld(ctx, k, n)
			}
		}
		maps.DeleteFunc(shown, func(k event.DestinationKey, _ uint64) bool { _, still := held[k]; return !still })
	}
}

// showHeld puts the count into KS_PHASE; failing that, the next one does.
func (s *Stream) showHeld(ctx context.Context, k event.DestinationKey, n uint64) {
	key := subject.DestinationToken(k)
	rec, rev, err := s.phases.Newest(ctx, key)
	if err == nil && rec.Running() {
		rec.Counts.Held = n
		_, err = s.phases.Put(ctx, key, rec, rev)
	}
	if err != nil {
		s.log.Debug("what is held back was not shown", "destination", k.String(), "err", err)
	}
}
