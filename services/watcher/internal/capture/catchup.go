package capture

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/shared/event"
)

// publishAll lists a type that was never listed, or whose past is lost, and
// publishes every object to whoever wants it.
//
// A crash in the middle leaves no bookmark, or one from before, so the next
// start does it again: under the same IDs, and with contents that the
// git-writer sees standing.
func (w *Worker) publishAll(ctx context.Context) error {
	w.dropIndex()
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
