package capture

import (
	"context"
	"errors"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/event"
)

// errStopped answers who waits for the index of a worker that was stopped:
// another one follows the type, or nobody.
var errStopped = errors.New("the worker of this type has stopped")

// Exact waits for the index to be exact: equal to what the lane has published, and
// what was there before. It fails as [Refused] reports when the API server refuses
// the type, for good as far as can be told, and when the worker has ended.
func (w *Worker) Exact(ctx context.Context) error {
	for {
		w.mu.Lock()
		exact, refused, changed := w.index != nil, w.refusal(), w.changed
		w.mu.Unlock()
		select {
		case <-w.ended:
			return w.why
		default:
		}
		if refused != nil || exact {
			return refused
		}
		select {
		case <-changed:
		case <-w.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusal is why the type is not to be had; nil if it is, or nobody knows yet. It
// is called with mu held.
func (w *Worker) refusal() error {
	switch {
	case errors.Is(w.status, ErrNotAllowed):
		return w.status
	case Refused(w.noIndex): // the watch may be allowed where the list is not
		return w.noIndex
	}
	return nil
}

// Relist has the type listed anew: contents of what the index holds were not to be had.
// The index is exact again once it can be listed. It may be called in any goroutine.
func (w *Worker) Relist() {
	select {
	case w.relist <- struct{}{}:
	default:
	}
}

// Frozen is an object as an index holds it.
type Frozen struct {
	Namespace, Name string
	hash            index.Digest
	Version         uint64
}

// Hash is the content hash; "" of an object that is there, and that cannot be
// written.
func (f Frozen) Hash() string { return f.hash.String() }

// Freeze is what the index holds of the objects that a destination selects; exact
// is false if there is no index to tell. Called in a turn of the lane, it is the
// sum of the changes before that turn.
func (w *Worker) Freeze(d event.DestinationKey) (objects []Frozen, exact bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == nil || w.refusal() != nil {
		return nil, false
	}
	objects = make([]Frozen, 0, len(w.index))
	place := w.Selection.Place(d)
	for key, e := range w.index {
		if hash, ok := e.Of(place); ok {
			objects = append(objects, Frozen{key.Namespace, key.Name, hash, e.Version})
		}
	}
	return objects, true
}

// State tells whether there is an exact index, and whether none is to be waited
// for, because the API server refuses the type.
func (w *Worker) State() (exact, refused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	refused = w.refusal() != nil
	return w.index != nil && !refused, refused
}

// Objects is how many objects the index holds.
func (w *Worker) Objects() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.index)
}
