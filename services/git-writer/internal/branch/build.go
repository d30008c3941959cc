package branch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
)

// commit builds a commit, if it makes a difference.
func (s *session) commit(ctx context.Context, g ledger.Commit[write]) (err error) {
	origin := g.Writes[0].Origin
	g.Writes, err = s.spare(ctx, g.Writes)
	if err != nil || len(g.Writes) == 0 {
		return err
	}
	a := s.admitted[g.Writes[0].destination.Key]
	changed, err := s.repo.Commit(s.remember(s.newCommit(g, a)))
	var taken *repo.PathConflictError
	switch {
	case errors.As(err, &taken):
		return s.conflict(ctx, g, taken)
	case err != nil:
		return err
	case changed:
		s.made++
		for _, w := range g.Writes {
			s.inFlight[placed{g.Through, w.path}] = flight{w, s.made}
		}
		s.tally.commits[origin]++
		s.tally.add(outcome.Committed, origin, len(g.Writes))
	default:
		s.tally.add(outcome.Unchanged, origin, len(g.Writes))
	}
	for _, w := range g.Writes {
		if !w.blob.IsZero() {
			s.seen.put(w.blob, w.holds()) // no need to read what we wrote
		}
	}
	return nil
}

// build makes commits of a batch.
func (s *session) build(ctx context.Context, b *batch) error {
	clear(s.inFlight)
	s.looked = false
	s.show(func(sn *Snapshot) { sn.Pending = b.waiting() })
	var err error
	if s.sign, err = s.Sign(); err != nil {
		return err
	}
	writes := b.Writes()
	if err := s.prepare(ctx, writes); err != nil {
		return err
	}
	if err := s.keepFromLFS(ctx, writes); err != nil {
		return err
	}
	for _, g := range b.Commits {
		commit := s.commit
		if s.admitted[g.Writes[0].destination.Key].DryRun {
			commit = s.rehearse
		}
		if err := commit(ctx, g); err != nil {
			return err
		}
	}
	return s.showRehearsed(ctx)
}

// prepare looks at what stands where a batch writes: the files that are not known come
// in one fetch; most are what was written here, and known.
//
// Others may have pushed since the tip was seen that this is of. Where a push meets them,
// it finds out; what is not written, because of what stands there, meets nobody. So the
// remote is looked at anew: what is left as it is stood there when its write had come.
func (s *session) prepare(ctx context.Context, writes []write) error {
	stood, holds, err := s.look(ctx, writes)
	if err != nil || !leavesAny(writes, stood, holds) {
		return err
	}
	moved, err := s.lookAnew(ctx)
	if err != nil || !moved {
		return err
	}
	stand, holds, err := s.look(ctx, writes)
	if err != nil {
		return err
	}
	for _, w := range writes {
		w.found(stand, holds)
		if w.stood != stood[w.path] && !w.leaves(holds) {
			s.Log.Warn("a file was changed in Git, and the cluster's replaces it", "branch", s.Branch, "path", w.path)
		}
	}
	return nil
}

// lookAnew makes the remote's tip what the batch is built on, once: all of its writes
// had come by then.
func (s *session) lookAnew(ctx context.Context) (moved bool, err error) {
	if s.looked {
		return false, nil
	}
	tip := s.repo.Base()
	if err := s.refresh(ctx); err != nil {
		return false, err
	}
	s.looked = true
	return s.repo.Base() != tip, nil
}

// leavesAny is whether some write leaves a file as it is.
func leavesAny(writes []write, stand map[string]plumbing.Hash, holds map[plumbing.Hash]file.Contents) bool {
	return slices.ContainsFunc(writes, func(w write) bool {
		w.found(stand, holds)
		return w.leaves(holds)
	})
}

// spare leaves out what would be written over a file that holds several resources:
// only a person can say what is to become of the others; and what would remove a file
// that a run has seen otherwise: the next one decides. The files are those at the head;
// op sees to it that what is written over is them.
func (s *session) spare(ctx context.Context, g []write) ([]write, error) {
	stand, holds, err := s.look(ctx, g)
	if err != nil {
		return nil, err
	}
	kept := make([]write, 0, len(g))
	for _, w := range g {
		w.found(stand, holds)
		switch {
		case holds[w.stood].Resources > 1:
			s.leave(w, outcome.Foreign, "it holds several resources")
		case w.encryptedAlready(holds):
			s.tally.add(outcome.Unchanged, w.Origin, 1)
		case w.outdated(holds):
			s.leave(w, outcome.Outdated, "it was changed since the run looked at it: the next one decides")
		default:
			w.anew = anew(holds[w.stood], w.holds())
			if !w.clear.IsZero() && w.Op != event.Delete {
				w.anew = "encrypted from now on, and its file in clear is gone"
			}
			kept = append(kept, w)
		}
	}
	return kept, nil
}

// leave says of a write that it is none.
func (s *session) leave(w write, as outcome.Outcome, why string) {
	s.Log.Warn("a file is left as it is", "because", why, "destination", w.destination.Key.String(),
		"branch", s.Branch, "path", w.path, "origin", string(w.Origin), "run", w.Run)
	s.tally.add(as, w.Origin, 1)
}

// look is what stands at the head where the writes go, or would stand in DryRun, and what of it
// holds: but for what they leave as it is.
func (s *session) look(ctx context.Context, writes []write) (stand map[string]plumbing.Hash, holds map[plumbing.Hash]file.Contents, err error) {
	paths := make([]string, 0, len(writes))
	for _, w := range writes {
		paths = append(paths, w.path)
		if w.twin != "" {
			paths = append(paths, w.twin)
		}
	}
	git, err := s.repo.Files(paths)
	if err != nil {
		return nil, nil, err
	}
	stand, planned := s.planned(writes, git)
	var differ []plumbing.Hash
	for _, w := range writes {
		if blob, ok := stand[w.path]; ok && blob != w.blob {
			differ = append(differ, blob)
		}
		if blob, ok := stand[w.twin]; ok {
			differ = append(differ, blob)
		}
	}
	differ = slices.DeleteFunc(differ, func(blob plumbing.Hash) bool { _, is := planned[blob]; return is })
	holds, err = s.contents(ctx, differ)
	maps.Copy(holds, planned)
	return stand, holds, err
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

// conflict sets aside the changes of a group that something is in the way of, on the
// remote as it is now, and commits the rest.
func (s *session) conflict(ctx context.Context, g ledger.Commit[write], taken *repo.PathConflictError) error {
	if !slices.ContainsFunc(g.Writes, func(w write) bool { return w.path == taken.Path }) {
		return errReconfigured // the marker: somebody else has taken the folder
	}
	switch moved, err := s.lookAnew(ctx); {
	case errors.Is(err, repo.ErrPathConflict): // of what was built before it
		return errReconfigured
	case err != nil:
		return err
	case moved:
		return s.commit(ctx, g)
	}
	rest := make([]write, 0, len(g.Writes))
	for _, w := range g.Writes {
		if !w.blockedBy(taken) {
			rest = append(rest, w)
			continue
		}
		if err := s.deadLetter(ctx, w, taken); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	g.Writes = rest
	return s.commit(ctx, g)
}

func (s *session) deadLetter(ctx context.Context, w write, why error) error {
	s.Log.Error("change cannot be written, sent to the dead letters", "path", w.path,
		"destination", w.destination.Key.String(), "seq", w.msg.Seq, "err", why)
	s.countNow(outcome.DeadLettered, w.Origin)
	whole, err := s.record.at(ctx, w.msg.Seq)
	if err != nil {
		return err
	}
	return s.record.letter(ctx, w.destination.Key, whole, why)
}
