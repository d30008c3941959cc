package branch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/seal"
)

// Replay is what is written again, and where.
type Replay struct {
	Destination bus.Registered
	Incarnation string // of the streams
	Repository  string // path of a bare one, whose branch does not exist yet
	CacheDir    string
	// Identities open what was sealed; nil: that is left out.
	Identities func() (seal.Identities, error)
	// At reads a message of KS_WRITE again.
	At  func(ctx context.Context, seq uint64) (bus.Message, error)
	Log *slog.Logger
}

// Replayed is a commit that a replay has made, in a change of its destination that was
// recorded at Position.
type Replayed struct {
	Commit   string // its hash
	Subject  string // the first line of its message
	Position uint64 // everything up to here in KS_WRITE is in it, or in those before, or made none
}

// Run writes recorded messages of KS_WRITE, those of the destination in their order, by
// the code that writes live ones, and hands each commit to made. It returns how many
// changes came to what.
//
// It has no bus, so that it can store nothing there and ask for nothing: nobody answers a
// BARRIER, and what would be dead-lettered is only told. The clock is that of the record:
// a window that a push has cut short is whole here, and what a limit of commits still
// holds in the end is committed.
func (r Replay) Run(ctx context.Context, recorded iter.Seq2[bus.Message, error], made func(Replayed) error) (map[outcome.Outcome]int, error) {
	next, stop := iter.Pull2(recorded)
	defer stop()
	from := &recording{Replay: r, next: next, outcomes: map[outcome.Outcome]int{}}
	s := r.session(from)
	defer s.repo.Close()
	if _, err := s.repo.Fetch(ctx); err != nil {
		return nil, err
	}
	for !from.ended || len(s.held) > 0 {
		if err := s.rewrite(ctx, from, made); err != nil {
			return nil, err
		}
	}
	return from.outcomes, nil
}

// session is one that has the repository for itself, and admits the destination.
func (r Replay) session(from *recording) *session {
	d := r.Destination
	d.DryRun = false // what it would have pushed is pushed here
	prompt := d      // what is recorded has waited already
	prompt.Window, prompt.MinPushInterval = 0, 0
	words, err := message.ParseWords(d.Wording)
	if err != nil {
		r.Log.Warn("the templates of commit messages are not used", "destination", d.Key.String(), "err", err)
	}
	w := New(Config{
		BranchKey: d.BranchKey, URL: r.Repository, Branch: d.Branch, CacheDir: r.CacheDir, Identities: r.Identities,
		Sign: func() (repo.Sign, error) { return nil, nil }, //nolint:nilnil // they are for nobody to trust
		Pace: &Pace{}, Bus: &bus.Bus{Install: bus.Install{Incarnation: r.Incarnation}}, Registry: bus.FixedRegistry(prompt),
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Now: from.now,
	})
	return &session{
		Worker: w, repo: repo.New(repo.Config{URL: w.URL, Branch: w.Branch, Dir: w.CacheDir}), record: from,
		admitted: map[event.DestinationKey]*admission{
			d.Key: {Registered: d, marker: marker.Of(d.Destination, r.Incarnation).Bytes(), words: words},
		},
		inFlight: map[placed]flight{}, tally: newTally(), dirty: map[event.DestinationKey]landed{},
	}
}

// rewrite takes a batch of a recording into the repository.
func (s *session) rewrite(ctx context.Context, from *recording, made func(Replayed) error) error {
	b, err := s.gather(ctx, from)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	s.consumed, s.stored, s.held = b.Through, b.Stored, b.Held
	for step := b.Next(); step != ledger.Done; step = b.Next() {
		if step == ledger.Answer {
			b.Answered()
			s.consumed, s.stored = b.Through, b.Stored
			continue
		}
		before := s.repo.Base()
		if err := s.build(ctx, &b); err != nil {
			return err
		}
		if commits, _ := s.repo.Pending(); commits > 0 {
			if _, err := s.land(ctx); err != nil {
				return err
			}
		}
		b.Pushed()
		if err := s.hand(ctx, before, made); err != nil {
			return err
		}
	}
	for o, n := range s.tally.changes {
		from.outcomes[o.outcome] += n
	}
	s.tally.clear()
	return nil
}

// hand hands over the commits that came since, the oldest first: those of a batch at most.
func (s *session) hand(ctx context.Context, since plumbing.Hash, made func(Replayed) error) error {
	if s.repo.Base() == since {
		return nil
	}
	var commits []Replayed
	_, err := s.repo.Walk(ctx, since, func(c repo.CommitInfo) bool {
		subject, _, _ := strings.Cut(c.Message, "\n")
		at, _ := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey)
		commits = append(commits, Replayed{Commit: c.Hash.String(), Subject: subject, Position: at.Seq})
		return true
	})
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(commits) {
		if err := made(c); err != nil {
			return err
		}
	}
	return nil
}

// recording gives a session what was recorded.
type recording struct {
	Replay
	next     func() (bus.Message, error, bool) // of iter.Pull2
	ended    bool
	outcomes map[outcome.Outcome]int // of changes
}

// Next never waits: what does not come now was not recorded.
func (r *recording) Next(ctx context.Context, _ time.Duration) (bus.Message, bool, error) {
	for !r.ended && ctx.Err() == nil {
		m, err, ok := r.next()
		switch {
		case !ok:
			r.ended = true
		case err != nil:
			return m, false, err
		case r.Identities == nil && len(m.Header[event.HeaderSealedTo]) > 0:
			r.outcomes[outcome.Sealed]++
		default:
			return m, true, nil
		}
	}
	return bus.Message{}, false, nil
}

// now moves once, when no more is to come: far enough for everything that is held.
func (r *recording) now() time.Time {
	if r.ended {
		return time.Time{}.Add(time.Minute)
	}
	return time.Time{}
}

// at reads a message of KS_WRITE. Nothing that was recorded may be missing: live, a run
// would bring it.
func (r *recording) at(ctx context.Context, seq uint64) (bus.Message, error) {
	m, err := r.At(ctx, seq)
	if errors.Is(err, bus.ErrNoMessage) {
		return m, fmt.Errorf("message %d of KS_WRITE was removed while it was replayed: try again from behind it", seq)
	}
	return m, err
}

// newest is not known: Next says where a recording ends.
func (r *recording) newest(context.Context, string) uint64 { return 0 }

// letter tells what would be kept.
func (r *recording) letter(_ context.Context, k event.DestinationKey, m bus.Message, why error) error {
	r.outcomes[outcome.DeadLettered]++
	r.Log.Warn("it would go to the dead letters", "destination", k.String(), "seq", m.Seq, "err", why)
	return nil
}
