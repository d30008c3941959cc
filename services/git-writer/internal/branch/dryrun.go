package branch

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
)

// A destination in DryRun is admitted, refused and read for as any other. Its commits are
// never handed to repo, so that nothing of theirs can be pushed: what they would be is shown.
//
// Positions are a branch's: what was taken for it counts as taken. Where it is to be written to
// again its spec has changed, and the run that begins with that finds all that Git lacks.

// mayPush finds out, where nothing else would, that pushes are not taken.
func (w *Worker) mayPush(ctx context.Context, b *repo.Branch) error {
	for _, d := range w.destinations() {
		if d.DryRun {
			return b.MayPush(ctx)
		}
	}
	return nil
}

// anyWrites is whether some destination is written to.
func anyWrites(all map[event.DestinationKey]bus.Registered) bool {
	for _, d := range all {
		if !d.DryRun {
			return true
		}
	}
	return false
}

// rehearses has an admitted destination rehearsed, if it is in DryRun.
func (w *Worker) rehearses(d bus.Registered) {
	switch {
	case !d.DryRun:
		delete(w.rehearsals, d.Key)
	case w.rehearsals[d.Key] == nil:
		w.rehearsals[d.Key] = newRehearsal()
	}
}

// admittedStatus is what an admitted destination's status says.
func admittedStatus(st *event.Status, d bus.Registered) {
	st.Stalled = nil
	switch {
	case !d.DryRun:
		st.DryRun = nil
	case st.DryRun == nil:
		st.DryRun = &event.DryRun{Since: time.Now().UTC()}
	}
}

// planned is what would stand at the paths of writes, and what of it that is not in Git holds.
func (s *session) planned(writes []write, git map[string]plumbing.Hash) (stand map[string]plumbing.Hash, holds map[plumbing.Hash]file.Contents) {
	if len(s.rehearsals) == 0 {
		return git, nil
	}
	stand, holds = maps.Clone(git), map[plumbing.Hash]file.Contents{}
	for _, w := range writes {
		if r := s.rehearsals[w.destination.Key]; r != nil {
			r.over(w.path, git, stand, holds)
			r.over(w.twin, git, stand, holds)
		}
	}
	return stand, holds
}

// rehearse has a commit shown, if it would make a difference. What something is in the way of
// goes to the dead letters, as it would.
func (s *session) rehearse(ctx context.Context, g ledger.Commit[write]) (err error) {
	origin := g.Writes[0].Origin
	a := s.admitted[g.Writes[0].destination.Key]
	if err := s.stillOurs(a); err != nil {
		return err
	}
	if g.Writes, err = s.spare(ctx, g.Writes); err != nil {
		return err
	}
	if g.Writes, err = s.unobstructed(ctx, g.Writes); err != nil || len(g.Writes) == 0 {
		return err
	}
	c, r := s.newCommit(g, a), s.rehearsals[a.Key]
	changes := r.apply(c.Ops)
	if len(changes) == 0 {
		s.tally.add("unchanged", origin, len(g.Writes))
		return nil
	}
	s.tally.add(outcome.DryRun, origin, len(g.Writes))
	subject, _, _ := strings.Cut(c.Message(changes), "\n")
	r.news = with(r.news, wouldBe(c.Committer.When, subject, changes))
	return nil
}

// unobstructed is those writes that nothing on the remote, as it is now, is in the way of.
func (s *session) unobstructed(ctx context.Context, writes []write) (free []write, err error) {
	for _, w := range writes {
		var obstacles []error
		for _, op := range w.ops() {
			obstacles = append(obstacles, s.repo.Obstacle(op))
		}
		err := errors.Join(obstacles...)
		if err == nil {
			free = append(free, w)
			continue
		}
		if !errors.Is(err, repo.ErrPathConflict) {
			return nil, err
		}
		switch moved, lookErr := s.lookAnew(ctx); {
		case moved, errors.Is(lookErr, repo.ErrPathConflict): // that is of what others of the branch have built
			return nil, errReconfigured
		case lookErr != nil:
			return nil, lookErr
		}
		if err := s.deadLetter(ctx, w, err); err != nil {
			return nil, err
		}
	}
	return free, nil
}

// showRehearsed shows what would have been pushed, before the branch is past it: a crash
// in between leaves it to be read again, and shown once more.
func (s *session) showRehearsed(ctx context.Context) error {
	for k, r := range s.rehearsals {
		news := r.news
		if news.Commits == 0 {
			continue
		}
		err := s.status(ctx, k, func(st *event.Status) {
			if st.DryRun != nil {
				next := with(*st.DryRun, news)
				st.DryRun = &next
			}
		})
		if err != nil {
			return err
		}
		r.news = event.DryRun{}
		s.Log.Info("would push", "destination", k.String(), "branch", s.Branch, "commits", news.Commits, "files", news.Files,
			"subject", news.Newest[0].Subject, "changes", news.Newest[0].Changes)
	}
	return nil
}

// stopped ends the session where commits are about to be pushed for a destination that is in
// DryRun by now: the next one knows it.
func (s *session) stopped(commits []ledger.Commit[write]) error {
	for _, g := range commits {
		k := g.Writes[0].destination.Key
		if now, is := s.Registry.Get(k); is && now.DryRun && !s.admitted[k].DryRun {
			return errReconfigured
		}
	}
	return nil
}
