package branch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// Config is what a worker writes and with what.
type Config struct {
	BranchKey string
	URL       string
	Branch    string
	CacheDir  string
	Auth      func(ctx context.Context, url string) (transport.AuthMethod, error)
	Bus       *bus.Bus
	Registry  *bus.Registry
	Hints     *bus.Bucket[event.Hint]
	Statuses  *bus.Bucket[event.Status]
	Log       *slog.Logger
	Metrics   *Metrics
}

// Worker is the writer of a branch. Make it with [New].
type Worker struct {
	Config
	recheck bool                            // a folder was refused: look again
	refused map[event.DestinationKey]uint64 // the revisions at which they were refused
	hint    event.Hint                      // as it stands in KS_CURSOR
	reached uint64                          // everything in KS_WRITE up to here is on the remote, as far as is known
	said    string                          // what was last logged as wrong
	hintRev uint64                          // 0: not there

	mu   sync.Mutex
	snap Snapshot // guarded by mu
}

// New makes a worker.
func New(cfg Config) *Worker {
	return &Worker{Config: cfg, snap: Snapshot{URL: repo.Redact(cfg.URL), Branch: cfg.Branch, Why: errors.New("starting")}}
}

// errReconfigured ends a session because the destinations changed, or because a
// refused folder is to be looked at again.
var errReconfigured = errors.New("the destinations of the branch changed")

// Run writes until ctx ends, pushes what it has built, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	backoff := fault.Backoff{Max: 30 * time.Second}
	for ctx.Err() == nil {
		moved, err := w.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errReconfigured) || errors.Is(err, repo.ErrRival) {
			continue
		}
		if moved {
			backoff.Reset()
		}
		w.stall(ctx, err, backoff.Next())
	}
	return nil
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
