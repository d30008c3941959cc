package capture

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// change is an object's version as an event, without what only the worker
// knows: op and position.
func (w *Worker) change(o *unstructured.Unstructured) event.Change {
	when, manager := lastWrite(o)
	return event.Change{
		Object:  w.object(o.GetNamespace(), o.GetName()),
		Cluster: w.Cluster, ClusterID: w.ClusterID,
		UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion(),
		Sanitizer: manifest.Generation, Time: when, FieldManager: manager,
		Origin: event.Live, Registry: w.Registry,
	}
}

func (w *Worker) object(namespace, name string) event.Object {
	return event.Object{
		Group: w.Type.Group, APIVersion: w.Type.Version, Resource: w.Type.Resource, Kind: w.Type.Kind,
		Namespace: namespace, Name: name,
	}
}

// maxManifest is the largest manifest that a message holds beside its envelope.
const maxManifest = bus.MaxPayload - 32<<10

// render is an object's canonical manifest by a policy.
func (w *Worker) render(o *unstructured.Unstructured, policy manifest.Policy) ([]byte, error) {
	object := w.object(o.GetNamespace(), o.GetName())
	clean, err := manifest.Sanitize(o.Object, policy)
	if err != nil {
		return nil, fmt.Errorf("sanitizing %s: %w", object, err)
	}
	content, err := manifest.Encode(clean)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", object, err)
	}
	if len(content) > maxManifest {
		return nil, fmt.Errorf("encoding %s: %d bytes are more than the bus takes", object, len(content))
	}
	return content, nil
}

// rendered is a version of an object as its destinations are to have it.
type rendered struct {
	index.Entry
	contents map[index.Digest][]byte // by their hashes
	err      error                   // why it cannot be written, or some of it; nil: it can
}

// renderAll renders an object for all who select it. What cannot be rendered has the zero
// hash.
func (w *Worker) renderAll(o *unstructured.Unstructured) rendered {
	r := rendered{Entry: index.NewEntry(string(o.GetUID()), o.GetResourceVersion()), contents: map[index.Digest][]byte{}}
	for _, choice := range w.Selection.Select(o) {
		content, err := w.render(o, choice.Policy)
		if err != nil {
			r.err = err
			r.Add(choice.To, index.Digest{})
			continue
		}
		hash := index.DigestOf(manifest.Hash(content))
		r.contents[hash] = content
		r.Add(choice.To, hash)
	}
	return r
}

// lastWrite is when the object's intent was last written, and by whom, as far as
// its managed fields tell: writes of the status are none. An object that tells
// nothing was written when it was created.
func lastWrite(o *unstructured.Unstructured) (time.Time, string) {
	var when time.Time
	var manager string
	for _, f := range o.GetManagedFields() {
		if f.Subresource == "status" || f.Time == nil || f.Time.Time.Before(when) {
			continue
		}
		when, manager = f.Time.Time, f.Manager
	}
	if when.IsZero() {
		when = o.GetCreationTimestamp().Time
	}
	return when, manager
}
