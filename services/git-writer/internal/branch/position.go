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
	extent, err := s.Bus.ExtentPast(ctx, subject.Write, hint.Position)
	if err != nil {
		return 0, nil, err
	}
	newest := extent.Last
	stands, err := s.standing(ctx, hint.Position)
	if err != nil {
		return 0, nil, err
	}
	at := ledger.Position{Hint: hint.Position, Held: hint.Held, Other: another(hint, stands), Newest: newest}
	if at.WentBack() {
		return newest, nil, s.wentBack(ctx, hint.Position, newest)
	}
	found, unaware := false, false
	// Without a commit in the hint and without a marker nothing was ever pushed
	// from here. With a marker alone, a crash came between the first push and its
	// hint, and others may have pushed any number of commits since.
	if hint.Commit != "" || s.marked {
		found, err = s.repo.Walk(ctx, plumbing.NewHash(hint.Commit), func(c repo.CommitInfo) bool {
			if p, ok := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey); ok {
				at.See(p.Seq, p.Stored, p.Held...)
				unaware = unaware || p.Seq < hint.Position
			}
			return true
		})
		if err != nil {
			return 0, nil, err
		}
	}
	if marked := at.Marked(); marked > newest {
		now, err := s.Bus.ExtentPast(ctx, subject.Write, marked)
		if err != nil {
			return 0, nil, err
		}
		if now.Last >= marked { // the leader has it by now
			return s.position(ctx)
		}
	}
	if stands, err = s.standing(ctx, at.Marked()); err != nil {
		return 0, nil, err
	}
	if at.Contradicted(stands.Time) {
		return newest, nil, s.wentBack(ctx, at.Marked(), newest)
	}
	position, held = at.Holds()
	if ledger.Cut(position, extent.First) && s.stays(hint) {
		return s.cutBehind(ctx, position, held, extent.First-1)
	}
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

// standing is the message at a position of KS_WRITE; none, with neither ID nor time, where
// it was removed.
func (s *session) standing(ctx context.Context, position uint64) (bus.Message, error) {
	if position == 0 {
		return bus.Message{}, nil
	}
	m, err := s.Bus.MessageAt(ctx, subject.Write, position)
	if errors.Is(err, bus.ErrNoMessage) {
		return bus.Message{}, nil
	}
	return m, err
}

// writer is the revision at which the destination that wrote a message is registered for the
// branch; 0 where it is not, or not any more.
func (w *Worker) writer(m bus.Message) uint64 {
	_, k, err := subject.ParseWriteData(m.Subject)
	if err != nil {
		return 0
	}
	at, err := event.RegistryOf(m.Header)
	if d, is := w.destinations()[k]; err == nil && is && at >= d.Since() {
		return d.Revision
	}
	return 0
}

// stays is whether the message at the hint's position has to be there still. With a destination
// that was removed, or has left the branch, its messages go; one that has come back since has
// another revision.
func (w *Worker) stays(hint event.Hint) bool {
	for _, d := range w.destinations() {
		if d.Revision == hint.Writer {
			return true
		}
	}
	return false
}

// another is whether a message that stands at the hint's position is another one than stood
// there. The same one, stored at another time, is another one: what came before it may be
// other messages by now.
func another(hint event.Hint, m bus.Message) bool {
	if m.Time.IsZero() {
		return false
	}
	return hint.ID != "" && m.ID() != hint.ID || !hint.Stored.IsZero() && !m.Time.Equal(hint.Stored)
}

// wentBack goes on from where KS_WRITE ends now: it is not the log that the branch is
// of, but was made anew, or restored from a backup, alone or with all of the bus. Runs find what is missing, the newest of
// what was held among it, and their
// BARRIERs are behind it. A crash before that is noted asks for them again.
func (s *session) wentBack(ctx context.Context, position, newest uint64) error {
	s.Log.Error("KS_WRITE does not hold what the branch holds, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "position", position, "ends", newest, "held", len(s.hint.Held))
	if err := s.ask(ctx, event.ReasonCheckpointLost); err != nil {
		return err
	}
	return s.note(ctx, newest, nil)
}

// cutBehind goes on behind a part of KS_WRITE that somebody has removed, and that may have held
// changes of the branch: runs find what they led to. A crash before that is noted asks for them
// again.
func (s *session) cutBehind(ctx context.Context, position uint64, held []uint64, until uint64) (uint64, []uint64, error) {
	s.Log.Error("KS_WRITE lacks what was to be written, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "after", position, "until", until)
	if err := s.ask(ctx, event.ReasonHistoryGap); err != nil {
		return 0, nil, err
	}
	return until, held, s.note(ctx, until, ledger.Listed(held))
}

// ask asks for a run of every destination of the branch.
func (s *session) ask(ctx context.Context, reason string) error {
	for k := range s.admitted {
		if err := s.askOf(ctx, k, reason); err != nil {
			return err
		}
	}
	return nil
}

// askOf asks for a run of one destination.
func (s *session) askOf(ctx context.Context, k event.DestinationKey, reason string) error {
	return s.Bus.Ask(ctx, subject.CtlRun(k), event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: reason})
}

// note keeps how far the branch has come, and what up to there is held. A crash before it
// leaves an older hint: the search for the position goes back further, and finds what is
// held in the commits. Where nothing was committed since, what was held since is read
// again behind the older position, and what made no commit when its turn came makes none
// again.
func (s *session) note(ctx context.Context, position uint64, held ledger.Held) error {
	m, err := s.standing(ctx, position) // it may have been trimmed
	if err != nil {
		return err
	}
	next := event.Hint{V: event.Version, Position: position, ID: m.ID(), Stored: m.Time, Writer: s.writer(m), Held: held.Seqs()}
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
