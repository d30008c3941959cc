package capture

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// change is an object's version as an event, without what only the worker
// knows: op and position.
func (w *Worker) change(o *unstructured.Unstructured) event.Change {
	when, manager := lastWrite(o, nil)
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

// content is what stands of an object in Git: its canonical manifest, and who may read that.
type content struct {
	manifest []byte
	manager  string              // who wrote it, to those who have it so
	audience *selection.Audience // nil: everybody who reads the repository
	mark     string              // of the manifest, where there is an audience
}

// render is an object as a choice of destinations is to have it, and its content hash.
func (w *Worker) render(o *unstructured.Unstructured, choice selection.Choice) (c content, hash string, err error) {
	object := w.object(o.GetNamespace(), o.GetName())
	clean, err := manifest.Sanitize(o.Object, choice.Policy)
	if err != nil {
		return content{}, "", fmt.Errorf("sanitizing %s: %w", object, err)
	}
	c = content{audience: choice.Audience}
	_, c.manager = lastWrite(o, choice.Policy.IgnoreManagers)
	if c.manifest, err = manifest.Encode(clean); err != nil {
		return content{}, "", fmt.Errorf("encoding %s: %w", object, err)
	}
	limit := maxManifest
	if c.audience != nil {
		limit -= c.audience.Size()
		if _, has := clean["sops"]; has {
			return content{}, "", fmt.Errorf("encoding %s: it is encrypted in Git, where the field sops is the tool's own, and has one itself", object)
		}
	}
	if len(c.manifest) > limit {
		return content{}, "", fmt.Errorf("encoding %s: %d bytes are more than the bus takes", object, len(c.manifest))
	}
	if c.audience == nil {
		return c, manifest.Hash(c.manifest), nil
	}
	c.mark = w.Sealing.Key.Mark(secretmark.Object{
		Cluster: w.Cluster, Group: object.Group, Resource: object.Resource, Namespace: object.Namespace, Name: object.Name,
	}, c.manifest)
	return c, secretmark.Hash(c.mark, c.audience.Recipients, c.audience.Fields), nil
}

// fill gives a change its content, and who wrote that: sealed, if not everybody may read it.
func (w *Worker) fill(c *event.Change, hash string, of content) (err error) {
	c.Hash, c.Manifest, c.FieldManager = hash, of.manifest, of.manager
	if of.audience == nil {
		return nil
	}
	c.Path, c.SealedTo = w.path(c.Object, true), w.Sealing.To.String()
	c.Manifest, err = seal.SealContent(w.Sealing.To, seal.Content{
		Object: c.SealedAs(), Mark: of.mark, Recipients: of.audience.Recipients, Fields: of.audience.Fields, Manifest: of.manifest,
	})
	return err
}

// path is where an object's file stands, below the base folder.
func (w *Worker) path(o event.Object, sensitive bool) string {
	id := manifest.Identity{Group: o.Group, Resource: o.Resource, Namespace: o.Namespace, Name: o.Name}
	if sensitive {
		return id.SealedPath()
	}
	return id.Path()
}

// rendered is a version of an object as its destinations are to have it.
type rendered struct {
	index.Entry
	contents map[index.Digest]content // by their hashes
	err      error                    // why it cannot be written, or some of it; nil: it can
}

// unwritable is for whom it cannot be rendered.
func (r rendered) unwritable() (to selection.Set) {
	for of := range r.Renderings() {
		if of.Hash == (index.Digest{}) {
			to = to.With(of.To)
		}
	}
	return to
}

// renderAll renders an object for all who select it, and do not ignore all who own it. What
// cannot be rendered has the zero hash.
func (w *Worker) renderAll(o *unstructured.Unstructured) rendered {
	r := rendered{Entry: index.NewEntry(string(o.GetUID()), o.GetResourceVersion()), contents: map[index.Digest]content{}}
	for _, choice := range w.Selection.Select(o) {
		c, hash, err := w.render(o, choice)
		if errors.Is(err, manifest.ErrIgnored) {
			continue // as if they did not select it
		}
		if err != nil {
			r.err = err
			r.Add(choice.To, index.Digest{})
			continue
		}
		digest := index.DigestOf(hash)
		if _, has := r.contents[digest]; !has {
			r.contents[digest] = c
		}
		r.Add(choice.To, digest)
	}
	if r.To() != "" {
		r.Rest = rest(o)
	}
	return r
}
