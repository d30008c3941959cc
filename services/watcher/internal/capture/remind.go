package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Reminder asks for an object as it is now, for a destination that a version of it did not reach.
type Reminder struct {
	For             event.DestinationKey
	Namespace, Name string
	UID             string // of that version
	Letter          uint64 // the dead letter that says so
}

// reminded is a reminder, and where what becomes of it is told.
type reminded struct {
	Reminder
	done chan<- error
}

// Remind publishes an object once more, as it is now, in the lane: in the order of the object's
// versions. It publishes that the object is gone where it is, and nothing where the destination does
// not select it, or where what has become of it is on its way by the watch. What was published is
// durable once Remind returns; called again for the same letter and version, it is a duplicate.
//
// It waits for the index to be exact, and may be called in any goroutine. Its error is
// fault.Poison where the object cannot be written now either.
func (w *Worker) Remind(ctx context.Context, r Reminder) error {
	done := make(chan error, 1)
	select {
	case w.reminders <- reminded{r, done}:
	case <-w.ended:
		return w.why
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remind is Remind in Run's goroutine, which is the one that publishes: nothing comes in between.
// The API server is asked behind all that was published, so that the object is that version or a
// newer one. A newer one with another content is left to the watch: it would be published in
// front of those between.
func (w *Worker) remind(ctx context.Context, r Reminder) error {
	key := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
	place := w.Selection.Place(r.For)
	o, at, err := w.lookUp(ctx, key)
	if err != nil {
		return err
	}
	had, known := w.index[key]
	if o == nil {
		if known {
			return nil // the watch brings that it is gone
		}
		c := event.Change{
			Object: w.object(r.Namespace, r.Name), Op: event.Delete, Cluster: w.Cluster, ClusterID: w.ClusterID,
			UID: r.UID, ResourceVersion: at, Sanitizer: manifest.Generation, Time: time.Now(), Origin: event.Live, Registry: w.Registry,
		}
		if w.Selection.Sensitive().Has(place) {
			c.Path = w.path(c.Object, true)
		}
		return w.publishAgain(ctx, r, c, func() {})
	}
	for _, choice := range w.Selection.Select(o) {
		if !choice.To.Has(place) {
			continue
		}
		content, hash, err := w.render(o, choice)
		if errors.Is(err, manifest.ErrIgnored) {
			return nil // as if it was not selected
		}
		if err != nil {
			return fault.As(fault.Poison, err)
		}
		digest, has := had.Of(place)
		same := has && digest.String() == hash
		if !same && index.Newer(o.GetResourceVersion(), w.rv) {
			return nil // the watch brings it
		}
		c := w.change(o)
		c.Op = event.Update
		if err := w.fill(&c, hash, content); err != nil {
			return err
		}
		return w.publishAgain(ctx, r, c, func() {
			if !same { // it could not be written before
				next := index.Version{Entry: index.NewEntry(string(o.GetUID()), o.GetResourceVersion())}
				w.remember(key, next, index.Publication{To: selection.Only(place), Hash: index.DigestOf(hash)})
			}
		})
	}
	return nil
}

// publishAgain stores a change because of a letter. The watch goes on from where it is.
func (w *Worker) publishAgain(ctx context.Context, r Reminder, c event.Change, stored func()) error {
	c.To, c.Retry, c.Resume = []event.DestinationKey{r.For}, r.Letter, w.rv
	h, body := c.Message()
	duplicate := false
	_, err := w.Lane.PublishAll(ctx, []bus.Item{{ID: subject.ChangeID(c), Output: bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, Then: func(d bool, err error) {
		duplicate = d
		switch {
		case err == nil:
			stored()
		case fault.ClassOf(err) != fault.Poison:
			w.dropIndex()
		}
	}}})
	switch {
	case err == nil && duplicate:
		w.count("duplicate")
	case err == nil:
		w.count("published")
		w.Log.Info("an object was published once more because of a dead letter", "resource", c.Object.String(), "destination", r.For.String(), "op", string(c.Op), "letter", r.Letter)
	}
	return err
}

// lookUp reads an object as it is now, nil if there is none, and the version at which that was
// so. Like all that follows a type, it takes the right to list alone.
func (w *Worker) lookUp(ctx context.Context, key types.NamespacedName) (o *unstructured.Unstructured, at string, err error) {
	client := w.Client
	if key.Namespace != w.Namespace {
		client = w.Namespaced(key.Namespace)
	}
	at, err = w.pages(ctx, client, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name).String()}, func(found *unstructured.Unstructured) error {
		if nameOf(found) == key {
			o = found
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading %s %s: %w", w.name(), key, err)
	}
	return o, at, nil
}
