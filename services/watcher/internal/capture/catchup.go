package capture

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/internal/exclude"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/shared/event"
)

// firstList lists a type that was never listed, or whose past is lost, for its
// index. It publishes nothing: what exists comes to a destination by a run. A run
// that freezes this lane from here on waits for the index; where none is to come,
// one is asked for.
//
// A crash before the bookmark leaves none, or one from before, which the API server
// answers with 410: the next start lists and asks again.
func (w *Worker) firstList(ctx context.Context) error {
	w.dropIndex()
	fresh := index.Index{}
	selected := make([]bool, len(w.Destinations))
	version, err := w.list(ctx, w.Client, func() { clear(fresh); clear(selected) }, func(o *unstructured.Unstructured) error {
		if _, out := exclude.Object(w.Type.Group, w.Type.Resource, o); out {
			w.count("excluded")
			return nil
		}
		c := w.change(o)
		if err := w.rendered(ctx, &c, o); err != nil {
			return err
		}
		fresh[nameOf(o)] = index.EntryOf(c)
		for i, d := range w.Destinations {
			selected[i] = selected[i] || d.Selects(w.Cluster, c.Object)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, d := range w.Destinations {
		reason := owing.Listed(w.lost, selected[i])
		if reason == "" {
			continue
		}
		if err := w.AskRun(ctx, d.Key, reason); err != nil {
			return err
		}
	}
	w.setIndex(fresh)
	w.rv, w.gone, w.lost, w.listed = version, false, false, true
	// Only from here on may a restart resume by watching.
	return w.store(ctx, true)
}

// afterGone closes the gap that a 410 leaves: the newest version of what
// changed since the index was exact, and deletions, at the list's version.
//
// A crash in the middle resumes from the position before the list, is told 410
// again, and by then has no index: a run is asked for, which finds the rest.
func (w *Worker) afterGone(ctx context.Context) error {
	if w.index == nil {
		w.rv, w.gone, w.lost = "", false, true
		return nil // and the type is listed anew
	}
	stands := map[types.NamespacedName]struct{}{}
	at, err := w.list(ctx, w.Client, func() { clear(stands) }, func(o *unstructured.Unstructured) error {
		stands[nameOf(o)] = struct{}{}
		return w.found(ctx, o)
	})
	if err != nil {
		return err
	}
	for key, e := range w.index {
		if _, ok := stands[key]; ok {
			continue
		}
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetNamespace(key.Namespace)
		o.SetName(key.Name)
		o.SetUID(e.UID)
		o.SetResourceVersion(at)
		c := w.change(o)
		c.Op, c.Time, c.FieldManager = event.Delete, time.Now(), ""
		if err := w.publish(ctx, c, index.Version{Gone: true}); err != nil {
			return err
		}
	}
	// Whoever begins to read from here on skips what is newer than the list.
	for _, d := range w.Destinations {
		if err := w.CaughtUp(ctx, d.Key); err != nil {
			return err
		}
	}
	w.rv, w.gone, w.listed = at, false, true
	return w.store(ctx, true)
}

// found publishes an object of a list if it differs from what the index holds. One
// that is excluded by now, or cannot be rendered, stays as it was known.
func (w *Worker) found(ctx context.Context, o *unstructured.Unstructured) error {
	key := nameOf(o)
	c := w.change(o)
	_, out := exclude.Object(w.Type.Group, w.Type.Resource, o)
	if !out {
		if err := w.rendered(ctx, &c, o); err != nil {
			return err
		}
	}
	next := index.Version{Entry: index.EntryOf(c)}
	switch w.index.Fate(key, next, out) {
	case index.Excluded:
		w.count("excluded")
	case index.Unwritable:
		w.unwritable(key, c)
	case index.Suppressed:
	case index.Published:
		c.Op = event.Create
		if _, had := w.index[key]; had {
			c.Op = event.Update
		}
		return w.publish(ctx, c, next)
	}
	return nil
}
