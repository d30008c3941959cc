package branch

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// statusEvery bounds how often a destination's status is written.
const statusEvery = time.Second

// lastStatusWait bounds the last one: what it tells is shown, and decides nothing.
const lastStatusWait = 250 * time.Millisecond

// flushStatus writes the statuses that changed, at a bounded rate.
func (s *session) flushStatus(ctx context.Context, now bool) {
	if len(s.dirty) == 0 || (!now && time.Since(s.statusAt) < statusEvery) {
		return
	}
	s.statusAt = time.Now()
	for k, next := range s.dirty {
		s.tell(ctx, k, func(st *event.Status) { *st = next })
		delete(s.dirty, k)
	}
}

// lastStatus writes the statuses that a session leaves behind.
func (s *session) lastStatus(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastStatusWait)
	defer cancel()
	s.flushStatus(ctx, true)
}

// tell changes what a destination's status shows; failing that, nothing is lost.
func (w *Worker) tell(ctx context.Context, k event.DestinationKey, change func(*event.Status)) {
	if err := w.status(ctx, k, change); err != nil {
		w.Log.Debug("status not written", "destination", k.String(), "err", err)
	}
}

// status changes a destination's entry in KS_STATUS.
func (w *Worker) status(ctx context.Context, k event.DestinationKey, change func(*event.Status)) error {
	key := subject.DestinationToken(k)
	for {
		st, rev, err := w.Statuses.Get(ctx, key)
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		was := st
		st.V = event.Version
		change(&st)
		if st == was || (st.Stalled != nil && was.Stalled != nil && *st.Stalled == *was.Stalled) {
			return nil
		}
		if _, err = w.Statuses.Put(ctx, key, st, rev); !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// stalled keeps since when a reason has held.
func stalled(was *event.Stalled, reason, message string) *event.Stalled {
	next := &event.Stalled{Reason: reason, Message: message, Since: time.Now().UTC()}
	if was != nil && was.Reason == reason {
		next.Since = was.Since
	}
	return next
}
