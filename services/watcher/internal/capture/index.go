package capture

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// entry is what is remembered of an object: enough to see whether its intent
// changed, not what it is.
type entry struct {
	uid  types.UID
	hash string
}

// index is what the lane has published of each object of the type.
type index map[types.NamespacedName]entry

// overlay is what a watch delivered while an index was being listed.
type overlay map[types.NamespacedName]version

// version is an object's state as of a watch event.
type version struct {
	entry
	rv   string
	gone bool
}

// merge is the index as of the watch's position: the list, which is exact as of
// the version it was read at, and what the watch delivered after that.
func merge(listed index, at string, seen overlay) index {
	for k, v := range seen {
		switch {
		case !newer(v.rv, at):
		case v.gone:
			delete(listed, k)
		default:
			listed[k] = v.entry
		}
	}
	return listed
}

// newer reports whether resource version a is later than b. The API server
// promises that versions of one type compare as integers (Kubernetes KEP-5504);
// what does not parse is never newer.
func newer(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c > 0
}

type listed struct {
	index index
	from  string // the watch's position before the list, which is not older in any one history
	at    string
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
		dropped := ctx.Err() != nil
		if !dropped {
			w.noIndex = err
		}
		w.mu.Unlock()
		if dropped {
			return
		}
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

// dropIndex forgets the index, and whatever was to become one.
func (w *Worker) dropIndex() {
	w.unlist()
	w.index, w.seen, w.listing, w.waiting = nil, nil, nil, nil
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noIndex = nil // and the listing, which has ended, does not set it any more
}
