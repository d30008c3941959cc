package capture

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

const (
	// fewObjects are asked for one by one, of a type of whatever size.
	fewObjects = 20
	// perObject is how much dearer an object is asked for alone than in a page: a
	// request is worth that many.
	perObject = 50
)

// Wanted are contents that a run asks of a type.
type Wanted struct {
	For    event.DestinationKey
	Hashes map[string]string // by the path of the file
	// Names are those of the objects, one for each of Hashes, in the order of their
	// paths; nil if a path does not tell one.
	Names []manifest.Identity
	// Dropped reports whether what has a path is not wanted any more, nor is anything
	// behind it. It is asked again and again; nil: all is wanted.
	Dropped func(path string) bool
}

func (q Wanted) dropped(path string) bool { return q.Dropped != nil && q.Dropped(path) }

// Fetch gives the objects that are wanted and still are what is wanted, in no
// order, and perhaps some of them more than once. It may be called in any
// goroutine. An error of the API server fails it, and of each too.
func (w *Worker) Fetch(ctx context.Context, wanted Wanted, each func(event.Change) error) error {
	place := w.Selection.Place(wanted.For)
	sensitive := w.Selection.Sensitive().Has(place)
	take := func(o *unstructured.Unstructured) error {
		path := w.path(w.object(o.GetNamespace(), o.GetName()), sensitive)
		hash, ok := wanted.Hashes[path]
		if !ok || wanted.dropped(path) {
			return nil
		}
		for _, choice := range w.Selection.Select(o) {
			if !choice.To.Has(place) {
				continue
			}
			content, is, err := w.render(o, choice)
			if err != nil || is != hash {
				return nil //nolint:nilerr // one that cannot be rendered was dead-lettered when it came, one that is ignored has left
			}
			c := w.change(o)
			c.Path = path
			if err := w.fill(&c, hash, content); err != nil {
				return err
			}
			return each(c)
		}
		return nil
	}
	if wanted.Names != nil && len(wanted.Names) <= max(fewObjects, w.Objects()/perObject) {
		if err := w.fetchEach(ctx, wanted.Names, take); !apierrors.IsForbidden(err) {
			return err
		}
		// Following a type needs list and watch alone, so get may not be granted.
	}
	spans := byNamespace(wanted.Names)
	if len(spans) == 0 || len(spans) > 1 && len(wanted.Names) < perObject*len(spans) {
		_, err := w.list(ctx, w.Client, func() {}, take)
		return err
	}
	for _, ids := range spans {
		client := w.Client
		if ns := ids[0].Namespace; ns != w.Namespace {
			client = w.Namespaced(ns)
		}
		if wanted.dropped(w.path(w.object(ids[0].Namespace, ids[0].Name), sensitive)) {
			break
		}
		if _, err := w.list(ctx, client, func() {}, take); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) fetchEach(ctx context.Context, ids []manifest.Identity, take func(*unstructured.Unstructured) error) error {
	for _, id := range ids {
		o, err := w.get(ctx, id)
		if apierrors.IsNotFound(err) {
			continue // or the whole type is gone, and the object with it
		}
		if err != nil {
			return fmt.Errorf("reading %s %s/%s: %w", w.name(), id.Namespace, id.Name, err)
		}
		if err := take(o); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) get(ctx context.Context, id manifest.Identity) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	client := w.Client
	if id.Namespace != w.Namespace {
		client = w.Namespaced(id.Namespace)
	}
	return client.Get(ctx, id.Name, metav1.GetOptions{})
}

// byNamespace cuts objects, which are in the order of their paths, where the namespace
// changes.
func byNamespace(ids []manifest.Identity) (spans [][]manifest.Identity) {
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && ids[n].Namespace == ids[0].Namespace {
			n++
		}
		spans, ids = append(spans, ids[:n]), ids[n:]
	}
	return spans
}
