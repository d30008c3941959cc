package branch

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// position is what the branch holds: the highest number that any of its commits
// carries for this branch, of those that the hint's commit does not contain. Commits
// merged in, cherry-picked or reverted carry lower numbers or other keys; a
// number that KS_WRITE has not reached was not written by us.
func (s *session) position(ctx context.Context) (uint64, error) {
	hint, rev, err := s.Hints.Get(ctx, subject.HintKey(s.BranchKey))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return 0, err
	}
	s.hint, s.hintRev, s.reached = hint, rev, max(s.reached, hint.Position)
	last, err := s.Bus.LastSeq(ctx, subject.Write)
	if err != nil {
		return 0, err
	}
	var highest uint64
	found := false
	// Without a commit in the hint and without a marker nothing was ever pushed
	// from here. With a marker alone, a crash came between the first push and its
	// hint, and others may have pushed any number of commits since.
	if hint.Commit != "" || s.marked {
		found, err = s.repo.Walk(ctx, plumbing.NewHash(hint.Commit), func(c repo.CommitInfo) bool {
			if seq, ok := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey); ok && seq <= last {
				highest = max(highest, seq)
			}
			return true
		})
		if err != nil {
			return 0, err
		}
	}
	switch {
	case found:
		return max(highest, hint.Position), nil
	case hint.Commit == "": // never pushed, or crashed just after the first push, which was found
		at := max(highest, hint.Position)
		return at, s.note(ctx, at)
	}
	// The branch does not hold any more what was pushed: it was rewritten or
	// removed by somebody. What stands in KS_WRITE before the hint must not be
	// replayed, so a run brings back what is missing.
	s.Log.Error("history of the branch was rewritten, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "commit", hint.Commit)
	if err := s.rewritten(ctx); err != nil {
		return 0, err
	}
	at := max(highest, hint.Position)
	return at, s.note(ctx, at)
}

// rewritten asks for a run of every destination of the branch.
func (s *session) rewritten(ctx context.Context) error {
	for k := range s.admitted {
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonHistoryRewritten}
		if err := s.Bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
			return err
		}
	}
	return nil
}

// note keeps how far the branch has come. A crash before it leaves an older
// hint: the search for the position goes back further.
func (s *session) note(ctx context.Context, position uint64) error {
	next := event.Hint{V: event.Version, Position: position}
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
