package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
)

const (
	// stopWait bounds the last push.
	stopWait = 3 * time.Second
	// pushWait bounds any other: a remote that talks all the time and never ends
	// is one that does not answer. A hook that needs longer than this would hold
	// up its users' own pushes too.
	pushWait = 10 * time.Minute
)

// push brings everything that was built to the remote, in one push, and keeps
// how far that goes. A stop lets a push that is under way end, within its bound.
//
// A crash before the remote branch moved leaves nothing: the changes are still
// in KS_WRITE behind the position. After it, the commits on the remote say that
// they were taken; the hint is only a shorter way to them.
func (s *session) push(ctx context.Context, batch []write) error {
	pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWait, cancel) })()
	commits, _ := s.repo.Pending()
	if commits > 0 {
		begun := time.Now()
		s.show(func(sn *Snapshot) { sn.Pushing = begun })
		result, err := s.land(pctx)
		s.show(func(sn *Snapshot) { sn.Pushing = time.Time{} })
		if errors.Is(err, context.DeadlineExceeded) && pctx.Err() != nil {
			err = fmt.Errorf("a push of %d commits had not ended after %s: %w", commits, pushWait, err)
		}
		if err != nil {
			s.Metrics.Pushes.WithLabelValues("failed").Inc()
			return err
		}
		took := time.Since(begun)
		s.Metrics.Pushes.WithLabelValues("landed").Inc()
		s.Metrics.PushSeconds.Observe(took.Seconds())
		s.Log.Info("pushed", "url", repo.Redact(s.URL), "branch", s.Branch, "commit", result.Tip.String(),
			"commits", commits, "subject", s.subject, "took", took.Round(time.Millisecond).String())
		for _, path := range result.Replaced {
			s.Log.Warn("a change made in Git was replaced by the cluster's", "branch", s.Branch, "path", path)
		}
		now := time.Now().UTC()
		s.show(func(sn *Snapshot) {
			sn.Commit, sn.Subject, sn.Pushed, sn.Why = result.Tip.String(), s.subject, now, nil
		})
		for _, w := range batch {
			s.dirty[w.destination.Key] = event.Status{
				V: event.Version, Commit: result.Tip.String(), Subject: s.subject, Pushed: now, Position: s.consumed,
			}
		}
	}
	if err := s.note(pctx, s.consumed); err != nil {
		return err
	}
	s.flushStatus(pctx, false)
	return nil
}

// land pushes until the remote has everything, setting aside single changes that
// the remote's tree has no room for.
func (s *session) land(ctx context.Context) (repo.Result, error) {
	for {
		result, err := s.repo.Push(ctx)
		var taken *repo.PathConflictError
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, repo.ErrHistoryRewritten):
			// Whose the folders are, and from where to go on, is to be read from
			// what the branch holds now.
			return result, errRewritten
		case errors.As(err, &taken):
			w, ok := s.inFlight[placed{taken.Position, taken.Path}]
			if !ok || w.Origin == event.Reconcile {
				// The marker, and somebody else has taken the folder; or a file that
				// a run saw otherwise: it is looked into before it is replaced.
				return result, errReconfigured
			}
			if err := s.deadLetter(ctx, w, taken); err != nil {
				return result, err
			}
			if !s.repo.Skip(taken.Position, taken.Path) {
				return result, err
			}
		default:
			return result, err
		}
	}
}
