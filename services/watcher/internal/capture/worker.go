package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

const (
	// watchLength is how long one watch request lives, plus up to as much
	// again, so that not all of them end together.
	watchLength = 5 * time.Minute
	// catchUpLength is the same while the index waits for the watch to pass the
	// list's version: the API server sends a bookmark shortly before the end.
	catchUpLength = 5 * time.Second
	// watchGrace is how much longer than it was asked for a watch may last. What
	// holds it open after that is not the API server, but a connection that died
	// unnoticed or a proxy that keeps one end of it.
	watchGrace = 30 * time.Second
	// bookmarkEvery is how often a position is stored while nothing is published.
	bookmarkEvery = 10 * time.Second
	// revokedAfter is how long a type that was watched may be forbidden before that
	// is taken for the rights: an API server that has just started does not know
	// them, for seconds.
	revokedAfter = 2 * time.Minute
	// stopWait bounds what a stopping worker may still store.
	stopWait = time.Second
	// shortWatch is how soon a watch may not end without a reason to wait
	// before the next.
	shortWatch = time.Second
	// forbiddenWait is how often a type is tried that may not be watched.
	forbiddenWait = 30 * time.Second
)

// ErrTypeGone says that the API server no longer serves the type.
var ErrTypeGone = errors.New("the API server no longer serves this type")

// ErrStarting is the readiness of a type until it is watched, or cannot be.
var ErrStarting = errors.New("starting")

// ErrNotAllowed is the readiness of a type that these rights never included: it
// is left out, and waits for nothing.
var ErrNotAllowed = errors.New("not allowed to list and watch")

// Refused reports whether the API server said that a type is not to be had: by
// these rights, or at all. Anything else passes.
func Refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}

// Lane is where changes are published: in order, durable once it returns, under
// IDs that make a second call of the same a duplicate. It fails with
// bus.ErrFenced once another owner has taken over, and with fault.Poison for
// what can never be stored: the one behind those that are. Each is told its outcome before
// anything else is published or frozen.
type Lane interface {
	PublishAll(ctx context.Context, items []bus.Item) (stored int, err error)
	// Reached is when the lane's stream was made, and a sequence that it has reached.
	Reached() (made time.Time, seq uint64)
}

// Bus is what a worker needs of the bus beside its lane: the newest message
// under a filter, bus.ErrNoMessage when there is none, how far a stream reaches, and a place for what can
// never be published, kept once however often it is sent.
type Bus interface {
	LastFor(ctx context.Context, stream, filter string) (bus.Message, error)
	Reached(ctx context.Context, stream string) (made time.Time, last uint64, err error)
	DeadLetter(ctx context.Context, stage string, k event.DestinationKey, stream string, m bus.Message, why error) error
}

// Bookmarks is where positions are kept: durable once Put returns, which fails
// with bus.ErrConflict when somebody else has written since revision.
type Bookmarks interface {
	Get(ctx context.Context, key string) (b event.Bookmark, revision uint64, err error)
	Put(ctx context.Context, key string, b event.Bookmark, revision uint64) (uint64, error)
}

// Sealing is the keys of the watcher.
type Sealing struct {
	To  *seal.Recipient // the git-writer
	Key secretmark.Key
}

// Config is what a worker follows and with what.
type Config struct {
	Type      discover.Type
	Namespace string // "" for all
	Cluster   string
	ClusterID string
	Part      int
	Client    dynamic.ResourceInterface // of Namespace
	// Namespaced is the client of one namespace.
	Namespaced func(namespace string) dynamic.ResourceInterface
	Lane       Lane
	Bus        Bus
	Bookmarks  Bookmarks
	// Destinations are those whose rules touch what is followed.
	Destinations []event.Destination
	Selection    *selection.Type // of the type, for them
	// Sealing is what sensitive objects are sealed with; nil where all are withheld.
	Sealing *Sealing
	// AskRun asks for a run of one of them, unless one is to come that will hold
	// what is listed now. It is durable once it returns.
	AskRun func(ctx context.Context, d event.DestinationKey, reason string) error
	// CaughtUp asks for a run of one of them if contents of the type were skipped, or may
	// be: a gap was closed, and hides what an object was in between. It is durable once it
	// returns.
	CaughtUp func(ctx context.Context, d event.DestinationKey) error
	// OnExact is called once the index is exact and watched, each time it comes to be so.
	OnExact func(ctx context.Context) error
	// Rereads is held by each worker that lists its objects again since their definition has
	// changed: as many at a time as it has room for.
	Rereads chan struct{}
	// Generation is that of the type's definition; 0 if there is none, or it is not known.
	Generation int64
	Registry   uint64 // the revision of the registry this watcher has written
	Log        *slog.Logger
	Events     *prometheus.CounterVec // by outcome
}

// Worker follows one type. Make it with [New]; what it does for itself happens in
// Run's goroutine, and in that of a listing. The exported methods are safe in any.
type Worker struct {
	Config
	rv         string        // the watch's position: everything up to here is in the lane, or needs not to be
	gone       bool          // the API server forgot rv: the gap must be closed before the next watch
	listed     bool          // rv is that of a list, and was not watched from yet
	watched    bool          // it was watched: should it be forbidden now, that is a failure, for a while
	denied     time.Time     // since when it is forbidden without a break; zero while it is not
	refused    bool          // it was logged that it may not
	changedFor selection.Set // whom a run has to be asked for, since it does
	lost       bool          // what came since the last position that was stored cannot be told any more
	told       bool          // OnExact knows of this index
	askedFor   selection.Set // whom a run was asked for, since nobody knows what they had
	burst      burst         // what is to be published next
	seen       index.Overlay
	listing    chan listed        // where an index that is being listed arrives; nil while none is
	unlist     context.CancelFunc // ends that listing
	waiting    *listed            // arrived, and ahead of rv
	bookmark   uint64             // revision of the stored bookmark
	stored     string             // the position that stands there
	storedAt   time.Time
	relist     chan struct{} // holds something if the index is to be listed anew
	again      chan struct{} // holds something if the objects are to be looked at again
	redefined  chan struct{} // holds something if defined was set
	reminders  chan reminded // what is to be published once more
	reread     reread
	ended      chan struct{} // closed when Run returns
	why        error         // what Exact says then; set before ended is closed

	mu      sync.Mutex
	index   index.Index   // nil until it is exact as of rv; written with mu, by Run's goroutine alone
	status  error         // why nothing is being watched; guarded by mu
	defined int64         // the newest generation of the type's definition; guarded by mu
	noIndex error         // why no index can be listed; guarded by mu
	changed chan struct{} // closed and replaced when one of these is replaced; guarded by mu
}

// New makes a worker.
func New(cfg Config) *Worker {
	return &Worker{Config: cfg, relist: make(chan struct{}, 1), again: make(chan struct{}, 1), redefined: make(chan struct{}, 1), reminders: make(chan reminded), defined: cfg.Generation, reread: reread{unread: func() {}, backoff: fault.Backoff{Min: rereadWait, Max: rereadWaitMax}}, ended: make(chan struct{}), changed: make(chan struct{}), unlist: func() {}, status: ErrStarting}
}

func (w *Worker) name() string {
	n := w.Type.GroupResource().String()
	if w.Namespace != "" {
		n += " in " + w.Namespace
	}
	return n
}

// Ready is nil while the type is being watched, and its index is exact or on its
// way.
func (w *Worker) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != nil {
		return w.status
	}
	return w.noIndex
}

func (w *Worker) setStatus(err error) { w.update(func() { w.status = err }) }

func (w *Worker) update(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// Run follows the type until ctx ends, and then stores its position and returns
// nil. It returns ErrTypeGone, and bus.ErrFenced when the lane has another
// owner.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() {
		w.why = errStopped
		if errors.Is(err, ErrTypeGone) {
			w.why = err
		}
		close(w.ended)
	}()
	ictx, cancel := context.WithCancel(ctx) // ends the listing of an index with Run
	defer cancel()
	backoff := fault.Backoff{Max: 5 * time.Second}
	resumed, relisted := false, false // relisted: after a 410, and not watched since
	for ctx.Err() == nil {
		var err error
		moved := false
		switch {
		case !resumed:
			if err = w.resume(ctx); err == nil {
				resumed = true
				continue
			}
		case w.rv == "":
			err = w.firstList(ctx)
		case w.gone:
			err = w.afterGone(ctx)
		default:
			moved, err = w.watch(ctx, ictx)
		}
		if moved { // a list is no success: its version may be forgotten before it can be watched from
			backoff.Reset()
			relisted = false
		}
		if err == nil {
			continue
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, bus.ErrFenced):
			return err
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
			return fmt.Errorf("%w: %s: %w", ErrTypeGone, w.name(), err)
		case !w.gone && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err)):
			w.Log.Info("the API server forgot our version, listing", "resource", w.name(), "resource_version", w.rv)
			w.gone = true
			if relisted {
				w.pause(ctx, backoff.Next(), err)
			}
			relisted = true
		default:
			w.pause(ctx, backoff.Next(), err)
		}
	}
	stop, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancelStop()
	if err := w.store(stop, true); err != nil {
		w.Log.Debug("position not stored at stop, the next start reads again from the one before", "resource", w.name(), "err", err)
	}
	return nil
}

// pause waits, and tells whether the type is one that these rights do not include:
// never have, or not any more for so long that it is no server that starts.
func (w *Worker) pause(ctx context.Context, d time.Duration, why error) {
	switch {
	case !apierrors.IsForbidden(why):
		w.denied = time.Time{}
	case w.denied.IsZero():
		w.denied = time.Now()
	case time.Since(w.denied) >= revokedAfter:
		w.watched = false
	}
	status := why
	if apierrors.IsForbidden(why) && !w.watched {
		status = fmt.Errorf("%w: %w", ErrNotAllowed, why)
		d = max(d, forbiddenWait) // rights do not change by the second
		if !w.refused {
			w.Log.Warn("not allowed to watch: nothing of it is mirrored until list and watch are granted", "resource", w.name(), "err", why)
		}
		w.refused = true
	} else {
		w.Log.Debug("cannot watch, retrying", "resource", w.name(), "err", why) // the session says it, once for all types
	}
	w.setStatus(status)
	_ = fault.Wait(ctx, d)
}

func nameOf(o *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
