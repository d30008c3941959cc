package capture

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/shared/event"
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
			if _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); out {
				return nil
			}
			c := w.change(o)
			if err := render(&c, o); err != nil {
				c.Hash = "" // it was dead-lettered when it came
			}
			idx[nameOf(o)] = index.EntryOf(c)
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
	w.seen, w.listing, w.waiting, w.told = nil, nil, nil, false
	w.update(func() { w.index, w.noIndex = nil, nil }) // and the listing, which has ended, does not set it any more
}

// remember is what became of an object.
func (w *Worker) remember(key types.NamespacedName, v index.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == nil {
		w.seen[key] = v
		return
	}
	w.index.Put(key, v)
}

// unwritable is what became of an object whose content can never be published:
// what the lane has of it stays so, and one that it has nothing of is there.
func (w *Worker) unwritable(key types.NamespacedName, c event.Change) {
	if _, had := w.index[key]; !had {
		c.Hash = ""
		w.remember(key, index.Version{Entry: index.EntryOf(c), RV: c.ResourceVersion})
	}
}
