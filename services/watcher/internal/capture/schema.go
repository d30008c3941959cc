package capture

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/event"
)

// An API server makes of a stored object what it serves, by the schema of its type: defaults
// are filled in, unknown fields left out. Once the schema changes, the same version of an
// object is another content, and no watch says so. Nobody has written it: it is no change to
// be published, but for a run to bring, one commit for all objects.

// Reread has the objects of the type looked at again: its definition has changed. It may be
// called in any goroutine.
func (w *Worker) Reread() {
	select {
	case w.reread <- struct{}{}:
	default:
	}
}

// readAgain lists the type as of the watch's position, at which the index is exact, takes in
// what is served otherwise now, and asks for a run of those whose objects that are. The watch
// is to begin anew then: it may go on to serve the schema from before, without what that has
// gained. Of a type that is gone it says what was deleted, and goes on until it ends.
//
// A crash before the request leaves an index that the next start lists by the new schema:
// whichever run comes next, a drift check at last, finds what differs.
func (w *Worker) readAgain(ctx context.Context) (anew bool, err error) {
	if w.index == nil {
		w.dropIndex() // what is being listed may be of that schema, too
		return true, nil
	}
	asOf := metav1.ListOptions{ResourceVersion: w.rv, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	_, err = w.pages(ctx, w.Client, asOf, func(o *unstructured.Unstructured) error {
		r := w.renderAll(o)
		return w.sameVersion(ctx, o, index.Version{Entry: r.Entry}, r)
	})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		w.gone = true // the list that follows looks at all of them, too
		return true, nil
	case err == nil:
		err = w.askWhoseChanged(ctx)
	}
	if err != nil {
		w.Reread() // once it is watched again
	}
	return true, err
}

// sameVersion takes in what the API server serves of a version that the index has: who has
// something else of it is to be asked a run for.
func (w *Worker) sameVersion(ctx context.Context, o *unstructured.Unstructured, next index.Version, r rendered) error {
	key := nameOf(o)
	for _, p := range w.index.Publications(key, next, nil) {
		w.remember(key, next, p)
		w.changedFor = w.changedFor.With(p.To)
	}
	w.see(key, next)
	return w.cannotRender(ctx, w.change(o), next, r)
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
