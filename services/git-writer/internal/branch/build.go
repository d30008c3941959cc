package branch

import (
	"context"
	"errors"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// commit builds commits of a batch, in order.
func (s *session) commit(ctx context.Context, batch []write) error {
	for _, g := range group(batch) {
		for _, w := range g {
			s.inFlight[placed{g[len(g)-1].msg.Seq, w.path()}] = w
		}
		a := s.admitted[g[0].destination.Key]
		changed, err := s.repo.Commit(s.remember(commit(g, a.mark(), s.Bus.Install.Incarnation)))
		var taken *repo.PathConflictError
		switch {
		case errors.As(err, &taken):
			if err := s.conflict(ctx, g, taken); err != nil {
				return err
			}
		case err != nil:
			return err
		case changed:
			s.Metrics.Commits.WithLabelValues(string(g[0].Origin)).Inc()
			s.Metrics.Changes.WithLabelValues("committed").Add(float64(len(g)))
		default:
			s.Metrics.Changes.WithLabelValues("unchanged").Add(float64(len(g)))
		}
	}
	return nil
}

// remember keeps a commit's subject for those who look.
func (s *session) remember(c repo.Commit) repo.Commit {
	words := c.Message
	c.Message = func(changes []repo.Change) string {
		m := words(changes)
		s.subject, _, _ = strings.Cut(m, "\n")
		return m
	}
	return c
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
