package branch

import (
	"context"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// commit builds commits of a batch, in order.
func (s *session) commit(ctx context.Context, batch []write) error {
	for _, g := range group(batch) {
		origin := g[0].Origin
		g, err := s.spare(ctx, g)
		if err != nil {
			return err
		}
		if len(g) == 0 {
			continue
		}
		for _, w := range g {
			s.inFlight[placed{g[len(g)-1].msg.Seq, w.path}] = w
		}
		a := s.admitted[g[0].destination.Key]
		changed, err := s.repo.Commit(s.remember(commit(g, a.mark(), s.Bus.Install.Incarnation)))
		var taken *repo.PathConflictError
		switch {
		case errors.As(err, &taken):
			if err := s.conflict(ctx, g, taken); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case changed:
			s.Metrics.Commits.WithLabelValues(string(origin)).Inc()
			s.tally("committed", origin, len(g))
		default:
			s.tally("unchanged", origin, len(g))
		}
		for _, w := range g {
			if !w.blob.IsZero() {
				s.seen.put(w.blob, file.Contents{Resources: 1}) // no need to read what we wrote
			}
		}
	}
	return nil
}

// spare leaves out what a run would write over a file that holds several
// resources: only a person can say what is to become of the others. The files are
// those at the head; op sees to it that what is written over is them.
func (s *session) spare(ctx context.Context, g []write) ([]write, error) {
	if g[0].Origin != event.Reconcile {
		return g, nil
	}
	paths := make([]string, len(g))
	for i, w := range g {
		paths[i] = w.path
	}
	stand, err := s.repo.Files(paths)
	if err != nil {
		return nil, err
	}
	var look []plumbing.Hash
	for _, w := range g {
		if blob, ok := stand[w.path]; ok && blob != w.blob {
			look = append(look, blob)
		}
	}
	holds, err := s.contents(ctx, look)
	if err != nil {
		return nil, err
	}
	kept := make([]write, 0, len(g))
	for _, w := range g {
		w.stood = stand[w.path]
		if holds[w.stood].Resources > 1 {
			s.Log.Warn("a file that holds several resources is left as it is", "destination", w.destination.Key.String(),
				"branch", s.Branch, "path", w.path, "run", w.Run)
			s.tally("foreign", w.Origin, 1)
			continue
		}
		kept = append(kept, w)
	}
	return kept, nil
}

// tally counts what became of changes.
func (s *session) tally(outcome string, origin event.Origin, n int) {
	s.Metrics.Changes.WithLabelValues(outcome, string(origin)).Add(float64(n))
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
		if w.path != taken.Path {
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
	s.Log.Error("change cannot be written, sent to the dead letters", "path", w.path,
		"destination", w.destination.Key.String(), "seq", w.msg.Seq, "err", why)
	s.tally("dead_lettered", w.Origin, 1)
	whole, err := s.Bus.MessageAt(ctx, subject.Write, w.msg.Seq)
	if err != nil {
		return err
	}
	return s.Bus.DeadLetter(ctx, "git-writer", w.destination.Key, subject.Write, whole, why)
}
