package branch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// relieve gives up the oldest of what waits for a branch that cannot move, where KS_WRITE
// is so full that it would stop everybody else. A branch that moves gives up nothing,
// however slow it is.
//
// What is given up stands in the hint, in the same write as the position behind it. A crash
// before that leaves everything as it was; after it, who comes next shows it, and asks for
// the runs that mend it. Only then does the janitor find that anything may go.
func (w *Worker) relieve(ctx context.Context) error {
	if err := w.recall(ctx); err != nil {
		return err
	}
	s, err := w.Bus.Surplus(ctx, subject.Write, subject.WriteBranch(w.BranchKey), w.hint.Position)
	if err != nil {
		return err
	}
	if s.Messages > 0 {
		if err := w.cut(ctx, s); err != nil {
			return err
		}
	}
	return w.park(ctx)
}

// cut moves the position of the branch past what is given up.
func (w *Worker) cut(ctx context.Context, s bus.Surplus) error {
	next := w.hint
	c := event.Cut{After: w.hint.Position, Until: s.Until, Found: time.Now().UTC(), Missing: map[string]uint64{}}
	if was := w.hint.Cut; was != nil {
		c.After, c.Missing = was.After, maps.Clone(was.Missing)
	}
	for subj, n := range s.Changes {
		_, k, err := subject.ParseWriteData(subj)
		if err != nil {
			return err
		}
		c.Missing[k.String()] += n
	}
	for _, seq := range w.hint.Held { // it would keep all that is behind it
		m, err := w.Bus.MessageAt(ctx, subject.Write, seq)
		if errors.Is(err, bus.ErrNoMessage) {
			continue
		}
		if err != nil {
			return err
		}
		if _, k, err := subject.ParseWriteData(m.Subject); err == nil {
			c.Missing[k.String()]++
		}
	}
	m, err := w.Bus.MessageAt(ctx, subject.Write, s.Until)
	if err != nil {
		return fmt.Errorf("reading the last change that gives way: %w", err)
	}
	next.V, next.Position, next.ID, next.Stored, next.Writer, next.Held, next.Cut = event.Version, s.Until, m.ID(), m.Time, w.writer(m), nil, &c
	if w.hintRev, err = w.Hints.Put(ctx, subject.HintKey(w.BranchKey), next, w.hintRev); err != nil {
		return fmt.Errorf("giving up what branch %s has no room for: %w", w.Branch, err)
	}
	w.hint, w.reached = next, s.Until
	w.Log.Error("KS_WRITE has no room for what waits for the branch, its oldest changes are given up", "url", repo.Redact(w.URL), "branch", w.Branch,
		"after", c.After, "until", c.Until, "changes", s.Changed())
	w.Metrics.Changes.WithLabelValues(string(outcome.Cut), string(event.Live)).Add(float64(s.Changed()))
	return nil
}

// park shows what was given up, as PARKED and a gap in KS_PHASE, unless it stands there.
func (w *Worker) park(ctx context.Context) error {
	if w.hint.Cut == nil {
		return nil
	}
	for name := range w.hint.Cut.Missing {
		k, err := event.ParseDestinationKey(name)
		if err != nil {
			return err
		}
		if err := w.parkOne(ctx, k, w.hint.Cut.Gap(subject.Write, k)); err != nil {
			return fmt.Errorf("showing that %s is parked: %w", k, err)
		}
	}
	return nil
}

func (w *Worker) parkOne(ctx context.Context, k event.DestinationKey, gap event.Gap) error {
	for {
		rec, rev, err := w.Phases.Newest(ctx, subject.DestinationToken(k))
		switch {
		case errors.Is(err, bus.ErrNoMessage):
			return nil // it is being removed
		case err != nil:
			return err
		case rec.Gap != nil && rec.Gap.Stream == gap.Stream && rec.Gap.Until == gap.Until:
			return nil // shown before; a run may have ended the phase since
		}
		if rec.Phase != event.Parked {
			rec.Since = gap.Found
		}
		rec.Phase, rec.Gap = event.Parked, &gap
		if _, err := w.Phases.Put(ctx, subject.DestinationToken(k), rec, rev); !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// mend asks, now that the remote is reached, for the runs of those from whom something was
// cut. A crash before the hint is written without it asks for them again.
func (s *session) mend(ctx context.Context) error {
	if s.hint.Cut == nil {
		return nil
	}
	if err := s.park(ctx); err != nil {
		return err
	}
	for name := range s.hint.Cut.Missing {
		k, err := event.ParseDestinationKey(name)
		if err != nil {
			return err
		}
		if err := s.askOf(ctx, k, event.ReasonHistoryGap); err != nil {
			return err
		}
	}
	return nil
}
