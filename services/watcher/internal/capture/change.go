package capture

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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

// render gives a change its canonical manifest and content hash.
func render(c *event.Change, o *unstructured.Unstructured) error {
	clean, err := manifest.Sanitize(o.Object)
	if err != nil {
		return fmt.Errorf("sanitizing %s: %w", c.Object, err)
	}
	if c.Manifest, err = manifest.Encode(clean); err != nil {
		return fmt.Errorf("encoding %s: %w", c.Object, err)
	}
	if len(c.Manifest) > maxManifest {
		return fmt.Errorf("encoding %s: %d bytes are more than the bus takes", c.Object, len(c.Manifest))
	}
	c.Hash = manifest.Hash(c.Manifest)
	return nil
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
