package capture

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// An API server makes of a stored object what it serves, by the schema of its type: defaults
// are filled in, unknown fields left out. Once the schema changes, the same version of an
// object is another content, and no watch says so. Nobody has written it: it is no change to
// be published, but for a run to bring, one commit for all objects.
//
// So the type is watched anew, since a watch may go on by the schema from before, and then its
// objects are listed as of a position of that watch. Changes are published meanwhile. What
// fails is tried again later, and ends no watch.

const (
	// rereadWait and rereadWaitMax bound the wait until what failed is tried again.
	rereadWait    = 30 * time.Second
	rereadWaitMax = 10 * time.Minute
	// servedWait bounds the question whether the type is served, for which the watch waits.
	servedWait = 5 * time.Second
)

// due is what is to be done about a definition that has changed.
type due int

const (
	nothing    due = iota
	toWatch        // the type is to be watched anew
	toList         // it is, or is about to be: its objects are to be looked at
	inProgress     // they are being listed
)

// reread is how far a worker is with a definition that has changed. It is Run's alone.
type reread struct {
	due     due
	made    int64                           // the generation by which what destinations have was made; 0 if unknown
	indexed int64                           // the one by which the index was listed; 0 if unknown
	next    int64                           // the one that stands in for it once that is done
	touched map[types.NamespacedName]string // the version of what was watched since the list was begun
	reading chan reading                    // where its outcome arrives; nil while there is none
	unread  context.CancelFunc              // ends it
	ahead   *reading                        // the outcome, of a version that was not watched yet
	retry   <-chan time.Time                // until then nothing is tried, since it failed; nil if it may be
	backoff fault.Backoff
}

// reading is the outcome of looking at the objects again.
type reading struct {
	at      string
	differs []differing
	err     error
}

// differing is an object that is served otherwise than the index says, or cannot be rendered.
type differing struct {
	key    types.NamespacedName
	next   index.Version
	change event.Change
	err    error
}

// Reread has the objects of the type looked at once more, behind a look that is under way: its
// definition has changed. It may be called in any goroutine.
func (w *Worker) Reread() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// Defined says which generation of its definition the type has: where that is another one
// than what destinations have was made by, the objects are looked at again. It may be called
// in any goroutine.
func (w *Worker) Defined(generation int64) {
	w.mu.Lock()
	w.defined = generation
	w.mu.Unlock()
	select {
	case w.redefined <- struct{}{}:
	default:
	}
}

// generation is the newest that was heard of, 0 if none was.
func (w *Worker) generation() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.defined
}

// compare has the objects looked at again if their definition is another one than before.
// Where nobody noted which it was, it is taken to be this one.
func (w *Worker) compare() {
	switch now := w.generation(); {
	case now == 0:
	case now == w.reread.next:
		if w.reread.indexed == 0 && now == w.reread.made {
			w.reread.indexed = now // it has not changed since
		}
	case w.reread.made == 0:
		w.asMadeBy(now)
	default:
		w.reread.next = now
		w.renew()
	}
}

// asMadeBy notes that what destinations have, or a run that was asked for will bring, is made
// by a generation of the definition. It stands in the bookmark as soon as that is stored.
func (w *Worker) asMadeBy(generation int64) {
	w.reread.made, w.reread.indexed, w.reread.next = generation, generation, generation
	w.stored = ""
}

// beginAnew is called before the type is watched anew. Without an index of what destinations
// have nobody can tell what differs: all who follow the type are to be asked a run for. What
// was listed, or is being listed, may be of any schema.
func (w *Worker) beginAnew() {
	if w.reread.due == toWatch {
		w.reread.due = toList
	}
	if w.reread.due != toList || w.reread.made == w.reread.next || w.index != nil && w.reread.indexed == w.reread.made {
		return
	}
	w.dropIndex()
	w.reread.due = nothing
	for _, d := range w.Destinations {
		w.changedFor = w.changedFor.With(selection.Only(w.Selection.Place(d.Key)))
	}
}

// renew notes that the objects are to be looked at again.
func (w *Worker) renew() {
	w.stopReading()
	w.reread.due = toWatch
}

// stopReading ends a list of the objects, whose outcome is not wanted any more: it is begun
// anew once there is an exact index.
func (w *Worker) stopReading() {
	w.reread.unread()
	w.reread.reading, w.reread.ahead, w.reread.touched = nil, nil, nil
	if w.reread.due == inProgress {
		w.reread.due = toList
	}
}

// look does what is next about a definition that has changed, and tells whether the watch is
// to begin anew. That of a type that is gone is let go on: it says what was deleted.
//
// A crash before a run was asked for, or before the bookmark, leaves the generation from
// before in that: the next start asks for a run of all who follow the type.
func (w *Worker) look(ctx, ictx context.Context) (anew bool) {
	if w.reread.retry != nil {
		return false
	}
	if err := w.askWhoseChanged(ctx); err != nil {
		w.later(err)
		return false
	}
	switch {
	case w.reread.due == nothing && w.reread.made != w.reread.next:
		w.asMadeBy(w.reread.next)
	case w.reread.due == toWatch:
		sctx, cancel := context.WithTimeout(ctx, servedWait)
		defer cancel()
		if _, err := page(sctx, w.Client, metav1.ListOptions{Limit: 1}); err != nil {
			w.later(err)
			return false
		}
		w.reread.due = toList
		return true
	case w.reread.due == toList && w.index != nil:
		w.reread.due = inProgress
		w.reread.touched = map[types.NamespacedName]string{}
		w.reread.reading = make(chan reading, 1)
		ictx, w.reread.unread = context.WithCancel(ictx)
		go w.readAgain(ictx, w.rv, w.reread.reading)
	}
	return false
}

// later has what failed tried again after a while, during which the watch goes on.
func (w *Worker) later(why error) {
	wait := w.reread.backoff.Next()
	w.Log.Warn("the definition of a type has changed and its objects cannot be looked at again, retrying: until then their files may be as the former one had them",
		"resource", w.name(), "wait", wait.Round(time.Second), "err", why)
	w.reread.retry = time.After(wait)
}

// readAgain lists the type, in its turn, for what is served otherwise than the index has it.
func (w *Worker) readAgain(ctx context.Context, from string, to chan<- reading) {
	select {
	case <-ctx.Done():
		return
	case w.Rereads <- struct{}{}:
		defer func() { <-w.Rereads }()
	}
	var r reading
	r.at, r.err = w.listAsOf(ctx, from, func() { r.differs = nil }, func(o *unstructured.Unstructured) error {
		key, made := nameOf(o), w.renderAll(o)
		d := differing{key: key, next: index.Version{Entry: made.Entry}, change: w.change(o), err: made.err}
		w.mu.Lock()
		defer w.mu.Unlock()
		if made.err != nil || len(w.index.Publications(key, d.next, nil)) > 0 {
			r.differs = append(r.differs, d)
		}
		return nil
	})
	to <- r
}

// takeIn takes what is served otherwise into the index, once the watch has come to where
// it was listed: who has something else of it is to be asked a run for. What was written
// since stays as the watch said it.
func (w *Worker) takeIn(ctx context.Context, r *reading) {
	if r.err != nil {
		w.stopReading()
		w.later(r.err)
		return
	}
	if index.Newer(r.at, w.rv) {
		w.reread.ahead = r
		return
	}
	for _, d := range r.differs {
		if index.Newer(w.reread.touched[d.key], r.at) {
			continue
		}
		if err := w.sameVersion(ctx, d); err != nil {
			w.stopReading()
			w.later(err)
			return
		}
	}
	w.stopReading()
	w.reread.due = nothing
	w.reread.backoff.Reset()
}

// sameVersion takes in what the API server serves of a version that the index has: who has
// something else of it is to be asked a run for.
func (w *Worker) sameVersion(ctx context.Context, d differing) error {
	for _, p := range w.index.Publications(d.key, d.next, nil) {
		w.remember(d.key, d.next, p)
		w.changedFor = w.changedFor.With(p.To)
	}
	w.see(d.key, d.next)
	return w.cannotRender(ctx, d.change, d.next, rendered{Entry: d.next.Entry, err: d.err})
}

// askWhoseChanged asks for a run of those who have something else of a version than the API
// server serves.
func (w *Worker) askWhoseChanged(ctx context.Context) error {
	for _, k := range w.Selection.Keys(w.changedFor) {
		if err := w.AskRun(ctx, k, event.ReasonSchemaChanged); err != nil {
			return err
		}
	}
	w.changedFor = ""
	return nil
}
