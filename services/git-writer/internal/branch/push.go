package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/outcome"
)

const (
	// stopWait bounds the last push.
	stopWait = 3 * time.Second
	// pushWait bounds any other: a remote that talks all the time and never ends
	// is one that does not answer. A hook that needs longer than this would hold
	// up its users' own pushes too.
	pushWait = 10 * time.Minute
)

// bring builds the commits of a batch and brings them to the remote, once it is time. A
// stop lets one that is under way end, within its bound.
func (s *session) bring(ctx context.Context, b *batch) error {
	begun, err := s.await(ctx)
	if err != nil {
		return err
	}
	pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWait, cancel) })()
	s.show(func(sn *Snapshot) { sn.Pushing = time.Now() })
	defer s.show(func(sn *Snapshot) { sn.Pushing = time.Time{} })
	if err = s.stopped(b.Commits); err == nil {
		err = s.build(pctx, b)
	}
	if commits, _ := s.repo.Pending(); err != nil || commits == 0 {
		s.Pace.give(begun)
	}
	if err == nil {
		err = s.push(pctx, b.Commits)
	}
	if errors.Is(err, context.DeadlineExceeded) && pctx.Err() != nil {
		return fmt.Errorf("bringing %d commits to the remote had not ended after %s: %w", len(b.Commits), pushWait, err)
	}
	return err
}

// push brings everything that was built to the remote, in one push, and keeps
// how far that goes.
//
// A crash before the remote branch moved leaves nothing: the changes are still
// in KS_WRITE behind the position. After it, the commits on the remote say that
// they were taken, and what is held; the hint is only a shorter way to them.
func (s *session) push(ctx context.Context, built []ledger.Commit[write]) error {
	if commits, _ := s.repo.Pending(); commits > 0 {
		begun := time.Now()
		result, err := s.land(ctx)
		if err != nil {
			s.Metrics.Pushes.WithLabelValues("failed").Inc()
			return err
		}
		took := time.Since(begun)
		s.Metrics.count(s.tally)
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
		for _, g := range built { // each of one destination
			if s.admitted[g.Writes[0].destination.Key].DryRun {
				continue
			}
			s.dirty[g.Writes[0].destination.Key] = landed{commit: result.Tip.String(), subject: s.subject, at: now}
		}
	}
	if err := s.note(ctx, s.consumed, s.held); err != nil {
		return err
	}
	s.Metrics.count(s.tally) // of a batch without commits
	s.flushStatus(ctx, false)
	return nil
}

// land pushes until the remote has everything, setting aside single changes that
// the remote's tree has no room for.
func (s *session) land(ctx context.Context) (repo.Result, error) {
	for {
		result, err := s.repo.Push(ctx)
		s.others = s.others || result.Rebuilt > 0
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
			switch {
			case !ok: // the marker: somebody else has taken the folder
				return result, errReconfigured
			case !taken.Blob.IsZero():
				s.Log.Warn("a file was changed in Git, and is looked into before the cluster's replaces it", "branch", s.Branch, "path", w.path)
				return result, errReconfigured
			}
			if err := s.deadLetter(ctx, w.write, taken); err != nil {
				return result, err
			}
			if !s.repo.Skip(taken.Position, taken.Path) {
				return result, err
			}
			s.uncount(taken.Position, w)
		default:
			return result, err
		}
	}
}

// uncount takes a write back that was committed, and its commit where nothing else is in it.
func (s *session) uncount(position uint64, w flight) {
	delete(s.inFlight, placed{position, w.path})
	s.tally.add(outcome.Committed, w.Origin, -1)
	for _, other := range s.inFlight {
		if other.commit == w.commit {
			return
		}
	}
	s.tally.commits[w.Origin]--
}
