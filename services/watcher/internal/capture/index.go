package capture

import (
	"context"
	"encoding/hex"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// digest is a content hash: a Git blob id. The zero one is of an object that is
// there and whose content can never be written.
type digest [20]byte

// String is the hash as manifest.Hash prints it, "" of the zero one.
func (d digest) String() string {
	if d == (digest{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// entry is what is remembered of an object: enough to see whether its intent
// changed, not what it is.
type entry struct {
	uid     types.UID
	hash    digest
	version uint64 // resourceVersion; 0 if it is no number
}

// entryOf is the entry of an object with the content hash of its change.
func entryOf(c event.Change) entry {
	e := entry{uid: types.UID(c.UID)}
	_, _ = hex.Decode(e.hash[:], []byte(c.Hash))                // of render: forty digits, or none
	e.version, _ = strconv.ParseUint(c.ResourceVersion, 10, 64) // 0 if it is no number
	return e
}

// same reports whether both are the same intent of the same object.
func (e entry) same(o entry) bool { return e.uid == o.uid && e.hash == o.hash }

// index is what the lane has published of each object of the type, or what was
// there when it was first listed.
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
		at, err := w.list(ctx, w.Client, func() { clear(idx) }, func(o *unstructured.Unstructured) error {
			if _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); out {
				return nil
			}
			c := w.change(o)
			if err := render(&c, o); err != nil {
				c.Hash = "" // it was dead-lettered when it came
			}
			idx[nameOf(o)] = entryOf(c)
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
func (w *Worker) setIndex(i index) {
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
func (w *Worker) remember(key types.NamespacedName, v version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.index == nil:
		w.seen[key] = v
	case v.gone:
		delete(w.index, key)
	default:
		w.index[key] = v.entry
	}
}

// unwritable is what became of an object whose content can never be published:
// what the lane has of it stays so, and one that it has nothing of is there.
func (w *Worker) unwritable(key types.NamespacedName, c event.Change) {
	if _, had := w.index[key]; !had {
		c.Hash = ""
		w.remember(key, version{entry: entryOf(c), rv: c.ResourceVersion})
	}
}
