package capture

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// lastWrite is when the object's intent was last written, and by whom, as far as
// its managed fields tell: writes of the status are none. An object that tells
// nothing was written when it was created. A write that only takes fields away does not show
// there.
//
// Times are in whole seconds. Of several managers in one the API server's order decides: who
// updates is behind who applies, as controllers react to what was applied. One that a policy
// ignores, see manifest.IgnoresManager, is none as long as there is another: what it writes is
// rarely a change to those who have the object so.
func lastWrite(o *unstructured.Unstructured, ignored []string) (time.Time, string) {
	var when time.Time
	var manager, through string
	for _, f := range o.GetManagedFields() {
		if f.Subresource == "status" || f.Time == nil || f.Time.Time.Before(when) {
			continue
		}
		if f.Time.Time.Equal(when) && manifest.IgnoresManager(ignored, f.Manager, f.Subresource) && !manifest.IgnoresManager(ignored, manager, through) {
			continue
		}
		when, manager, through = f.Time.Time, f.Manager, f.Subresource
	}
	if when.IsZero() {
		when = o.GetCreationTimestamp().Time
	}
	return when, manager
}

// scaled gives a change of an object, and what is written of it, its writer, if that is who scaled
// it: the API server notes no time of what is written as the scale subresource, by autoscalers above
// all, and leaves the note of it in the object for as long as nobody else writes the replicas.
//
// It was the scaler if only spec.replicas differ from the version that the index had, which was
// seen right before: whoever writes these otherwise takes them from it. Without that version
// nobody can tell, and lastWrite stands: behind a restart, until the index is exact. So it does
// for a type whose scale is another field.
func scaled(c *event.Change, o *unstructured.Unstructured, had index.Entry, is rendered, now time.Time) {
	if had.UID != is.UID || had.Rest != is.Rest || is.Rest == 0 {
		return
	}
	for _, f := range o.GetManagedFields() {
		if f.Subresource != "scale" || f.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) != nil || fields.Spec["f:replicas"] == nil {
			continue
		}
		c.FieldManager = f.Manager
		for digest, content := range is.contents {
			content.manager = f.Manager
			is.contents[digest] = content
		}
		if now.After(c.Time) { // unless the API server's clock is ahead
			c.Time = now
		}
		return
	}
}

// rest is a hash of all that people and controllers may mean with an object but for spec.replicas,
// and of when it was last written as far as that has a time; 0 if it has no spec.replicas.
func rest(o *unstructured.Unstructured) uint64 {
	if _, has, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "replicas"); !has || err != nil {
		return 0
	}
	clean, err := manifest.Sanitize(o.Object, manifest.Policy{KeepOwners: true, KeepTracking: true, Drop: []string{"/spec/replicas"}})
	if err != nil {
		return 0
	}
	text, err := manifest.Encode(clean)
	if err != nil {
		return 0
	}
	when, _ := lastWrite(o, nil)
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(text, uint64(when.Unix())))
	return h.Sum64()
}
