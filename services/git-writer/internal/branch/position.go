package branch

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// recall reads the hint: a commit that was pushed, and how far the branch had come.
func (w *Worker) recall(ctx context.Context) error {
	hint, rev, err := w.Hints.Get(ctx, subject.HintKey(w.BranchKey))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return err
	}
	w.hint, w.hintRev, w.reached = hint, rev, max(w.reached, hint.Position)
	return nil
}

// position is what the branch holds, and what up to there is held. Of its commits those
// are looked at that the hint's does not contain.
func (s *session) position(ctx context.Context) (position uint64, held []uint64, err error) {
	hint := s.hint
	newest, err := s.Bus.LastSeq(ctx, subject.Write)
	if err != nil {
		return 0, nil, err
	}
	stands, err := s.id(ctx, hint.Position)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return 0, nil, err
	}
	at := ledger.Position{Hint: hint.Position, Held: hint.Held, Other: err == nil && hint.ID != "" && stands != hint.ID, Newest: newest}
	if at.WentBack() {
		return newest, nil, s.wentBack(ctx, newest)
	}
	found, unaware := false, false
	// Without a commit in the hint and without a marker nothing was ever pushed
	// from here. With a marker alone, a crash came between the first push and its
	// hint, and others may have pushed any number of commits since.
	if hint.Commit != "" || s.marked {
		found, err = s.repo.Walk(ctx, plumbing.NewHash(hint.Commit), func(c repo.CommitInfo) bool {
			if p, ok := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey); ok {
				at.See(p.Seq, p.Held...)
				unaware = unaware || p.Seq < hint.Position
			}
			return true
		})
		if err != nil {
			return 0, nil, err
		}
	}
	position, held = at.Holds()
	if found && unaware {
		// Behind the hint somebody pushed who did not know how far it is: another writer,
		// to which a version was news that is held no more here, since what replaced it
		// was what stood there. It does not stand there any more. Or it was a merge:
		// then the run finds what that has changed, if anything.
		s.Log.Warn("another writer, or a merge, has brought what was passed here, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch)
		if err := s.ask(ctx, event.ReasonHistoryGap); err != nil {
			return 0, nil, err
		}
		return position, held, s.note(ctx, position, ledger.Listed(held))
	}
	if found {
		return position, held, nil
	}
	if hint.Commit != "" {
		// The branch does not hold any more what was pushed: it was rewritten or
		// removed by somebody. What stands in KS_WRITE before the hint must not be
		// replayed, so a run brings back what is missing.
		s.Log.Error("history of the branch was rewritten, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "commit", hint.Commit)
		if err := s.ask(ctx, event.ReasonHistoryRewritten); err != nil {
			return 0, nil, err
		}
	}
	return position, held, s.note(ctx, position, ledger.Listed(held))
}

// id is that of a message of KS_WRITE.
func (s *session) id(ctx context.Context, position uint64) (string, error) {
	if position == 0 {
		return "", bus.ErrNoMessage
	}
	m, err := s.Bus.MessageAt(ctx, subject.Write, position)
	return m.ID(), err
}

// wentBack goes on from where KS_WRITE ends now: it is not the log that the branch is
// of, but was made anew, or restored from a backup. Runs find what is missing, the newest of
// what was held among it, and their
// BARRIERs are behind it. A crash before that is noted asks for them again.
func (s *session) wentBack(ctx context.Context, newest uint64) error {
	s.Log.Error("KS_WRITE does not hold what the branch holds, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "position", s.hint.Position, "ends", newest, "held", len(s.hint.Held))
	if err := s.ask(ctx, event.ReasonCheckpointLost); err != nil {
		return err
	}
	return s.note(ctx, newest, nil)
}

// ask asks for a run of every destination of the branch.
func (s *session) ask(ctx context.Context, reason string) error {
	for k := range s.admitted {
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: reason}
		if err := s.Bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
			return err
		}
	}
	return nil
}

// note keeps how far the branch has come, and what up to there is held. A crash before it
// leaves an older hint: the search for the position goes back further, and finds what is
// held in the commits. Where nothing was committed since, what was held since is read
// again behind the older position, and what made no commit when its turn came makes none
// again.
func (s *session) note(ctx context.Context, position uint64, held ledger.Held) error {
	id, err := s.id(ctx, position)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) { // it may have been trimmed
		return err
	}
	next := event.Hint{V: event.Version, Position: position, ID: id, Held: held.Seqs()}
	if base := s.repo.Base(); !base.IsZero() {
		next.Commit = base.String()
	}
	if bytes.Equal(event.Encode(next), event.Encode(s.hint)) && s.hintRev != 0 {
		return nil
	}
	rev, err := s.Hints.Put(ctx, subject.HintKey(s.BranchKey), next, s.hintRev)
	if err != nil {
		return fmt.Errorf("keeping the position of branch %s: %w", s.Branch, err)
	}
	s.hint, s.hintRev, s.noted, s.reached = next, rev, position, position
	return nil
}
