package capture

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/fault"
)

type listed struct {
	index index.Index
	from  string // the watch's position before the list, which is not older in any one history
	at    string
}

// listIndex lists the type for its index alone, as often as it takes.
func (w *Worker) listIndex(ctx context.Context, from string, to chan<- listed) {
	var backoff fault.Backoff
	for {
		idx := index.Index{}
		// As of the watch's position, the index is exact at once. As of later, it is
		// when the watch has come there, which may take a quiet type a minute.
		at, err := w.listAsOf(ctx, from, func() { clear(idx) }, func(o *unstructured.Unstructured) error {
			// What cannot be rendered was dead-lettered when it came.
			idx.Put(nameOf(o), index.Version{Entry: w.renderAll(o).Entry})
			return nil
		})
		dropped := false
		w.update(func() {
			if dropped = ctx.Err() != nil; !dropped {
				w.noIndex = err
			}
		})
		if dropped {
			return
		}
		if err == nil {
			to <- listed{idx, from, at}
			return
		}
		if fault.Wait(ctx, backoff.Next()) != nil {
			return
		}
	}
}

// setIndex makes an index the exact one.
func (w *Worker) setIndex(i index.Index) {
	w.seen = nil
	w.update(func() { w.index, w.noIndex = i, nil })
}

// dropIndex forgets the index, and whatever was to become one.
func (w *Worker) dropIndex() {
	w.unlist()
	w.stopReading()
	w.seen, w.listing, w.waiting, w.told, w.askedFor = nil, nil, nil, false, ""
	w.update(func() { w.index, w.noIndex = nil, nil }) // and the listing, which has ended, does not set it any more
}

// remember is what the lane has of a version of an object. While an index is being listed,
// that is the version: until all of it is stored there is no index.
func (w *Worker) remember(key types.NamespacedName, v index.Version, p index.Publication) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == nil {
		w.seen[key] = v
		return
	}
	w.index.Published(key, v, p)
}

// see takes in a version of an object that the lane has, or needs not to have.
func (w *Worker) see(key types.NamespacedName, v index.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index.Seen(key, v)
}

// unwritable is what became of a version that some destinations can never have: what the
// lane has of the object for them stays so, and where it has nothing, the object is there.
func (w *Worker) unwritable(key types.NamespacedName, v index.Version, to selection.Set) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == nil {
		w.seen[key] = v
		return
	}
	w.index.Unwritable(key, v, to)
}
