package capture

import (
	"cmp"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
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
	defined := w.generation()
	fresh := index.Index{}
	var selected selection.Set
	version, err := w.list(ctx, w.Client, func() { clear(fresh); selected = "" }, func(o *unstructured.Unstructured) error {
		r := w.renderAll(o)
		to := r.To()
		if to == "" {
			w.count("unwanted")
			return nil
		}
		selected = selected.With(to)
		fresh.Put(nameOf(o), index.Version{Entry: r.Entry})
		if r.err != nil {
			c := w.change(o)
			c.To = w.Selection.Keys(r.unwritable())
			return w.deadLetter(ctx, c, r.err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range w.Destinations {
		reason := owing.Listed(w.lost, selected.Has(w.Selection.Place(d.Key)))
		if reason == "" {
			continue
		}
		if err := w.AskRun(ctx, d.Key, reason); err != nil {
			return err
		}
	}
	w.setIndex(fresh)
	w.changedFor, w.reread.due = "", nothing // the run that was asked for, or is to come, brings it
	if defined != 0 {
		w.asMadeBy(defined)
	}
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
	w.stopReading() // what was not watched is not known to have been written
	stands := map[types.NamespacedName]struct{}{}
	at, err := w.list(ctx, w.Client, func() { clear(stands) }, func(o *unstructured.Unstructured) error {
		stands[nameOf(o)] = struct{}{}
		return w.found(ctx, o)
	})
	if flushed := w.flush(ctx); flushed != nil || err != nil {
		return cmp.Or(flushed, err)
	}
	for key, e := range w.index {
		if _, ok := stands[key]; ok {
			continue
		}
		if err := w.await(ctx, key); err != nil {
			return err
		}
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetNamespace(key.Namespace)
		o.SetName(key.Name)
		o.SetUID(e.UID)
		o.SetResourceVersion(at)
		c := w.change(o)
		c.Time, c.FieldManager = time.Now(), ""
		if _, err := w.publishAll(ctx, c, index.Version{Gone: true}, nil, nil); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	// Whoever begins to read from here on skips what is newer than the list.
	for _, d := range w.Destinations {
		if err := w.CaughtUp(ctx, d.Key); err != nil {
			return err
		}
	}
	if err := w.askWhoseChanged(ctx); err != nil {
		return err
	}
	w.rv, w.gone, w.listed = at, false, true
	return w.store(ctx, true)
}

// found publishes an object of a list as far as it differs from what the index holds, unless
// that is of the same version. One that cannot be rendered stays as it was known.
func (w *Worker) found(ctx context.Context, o *unstructured.Unstructured) error {
	if err := w.await(ctx, nameOf(o)); err != nil {
		return err
	}
	c := w.change(o)
	c.Op = event.Create
	had, known := w.index[nameOf(o)]
	if known {
		c.Op = event.Update
	}
	r := w.renderAll(o)
	next := index.Version{Entry: r.Entry}
	if known && had.UID == next.UID && had.Version == next.Entry.Version && had.Version != 0 {
		return w.sameVersion(ctx, differing{key: nameOf(o), next: next, change: w.change(o), err: r.err})
	}
	scaled(&c, o, had, r, time.Now())
	if err := w.cannotRender(ctx, c, next, r); err != nil {
		return err
	}
	_, err := w.publishAll(ctx, c, next, r.contents, nil)
	return err
}
