package branch

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// statusEvery bounds how often a destination's status is written while pushes follow
// each other.
const statusEvery = time.Second

// lastStatusWait bounds the last one: what it tells is shown, and decides nothing.
const lastStatusWait = 250 * time.Millisecond

// landed is what came of a destination's newest writes: the commit that holds them. The
// zero value is that of writes which made none.
type landed struct {
	commit, subject string
	at              time.Time
}

// touch has a destination's status show how far the branch has come.
func (s *session) touch(k event.DestinationKey) {
	_, admitted := s.admitted[k] // what others wanted to write was dropped
	if _, is := s.dirty[k]; admitted && !is {
		s.dirty[k] = landed{}
	}
}

// flushStatus writes the statuses that changed, at a bounded rate. One that cannot be
// written stays to be; a crash before it leaves it to the next session, which shows
// how far it finds the branch to be, beside the commit that was shown last.
func (s *session) flushStatus(ctx context.Context, now bool) {
	if len(s.dirty) == 0 || (!now && time.Since(s.statusAt) < statusEvery) {
		return
	}
	if !now {
		s.statusAt = time.Now()
	}
	ours := s.destinations()
	for k, l := range s.dirty {
		if _, is := ours[k]; is { // it has not left, or gone to another branch, since
			if !s.tell(ctx, k, func(st *event.Status) { l.show(st, s.reached) }) {
				continue
			}
		}
		delete(s.dirty, k)
	}
}

// show puts it into a status: everything up to a position is on the remote.
func (l landed) show(st *event.Status, position uint64) {
	st.Position = position
	if l.commit != "" {
		st.Commit, st.Subject, st.Pushed, st.Stalled = l.commit, l.subject, l.at, nil
	}
}

// lastStatus writes the statuses that a session leaves behind.
func (s *session) lastStatus(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastStatusWait)
	defer cancel()
	s.flushStatus(ctx, true)
}

// tell changes what a destination's status shows; failing that, nothing is lost.
func (w *Worker) tell(ctx context.Context, k event.DestinationKey, change func(*event.Status)) bool {
	err := w.status(ctx, k, change)
	if err != nil {
		w.Log.Debug("status not written", "destination", k.String(), "err", err)
	}
	return err == nil
}

// status changes a destination's entry in KS_STATUS. One that has just left may get one anew: the
// janitor removes it.
func (w *Worker) status(ctx context.Context, k event.DestinationKey, change func(*event.Status)) error {
	key := subject.DestinationToken(k)
	for {
		st, rev, err := w.Statuses.Newest(ctx, key)
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		was := st
		st.V = event.Version
		change(&st)
		if st.Stalled != nil && was.Stalled != nil && *st.Stalled == *was.Stalled {
			st.Stalled = was.Stalled
		}
		if st == was {
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
