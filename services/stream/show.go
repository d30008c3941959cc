package stream

import (
	"context"
	"errors"
	"maps"
	"math/bits"
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
	// stopWait bounds what a stopping stream may still show.
	stopWait = time.Second
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

// show writes to KS_PHASE what a state means, unless it stands there already, or the
// reconciler has begun another run in the meantime, or another owner has closed this one: who
// was slow to show what it had stored must not show a phase that has ended.
func (s *shard) show(ctx context.Context, k event.DestinationKey, st phase.State, cursor uint64) error {
	if st.Epoch == (phase.Epoch{}) {
		return nil
	}
	shown, err := s.change(ctx, k, func(rec *event.PhaseRecord) (worth bool, err error) {
		if phase.RunOf(*rec).Epoch != st.Epoch || st.Behind(*rec) {
			return false, nil
		}
		was := *rec
		if next := phaseOf(*rec, st); rec.Phase != next {
			rec.Phase, rec.Since = next, time.Now().UTC()
		}
		rec.Owner, rec.From = s.owner, st.From
		if !st.Holds() {
			rec.Counts.Held = 0
		}
		s.count(k, rec)
		rec.Cursor = max(rec.Cursor, cursor)
		if !st.Closed || !rec.Closed.IsZero() {
			return !same(was, *rec), nil
		}
		rec.Closed, rec.Overrun = time.Now().UTC(), uint64(st.Late)
		if !st.Settled {
			return true, nil // what a run found before is to be done yet, or approved
		}
		rec.Outcome = nil
		end, err := s.bus.SeriesEnd(ctx, series(k, st, subject.SideRun))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return false, err
		}
		if rec.Outcome = end.Outcome; !rec.Continues() {
			rec.Settled = rec.Closed
		}
		return true, nil
	})
	if shown {
		delete(s.counts, k)
	}
	return err
}

// phaseOf is what a state means for an entry of KS_PHASE. That the git-writer had to give
// up a part of its backlog is none of the stream's: it lasts until a run begins that mends
// it.
func phaseOf(rec event.PhaseRecord, st phase.State) event.Phase {
	if rec.Phase == event.Parked && rec.Gap != nil && rec.Gap.Stream == subject.Write {
		return event.Parked
	}
	return st.Phase()
}

// counted is what was counted of a destination since it was last shown.
type counted struct {
	event.Counts
	since uint64 // the destination was registered: one that is made again begins anew
}

func (s *shard) counted(k event.DestinationKey) counted {
	d, _ := s.registry.Get(k)
	if n := s.counts[k]; n.since == d.Since() {
		return n
	}
	return counted{since: d.Since()}
}

// count adds what was counted since it was last shown.
func (s *shard) count(k event.DestinationKey, rec *event.PhaseRecord) {
	n := s.counted(k)
	rec.Counts.Forwarded += n.Forwarded
	rec.Counts.Suppressed += n.Suppressed
	rec.Counts.Pruned += n.Pruned
}

// showCounts shows, at a stop, what was counted since the last phase. After a crash
// KS_PHASE lacks it, and the metrics of that process had it.
func (s *shard) showCounts() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	for k := range s.counts {
		if _, err := s.change(ctx, k, func(rec *event.PhaseRecord) (bool, error) { s.count(k, rec); return true, nil }); err != nil {
			s.log.Warn("counts not shown at stop", "destination", k.String(), "err", err)
		}
	}
}

// change writes what f makes of a record, if f says that it is worth that, and says
// when its phase became another.
func (s *Stream) change(ctx context.Context, k event.DestinationKey, f func(*event.PhaseRecord) (bool, error)) (changed bool, err error) {
	key := subject.DestinationToken(k)
	for {
		// From the leader: a replica that lags shows the run before, and this
		// one would be left at its phase.
		rec, rev, err := s.phases.Newest(ctx, key)
		if errors.Is(err, bus.ErrNoMessage) {
			return false, nil // the destination is being removed
		}
		if err != nil {
			return false, err
		}
		was := rec
		if worth, err := f(&rec); err != nil || !worth {
			return false, err
		}
		if _, err = s.phases.Put(ctx, key, rec, rev); errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err != nil {
			return false, err
		}
		if was.Phase != rec.Phase {
			s.log.Info("phase changed", "destination", k.String(), "phase", rec.Phase, "run", rec.Run)
		}
		if was.Running() && !rec.Running() {
			s.log.Info("run closed", "destination", k.String(), "run", rec.Run, "attempt", rec.Attempt, "late", rec.Overrun)
		}
		return true, nil
	}
}

// same compares what is shown, but for the cursor and the counts: they go with
// what is worth showing.
func same(a, b event.PhaseRecord) bool {
	return a.Phase == b.Phase && a.Owner == b.Owner && a.Closed.Equal(b.Closed) && a.Counts.Held == b.Counts.Held && a.From == b.From
}

// countHeld tells how much is held back, for as long as it is: in the metrics each
// time, in KS_PHASE, whose history is for the phases, less and less often.
func (s *Stream) countHeld(ctx context.Context) {
	counted := map[event.DestinationKey]uint{} // how often it was, of those with something
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
			if !still || n == 0 {
				continue
			}
			if counted[k]++; showsHeld(counted[k]) {
				s.showHeld(ctx, k, n)
			}
		}
		maps.DeleteFunc(counted, func(k event.DestinationKey, _ uint) bool { _, still := held[k]; return !still })
	}
}

// showsHeld reports whether the n-th count goes into KS_PHASE: the first, the 4th, the
// 16th and so on are six entries within half an hour.
func showsHeld(n uint) bool { return bits.OnesCount(n) == 1 && bits.TrailingZeros(n)%2 == 0 }

// showHeld puts the count into KS_PHASE; failing that, the next one does.
func (s *Stream) showHeld(ctx context.Context, k event.DestinationKey, n uint64) {
	if _, err := s.change(ctx, k, func(rec *event.PhaseRecord) (bool, error) {
		another := rec.Running() && rec.Counts.Held != n
		rec.Counts.Held = n
		return another, nil
	}); err != nil {
		s.log.Debug("what is held back was not shown", "destination", k.String(), "err", err)
	}
}
