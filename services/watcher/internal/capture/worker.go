package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// watchLength is how long one watch request lives, plus up to as much
	// again, so that not all of them end together.
	watchLength = 5 * time.Minute
	// catchUpLength is the same while the index waits for the watch to pass the
	// list's version: the API server sends a bookmark shortly before the end.
	catchUpLength = 5 * time.Second
	// bookmarkEvery is how often a position is stored while nothing is published.
	bookmarkEvery = 10 * time.Second
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

// errStopped answers offers that came too late: they are to be made again.
var errStopped = errors.New("the worker of this type has stopped")

// Lane is where changes are published: in order, durable once it returns, under
// an ID that makes a second call of the same a duplicate. It fails with
// bus.ErrFenced once another owner has taken over, and with fault.Poison for
// what can never be stored.
type Lane interface {
	Publish(ctx context.Context, id string, out bus.Output) (duplicate bool, err error)
}

// Bus is what a worker needs of the bus beside its lane: the newest message
// under a filter, bus.ErrNoMessage when there is none, and a place for what can
// never be published, kept once however often it is sent.
type Bus interface {
	LastFor(ctx context.Context, stream, filter string) (bus.Message, error)
	DeadLetter(ctx context.Context, stage string, k event.DestinationKey, stream string, m bus.Message, why error) error
}

// Bookmarks is where positions are kept: durable once Put returns, which fails
// with bus.ErrConflict when somebody else has written since revision.
type Bookmarks interface {
	Get(ctx context.Context, key string) (b event.Bookmark, revision uint64, err error)
	Put(ctx context.Context, key string, b event.Bookmark, revision uint64) (uint64, error)
}

// Config is what a worker follows and with what.
type Config struct {
	Type      discover.Type
	Namespace string // "" for all
	Cluster   string
	ClusterID string
	Part      int
	Client    dynamic.ResourceInterface
	Lane      Lane
	Bus       Bus
	Bookmarks Bookmarks
	Registry  func() uint64 // the newest revision of the registry this watcher has written
	Log       *slog.Logger
	Events    *prometheus.CounterVec // by outcome
}

// Worker follows one type. Make it with [New]; everything but Offer and Ready
// happens in Run's goroutine.
type Worker struct {
	Config
	rv       string // the watch's position: everything up to here is in the lane, or needs not to be
	gone     bool   // the API server forgot rv: the gap must be closed before the next watch
	watched  bool   // it was watched: should it be forbidden now, that is a failure
	refused  bool   // it was logged that it may not
	index    index  // nil until it is exact as of rv
	seen     overlay
	listing  chan listed // where an index that is being listed arrives; nil while none is
	waiting  *listed     // arrived, and ahead of rv
	fullAt   uint64      // the registry's revision when everything was last published to everyone; 0 if never
	bookmark uint64      // revision of the stored bookmark
	stored   string      // the position that stands there
	storedAt time.Time
	offers   chan offer
	ended    chan struct{} // closed when Run returns
	why      error         // what offers are told then; set before ended is closed

	mu      sync.Mutex
	status  error // why nothing is being watched; guarded by mu
	noIndex error // why no index can be listed; guarded by mu
}

type listed struct {
	index index
	from  string // the watch's position before the list, which is not older in any one history
	at    string
}

type offer struct {
	Offer
	done chan error
}

// Offer asks for what a run wants to know of a type.
type Offer struct {
	Destination event.Destination
	Revision    uint64 // at which the destination was registered
	Run         string
	Attempt     uint64
	New         bool // nothing but what reached it since Revision is known to the destination
}

// New makes a worker.
func New(cfg Config) *Worker {
	return &Worker{Config: cfg, offers: make(chan offer), ended: make(chan struct{}), status: ErrStarting}
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

func (w *Worker) setStatus(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = err
}

// Offer publishes to one destination all objects of the type that it selects,
// as of the lane's position, and returns once they are durable. What changed
// since is on its way behind them. It waits while the API server cannot be
// reached or fails to answer; it fails when the server refused (see [Refused]).
func (w *Worker) Offer(ctx context.Context, o Offer) error {
	q := offer{o, make(chan error, 1)}
	select {
	case w.offers <- q:
	case <-w.ended:
		return w.why
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run follows the type until ctx ends, and then stores its position and returns
// nil. It returns ErrTypeGone, and bus.ErrFenced when the lane has another
// owner.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() {
		w.why = errStopped // another worker of the type may answer
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
			err = w.publishAll(ctx)
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

// pause waits, and tells offers why they cannot be answered if the API server
// refused.
func (w *Worker) pause(ctx context.Context, d time.Duration, why error) {
	status, offers := why, w.offers
	switch {
	case apierrors.IsForbidden(why) && !w.watched:
		status = fmt.Errorf("%w: %w", ErrNotAllowed, why)
		d = max(d, forbiddenWait) // rights do not change by the second
		if !w.refused {
			w.Log.Warn("not allowed to watch: nothing of it is mirrored until list and watch are granted", "resource", w.name(), "err", why)
		}
		w.refused = true
	case !Refused(why):
		offers = nil
		w.Log.Debug("cannot watch, retrying", "resource", w.name(), "err", why) // the session says it, once for all types
	}
	w.setStatus(status)
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case o := <-offers:
			o.done <- why
		}
	}
}

// resume finds where the type's events end: the newer of what its last message
// says and its bookmark. Without a bookmark of this cluster no list was ever
// finished, so whatever the messages say, it begins anew.
func (w *Worker) resume(ctx context.Context) error {
	b, rev, err := w.Bookmarks.Get(ctx, w.bookmarkKey())
	if errors.Is(err, bus.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	w.bookmark = rev
	if b.ClusterID != w.ClusterID {
		return nil // another cluster of that name: its versions mean nothing here
	}
	w.rv, w.stored = b.ResourceVersion, b.ResourceVersion
	m, err := w.Bus.LastFor(ctx, subject.Events, subject.EventType(w.Part, w.Cluster, w.Type.Group, w.Type.Resource, w.Namespace))
	if errors.Is(err, bus.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := event.ParseChange(m.Header, m.Data)
	if err != nil {
		return fmt.Errorf("message %d of %s: %w", m.Seq, subject.Events, err)
	}
	if c.ClusterID == w.ClusterID && newer(c.Resume, w.rv) {
		w.rv = c.Resume
	}
	return nil
}

// publishAll lists a type that was never listed, or whose past is lost, and
// publishes every object to whoever wants it.
//
// A crash in the middle leaves no bookmark, or one from before, so the next
// start does it again: under the same IDs, and with contents that the
// git-writer sees standing.
func (w *Worker) publishAll(ctx context.Context) error {
	w.index, w.seen, w.listing, w.waiting = nil, nil, nil, nil
	at := w.Registry()
	fresh := index{}
	repeated := false
	version, err := w.list(ctx, func() { clear(fresh) }, func(o *unstructured.Unstructured) error {
		duplicate, err := w.found(ctx, o, fresh, event.Reconcile, nil)
		repeated = repeated || duplicate
		return err
	})
	if err != nil {
		return err
	}
	w.index, w.rv, w.gone, w.fullAt = fresh, version, false, at
	if repeated {
		w.fullAt = 0 // some of it was routed earlier, and not to who has registered since
	}
	// Only from here on may a restart resume by watching.
	return w.store(ctx, true)
}

// found publishes an object of a list unless known says that the lane has it.
func (w *Worker) found(ctx context.Context, o *unstructured.Unstructured, into index, origin event.Origin, known index) (duplicate bool, err error) {
	if _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); out {
		w.count("excluded")
		return false, nil
	}
	key := nameOf(o)
	c := w.change(o)
	c.Op, c.Origin = event.Create, origin
	e, err := w.rendered(ctx, &c, o)
	if err != nil || e == nil {
		return false, err
	}
	old, had := known[key]
	switch {
	case had && old == *e:
		into[key] = *e
		return false, nil
	case had:
		c.Op = event.Update
	}
	if duplicate, err = w.publish(ctx, c); err != nil {
		return false, err
	}
	into[key] = *e
	return duplicate, nil
}

// afterGone closes the gap that a 410 leaves: the newest version of what
// changed since the index was exact, and deletions, at the list's version.
//
// A crash in the middle resumes from the position before the list, is told 410
// again, and finds the rest; by then without an index, so it publishes all.
func (w *Worker) afterGone(ctx context.Context) error {
	if w.index == nil {
		w.rv, w.gone = "", false
		return nil // and everything is published
	}
	fresh := index{}
	version, err := w.list(ctx, func() { clear(fresh) }, func(o *unstructured.Unstructured) error {
		key := nameOf(o)
		_, err := w.found(ctx, o, fresh, event.Live, w.index)
		if e, published := fresh[key]; published {
			w.index[key] = e // a list that begins again does not repeat it
		} else if e, had := w.index[key]; had {
			fresh[key] = e // excluded by now, or dead-lettered, but not deleted
		}
		return err
	})
	if err != nil {
		return err
	}
	for key, e := range w.index {
		if _, stands := fresh[key]; stands {
			continue
		}
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetNamespace(key.Namespace)
		o.SetName(key.Name)
		o.SetUID(e.uid)
		o.SetResourceVersion(version)
		c := w.change(o)
		c.Op, c.Time, c.FieldManager = event.Delete, time.Now(), ""
		if _, err := w.publish(ctx, c); err != nil {
			return err
		}
		delete(w.index, key)
	}
	w.index, w.rv, w.gone = fresh, version, false
	return w.store(ctx, true)
}

// watch follows the type from its position until the request ends. It has moved
// if the server sent anything, or held the request for a while.
func (w *Worker) watch(ctx, ictx context.Context) (moved bool, err error) {
	length := watchLength + rand.N(watchLength)
	if w.index == nil {
		length = catchUpLength
	}
	seconds := int64(length / time.Second)
	wi, err := w.Client.Watch(ctx, metav1.ListOptions{ResourceVersion: w.rv, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", w.name(), err)
	}
	defer wi.Stop()
	w.setStatus(nil)
	w.watched = true
	begun := time.Now()
	if w.index == nil && w.listing == nil && w.waiting == nil {
		w.seen = overlay{}
		w.listing = make(chan listed, 1)
		go w.listIndex(ictx, w.rv, w.listing)
	}
	for {
		offers := w.offers
		if w.index == nil {
			offers = nil
		}
		select {
		case <-ctx.Done():
			return moved, nil
		case ev, open := <-wi.ResultChan():
			if !open {
				if moved = moved || time.Since(begun) >= shortWatch; !moved {
					return false, fmt.Errorf("watching %s: the API server ended the watch at once", w.name())
				}
				return true, nil
			}
			if err := w.handle(ctx, ev); err != nil {
				return moved, err
			}
			moved = true
		case l := <-w.listing:
			w.waiting, w.listing = &l, nil
			if newer(l.from, l.at) {
				// The cluster was restored from a backup: watched from a version that
				// it has not reached again, it would say nothing until it has.
				w.Log.Warn("the API server's versions went back, listing", "resource", w.name(), "resource_version", l.from, "now", l.at)
				w.rv = ""
				return moved, nil
			}
		case o := <-offers:
			o.done <- w.offer(ctx, o.Offer)
		}
		if w.waiting != nil && !newer(w.waiting.at, w.rv) {
			w.index = merge(w.waiting.index, w.waiting.at, w.seen)
			w.waiting, w.seen = nil, nil
			w.Log.Debug("index is exact again", "resource", w.name(), "objects", len(w.index), "resource_version", w.rv)
		}
	}
}

// listIndex lists the type for its index alone, as often as it takes.
func (w *Worker) listIndex(ctx context.Context, from string, to chan<- listed) {
	var backoff fault.Backoff
	for {
		idx := index{}
		at, err := w.list(ctx, func() { clear(idx) }, func(o *unstructured.Unstructured) error {
			if _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); out {
				return nil
			}
			var c event.Change
			if err := render(&c, o); err == nil {
				idx[nameOf(o)] = entry{o.GetUID(), c.Hash}
			}
			return nil // one that cannot be rendered was dead-lettered when it came
		})
		w.mu.Lock()
		w.noIndex = err
		w.mu.Unlock()
		if err == nil {
			to <- listed{idx, from, at}
			return
		}
		// The watch may be allowed where the list is not.
		offers := w.offers
		if !Refused(err) {
			offers = nil
		}
		t := time.NewTimer(backoff.Next())
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
				waiting = false
			case o := <-offers:
				o.done <- err
			}
		}
	}
}

// handle takes one event of the watch.
func (w *Worker) handle(ctx context.Context, ev watch.Event) error {
	o, ok := ev.Object.(*unstructured.Unstructured)
	switch {
	case ev.Type == watch.Error:
		return fmt.Errorf("watching %s: %w", w.name(), apierrors.FromObject(ev.Object))
	case !ok:
		return fmt.Errorf("watching %s: an event holds a %T", w.name(), ev.Object)
	case ev.Type == watch.Bookmark:
		w.rv = o.GetResourceVersion()
		return w.store(ctx, false)
	}
	key := nameOf(o)
	c := w.change(o)
	c.Resume = c.ResourceVersion
	known, had := w.index[key]
	next := version{rv: c.ResourceVersion}
	switch _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); {
	case out && (ev.Type != watch.Deleted || !had):
		w.count("excluded")
		w.rv = c.ResourceVersion
		return nil
	case ev.Type == watch.Deleted:
		c.Op, c.Time, next.gone = event.Delete, time.Now(), true
		c.FieldManager = "" // whoever wrote it last is not who deleted it
	default:
		c.Op = event.Update
		if ev.Type == watch.Added {
			c.Op = event.Create
		}
		e, err := w.rendered(ctx, &c, o)
		if err != nil {
			return err
		}
		if e == nil || (had && known == *e) {
			w.rv = c.ResourceVersion
			return w.store(ctx, false)
		}
		next.entry = *e
	}
	if _, err := w.publish(ctx, c); err != nil {
		return err
	}
	w.rv = c.ResourceVersion
	switch {
	case w.index == nil:
		w.seen[key] = next
	case next.gone:
		delete(w.index, key)
	default:
		w.index[key] = next.entry
	}
	return nil
}

// rendered renders a change. One that cannot be goes to the dead letters, and
// then there is no entry.
func (w *Worker) rendered(ctx context.Context, c *event.Change, o *unstructured.Unstructured) (*entry, error) {
	if err := render(c, o); err != nil {
		return nil, w.deadLetter(ctx, *c, err)
	}
	return &entry{o.GetUID(), c.Hash}, nil
}

// offer publishes to one destination what the index holds and the API server
// still has: an object that is different there has a newer version coming by
// the watch.
func (w *Worker) offer(ctx context.Context, o Offer) error {
	if o.New && w.fullAt >= o.Revision {
		return nil // everything was published after it had registered
	}
	_, err := w.list(ctx, func() {}, func(u *unstructured.Unstructured) error {
		known, ok := w.index[nameOf(u)]
		c := w.change(u)
		if !ok || !o.Destination.Selects(w.Cluster, c.Object) {
			return nil
		}
		if err := render(&c, u); err != nil || known != (entry{u.GetUID(), c.Hash}) {
			return nil //nolint:nilerr // one that cannot be rendered was dead-lettered when it came
		}
		c.Op, c.Origin = event.Update, event.Reconcile
		c.Destination, c.Run, c.Attempt = o.Destination.Key.String(), o.Run, o.Attempt
		_, err := w.publish(ctx, c)
		return err
	})
	return err
}

// publish stores a change in the lane, or in the dead letters if it never can.
// A duplicate was stored before, by somebody.
func (w *Worker) publish(ctx context.Context, c event.Change) (duplicate bool, err error) {
	h, body := c.Message()
	duplicate, err = w.Lane.Publish(ctx, subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	})
	switch {
	case err == nil && duplicate:
		w.count("duplicate")
	case err == nil:
		w.count("published")
	case fault.ClassOf(err) == fault.Poison:
		return false, w.deadLetter(ctx, c, err)
	}
	return duplicate, err
}

// deadLetter keeps what a change was about, not what it held.
func (w *Worker) deadLetter(ctx context.Context, c event.Change, why error) error {
	size := len(c.Manifest)
	c.Manifest, c.Hash, c.Op = nil, "", event.Delete // an envelope without a body is a DELETE's
	h, _ := c.Message()
	delete(h, event.HeaderOp)
	seq, _ := strconv.ParseUint(c.ResourceVersion, 10, 64) // one write of one object, within a cluster
	m := bus.Message{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Seq: seq, Header: h,
	}
	if err := w.Bus.DeadLetter(ctx, "watcher", event.DestinationKey{Cluster: w.Cluster}, w.Type.GroupResource().String(), m, why); err != nil {
		return err
	}
	w.count("dead_lettered")
	w.Log.Error("version cannot be written, sent to the dead letters", "resource", c.Object.String(), "bytes", size, "err", why)
	return nil
}

// store keeps the position, so that the next start watches from here. Who owns
// the lane is not decided here: a position of whoever lost it is true as well.
func (w *Worker) store(ctx context.Context, now bool) error {
	if w.rv == "" || w.rv == w.stored || (!now && time.Since(w.storedAt) < bookmarkEvery) {
		return nil
	}
	next := event.Bookmark{V: event.Version, ClusterID: w.ClusterID, ResourceVersion: w.rv}
	rev, err := w.Bookmarks.Put(ctx, w.bookmarkKey(), next, w.bookmark)
	if errors.Is(err, bus.ErrConflict) {
		// Our own last write, whose answer was lost, or another watcher's.
		if _, w.bookmark, err = w.Bookmarks.Get(ctx, w.bookmarkKey()); err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		rev, err = w.Bookmarks.Put(ctx, w.bookmarkKey(), next, w.bookmark)
	}
	if err != nil {
		return err
	}
	w.bookmark, w.stored, w.storedAt = rev, w.rv, time.Now()
	return nil
}

func (w *Worker) bookmarkKey() string {
	return subject.BookmarkKey(w.Cluster, w.Type.Group, w.Type.Resource, w.Namespace)
}

func (w *Worker) count(outcome string) { w.Events.WithLabelValues(outcome).Inc() }

func nameOf(o *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
