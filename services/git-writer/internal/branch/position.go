package branch

import (
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

// position is what the branch holds. Of its commits those are looked at that the
// hint's does not contain.
func (s *session) position(ctx context.Context) (uint64, error) {
	hint := s.hint
	newest, err := s.Bus.LastSeq(ctx, subject.Write)
	if err != nil {
		return 0, err
	}
	stands, err := s.id(ctx, hint.Position)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return 0, err
	}
	at := ledger.Position{Hint: hint.Position, Other: err == nil && hint.ID != "" && stands != hint.ID, Newest: newest}
	if at.WentBack() {
		return newest, s.wentBack(ctx, newest)
	}
	found := false
	// Without a commit in the hint and without a marker nothing was ever pushed
	// from here. With a marker alone, a crash came between the first push and its
	// hint, and others may have pushed any number of commits since.
	if hint.Commit != "" || s.marked {
		found, err = s.repo.Walk(ctx, plumbing.NewHash(hint.Commit), func(c repo.CommitInfo) bool {
			if seq, ok := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey); ok {
				at.See(seq)
			}
			return true
		})
		if err != nil {
			return 0, err
		}
	}
	if found {
		return at.Holds(), nil
	}
	if hint.Commit != "" {
		// The branch does not hold any more what was pushed: it was rewritten or
		// removed by somebody. What stands in KS_WRITE before the hint must not be
		// replayed, so a run brings back what is missing.
		s.Log.Error("history of the branch was rewritten, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "commit", hint.Commit)
		if err := s.ask(ctx, event.ReasonHistoryRewritten); err != nil {
			return 0, err
		}
	}
	return at.Holds(), s.note(ctx, at.Holds())
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
// of, but was made anew, or restored from a backup. Runs find what is missing, and their
// BARRIERs are behind it. A crash before that is noted asks for them again.
func (s *session) wentBack(ctx context.Context, newest uint64) error {
	s.Log.Error("KS_WRITE does not hold what the branch holds, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "position", s.hint.Position, "ends", newest)
	if err := s.ask(ctx, event.ReasonCheckpointLost); err != nil {
		return err
	}
	return s.note(ctx, newest)
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

// note keeps how far the branch has come. A crash before it leaves an older
// hint: the search for the position goes back further.
func (s *session) note(ctx context.Context, position uint64) error {
	id, err := s.id(ctx, position)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) { // it may have been trimmed
		return err
	}
	next := event.Hint{V: event.Version, Position: position, ID: id}
	if base := s.repo.Base(); !base.IsZero() {
		next.Commit = base.String()
	}
	if next == s.hint && s.hintRev != 0 {
		return nil
	}
	rev, err := s.Hints.Put(ctx, subject.HintKey(s.BranchKey), next, s.hintRev)
	if err != nil {
		return fmt.Errorf("keeping the position of branch %s: %w", s.Branch, err)
	}
	s.hint, s.hintRev, s.noted, s.reached = next, rev, position, position
	return nil
}
