package branch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/seal"
)

// Config is what a worker writes and with what.
type Config struct {
	BranchKey string
	URL       string
	Branch    string
	CacheDir  string
	// Credentials names the Secret that opens the remote; empty: the environment does.
	Credentials string
	Auth        func(ctx context.Context) (repo.Access, error)
	Identities  func() (seal.Identities, error) // open what the watcher has sealed
	Sign        func() (repo.Sign, error)       // gives what signs the commits that are made now; nil: nothing does
	Pace        *Pace                           // of the remote
	Bus         *bus.Bus
	Registry    *bus.Registry
	Hints       *bus.Bucket[event.Hint]
	Statuses    *bus.Bucket[event.Status]
	Phases      *bus.Bucket[event.PhaseRecord]
	Log         *slog.Logger
	Metrics     *Metrics
	// Now is the clock by which held versions wait for their turn.
	Now func() time.Time
}

// Worker is the writer of a branch. Make it with [New].
type Worker struct {
	Config
	recheck bool                             // a folder was refused: look again
	refused map[event.DestinationKey]Refusal // of the session
	lfs     map[event.DestinationKey]string  // a path of each that was found to go through Git LFS
	odd     map[event.DestinationKey]uint64  // the revision of each whose templates were said not to be used
	hint    event.Hint                       // as it stands in KS_CURSOR
	reached uint64                           // everything in KS_WRITE up to here is on the remote, as far as is known
	said    string                           // what was last logged as wrong
	hintRev uint64                           // 0: not there
	seen    seen
	woken   chan struct{}  // holds one where what opens the remote is another
	limiter ledger.Limiter // of objects, by what the branch has
	// rehearsals are of the destinations that were admitted in DryRun.
	rehearsals map[event.DestinationKey]*rehearsal
	clock      ledger.Clock // of KS_WRITE

	mu   sync.Mutex
	snap Snapshot // guarded by mu
}

// New makes a worker.
func New(cfg Config) *Worker {
	return &Worker{Config: cfg, lfs: map[event.DestinationKey]string{}, odd: map[event.DestinationKey]uint64{}, rehearsals: map[event.DestinationKey]*rehearsal{}, woken: make(chan struct{}, 1), snap: Snapshot{URL: repo.Redact(cfg.URL), Branch: cfg.Branch, Why: errors.New("starting")}}
}

// Wake says that what opens the remote is another now: a worker that waits because the
// remote could not be used tries again.
func (w *Worker) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// restartReset is how long a session lasts that ended for a reason of its own, not
// for that of the one before.
const restartReset = 10 * time.Second

var (
	// errReconfigured ends a session because the destinations changed, or because
	// a folder is to be looked at again.
	errReconfigured = errors.New("the destinations of the branch changed")
	// errAlone is why nothing moves while a remote is left alone, whichever of its branches
	// it asked to.
	errAlone = errors.New("the remote has asked to be left alone for a while")
	// errRewritten ends a session because what it was built on is gone.
	errRewritten = errors.New("the history of the branch was rewritten")
)

// Run writes until ctx ends, pushes what it has built, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	defer w.Metrics.Lag.DeleteLabelValues(w.BranchKey)
	defer w.Metrics.Held.DeleteLabelValues(w.BranchKey)
	failures := fault.Backoff{Max: 30 * time.Second}
	restarts := fault.Backoff{Min: 20 * time.Millisecond, Max: 30 * time.Second}
	for ctx.Err() == nil {
		begun := time.Now()
		moved, err := w.turn(ctx)
		var remote *repo.RemoteError
		if errors.As(err, &remote) { // before a stop, too: the other branches heed it
			w.Pace.leave(time.Now().Add(remote.RetryAfter))
		}
		if ctx.Err() != nil {
			return nil
		}
		if moved {
			failures.Reset()
		}
		if moved || time.Since(begun) > restartReset {
			restarts.Reset()
		}
		if errors.Is(err, errReconfigured) || errors.Is(err, errRewritten) || errors.Is(err, repo.ErrRival) {
			// The next session sees what changed. Should it not, it does not
			// ask the remote over and over.
			_ = fault.Wait(ctx, restarts.Next()) // the loop sees how ctx is
			continue
		}
		if err := w.relieve(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("a backlog that has to give way could not be cut, trying again", "branch", w.Branch, "err", err)
		}
		w.stall(ctx, err, failures.Next())
	}
	return nil
}

// turn is a session, unless the remote is to be left alone.
func (w *Worker) turn(ctx context.Context) (moved bool, err error) {
	if w.Pace.asked(time.Now()) == 0 {
		return w.session(ctx)
	}
	if err := w.recall(ctx); err != nil { // what is behind it waits
		return false, err
	}
	return false, errAlone
}

// destinations are those of this branch.
func (w *Worker) destinations() map[event.DestinationKey]bus.Registered {
	all, _ := w.Registry.All()
	ours := map[event.DestinationKey]bus.Registered{}
	for k, d := range all {
		if d.BranchKey == w.BranchKey {
			ours[k] = d
		}
	}
	return ours
}
