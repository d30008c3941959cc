package branch

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/attributes"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// session is the time during which a worker trusts what it knows of the branch.
type session struct {
	*Worker
	repo     *repo.Branch
	record   record
	admitted map[event.DestinationKey]*admission
	marked   bool                            // one of their folders has a marker of this install: it was pushed to
	consumed uint64                          // everything in KS_WRITE up to here was handed to repo, or needs not to be
	stored   time.Time                       // when the message there was; zero: not known
	held     ledger.Held                     // of that: what waits until its object may have another commit
	aside    *item                           // was taken, and waits for held versions that go before it
	noted    uint64                          // the position that the hint was last written with
	subject  string                          // first line of the newest commit's message
	inFlight map[placed]flight               // what was committed and not pushed yet
	made     int                             // how many commits were
	looked   bool                            // at the remote, since the batch was gathered
	keys     *seal.Identities                // once something sealed has come
	sign     repo.Sign                       // the commits of the batch; nil: they are not signed
	tally    tally                           // of what was read since the last push
	dirty    map[event.DestinationKey]landed // to be shown
	statusAt time.Time
	begun    time.Time // when it began to write
	others   bool      // pushed to the branch since it began

	attributes struct { // that were read last
		stand map[string]plumbing.Hash // their files
		rules attributes.Rules
	}
}

// placed is where a change stands among what is not pushed yet.
type placed struct {
	position uint64 // of its commit
	path     string
}

// flight is a change that was committed and not pushed yet.
type flight struct {
	write
	commit int // which of those that the session made: several may have one position
}

// session reads where the branch stands and writes from there until something
// fails or changes.
func (w *Worker) session(ctx context.Context) (moved bool, err error) {
	b := repo.New(repo.Config{
		URL: w.URL, Branch: w.Branch, Dir: w.CacheDir, Auth: w.Auth,
		// Two writers hold the same changes, during a rolling update say. Built
		// again on top of the other's commits, ours would double them; a new
		// session reads from the branch how far they go (I2, I7).
		Rival: func(m string) bool {
			_, ours := message.ParsePosition(m, w.Bus.Install.Incarnation, w.BranchKey)
			return ours
		},
	})
	defer b.Close()
	// Before the branch is read: what it names was pushed before, whoever wrote it, and
	// is not missing only because the branch was read too early.
	if err := w.recall(ctx); err != nil {
		return false, err
	}
	result, err := b.Fetch(ctx)
	if err != nil {
		return false, err
	}
	if err := w.mayPush(ctx, b); err != nil {
		return false, err
	}
	s := &session{
		Worker: w, repo: b, record: live{w.Bus}, admitted: map[event.DestinationKey]*admission{},
		inFlight: map[placed]flight{}, tally: newTally(), dirty: map[event.DestinationKey]landed{},
	}
	if err := s.admit(ctx); err != nil {
		return false, err
	}
	if err := s.mend(ctx); err != nil {
		return false, err
	}
	position, held, err := s.position(ctx)
	if err != nil {
		return false, err
	}
	if s.hint.Cut != nil {
		if err := s.note(ctx, position, ledger.Listed(held)); err != nil {
			return false, err
		}
	}
	at, err := s.standing(ctx, position)
	if err != nil {
		return false, err
	}
	s.consumed, s.stored, s.reached, s.held = position, at.Time, position, ledger.Listed(held)
	for k := range s.admitted { // a crash may have come between a push and what it shows
		s.touch(k)
	}
	w.show(func(sn *Snapshot) {
		sn.Why = nil
		if base := b.Base(); sn.Commit == "" && !base.IsZero() && position > 0 {
			sn.Commit = base.String()
		}
	})
	r, err := w.Bus.Read(ctx, subject.Write, []string{subject.WriteBranch(w.BranchKey)}, position+1)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if others := result.Branches; b.Base().IsZero() && len(others) > 0 {
		w.Log.Warn("the branch does not exist: the first push makes it, with a history of its own", "url", repo.Redact(w.URL), "branch", w.Branch, "existing", others)
	}
	tip := ""
	if base := b.Base(); !base.IsZero() {
		tip = base.String()
	}
	w.Log.Info("writing", "url", repo.Redact(w.URL), "branch", w.Branch, "key", w.BranchKey, "commit", tip, "seq", position, "held", len(held))
	defer s.lastStatus(ctx)
	return s.write(ctx, r)
}
