package branch

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// statusEvery bounds how often a destination's status is written.
const statusEvery = time.Second

// Why a destination is stalled: one word for machines beside the sentence for
// people.
const (
	ReasonAuthentication = "AuthenticationFailed"
	ReasonForbidden      = "AccessDenied"
	ReasonNotFound       = "RepositoryNotFound"
	ReasonRefused        = "PushRefused"
	ReasonUnreachable    = "RemoteUnreachable"
	ReasonBadURL         = "InvalidURL"
	ReasonOther          = "Failed"
)

// remedy is what a person can do about an error, "" if waiting is all.
func remedy(err error) string {
	switch {
	case errors.Is(err, repo.ErrAuth):
		return "check the user and password: KUBESCRIBE_GIT_USERNAME with KUBESCRIBE_GIT_PASSWORD_FILE, else what git credential fill knows for this URL, else the SSH agent"
	case errors.Is(err, repo.ErrForbidden):
		return "let this user write to the repository"
	case errors.Is(err, repo.ErrNotFound):
		return "create the repository, or check its URL and that this user may see it"
	case errors.Is(err, repo.ErrRefused):
		return "let this user push to the branch, or name another branch"
	case errors.Is(err, repo.ErrUnreachable) && strings.Contains(err.Error(), "x509:"):
		return "let SSL_CERT_FILE name a file with the authority that signed the remote's certificate"
	case errors.Is(err, repo.ErrUnreachable) && strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "the remote speaks plain http: check the URL"
	}
	return ""
}

func reason(err error) string {
	for _, r := range []struct {
		is   error
		word string
	}{
		{repo.ErrAuth, ReasonAuthentication},
		{repo.ErrForbidden, ReasonForbidden},
		{repo.ErrNotFound, ReasonNotFound},
		{repo.ErrRefused, ReasonRefused},
		{repo.ErrBadURL, ReasonBadURL},
		{repo.ErrUnreachable, ReasonUnreachable},
	} {
		if errors.Is(err, r.is) {
			return r.word
		}
	}
	return ReasonOther
}

// push brings everything that was built to the remote, in one push, and keeps
// how far that goes. A stop lets a push that is under way end, within its bound.
//
// A crash before the remote branch moved leaves nothing: the changes are still
// in KS_WRITE behind the position. After it, the commits on the remote say that
// they were taken; the hint is only a shorter way to them.
func (s *session) push(ctx context.Context, batch []write) error {
	pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWait, cancel) })()
	commits, _ := s.repo.Pending()
	if commits > 0 {
		begun := time.Now()
		result, err := s.land(pctx)
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
			s.Log.Error("history of the branch was rewritten while writing to it, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch)
			if err := s.rewritten(ctx); err != nil {
				return result, err
			}
		case errors.As(err, &taken):
			w, ok := s.inFlight[placed{taken.Position, taken.Path}]
			if !ok {
				return result, errReconfigured // the marker: somebody else has taken the folder
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

// conflict sets aside the change of a group whose path is taken, and commits the
// rest.
func (s *session) conflict(ctx context.Context, g []write, taken *repo.PathConflictError) error {
	for i, w := range g {
		if w.path() != taken.Path {
			continue
		}
		if err := s.deadLetter(ctx, w, taken); err != nil {
			return err
		}
		rest := append(append([]write{}, g[:i]...), g[i+1:]...)
		if len(rest) == 0 {
			return nil
		}
		return s.commit(ctx, rest)
	}
	return errReconfigured // the marker: somebody else has taken the folder
}

func (s *session) deadLetter(ctx context.Context, w write, why error) error {
	s.Log.Error("change cannot be written, sent to the dead letters", "resource", w.Object.String(),
		"destination", w.destination.Key.String(), "seq", w.msg.Seq, "err", why)
	s.Metrics.Changes.WithLabelValues("dead_lettered").Inc()
	return s.Bus.DeadLetter(ctx, "git-writer", w.destination.Key, subject.Write, w.msg, why)
}

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
