package watcher

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// TestFollower: the definition of a type is told when it is seen for the first time and when it
// is another one than it was, and not when it is seen again, or on its way out, which counts as
// a generation too.
func TestFollower(t *testing.T) {
	var changed []string
	kick := make(chan struct{}, 1)
	f := follower{of: crds, kick: kick, generations: map[types.UID]int64{}, defined: func(gr schema.GroupResource, generation int64, again bool) {
		changed = append(changed, fmt.Sprintf("%s %s %d %v", gr.Group, gr.Resource, generation, again))
	}}
	definition := func(name string, generation int64) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("u-" + name), Generation: generation}}
	}
	leaving := definition("gadgets.example.org", 6)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for _, step := range []struct {
		name string
		ev   watch.Event
		want []string
	}{
		{"one", watch.Event{Type: watch.Added, Object: definition("widgets.example.com", 1)}, []string{"example.com widgets 1 false"}},
		{"another", watch.Event{Type: watch.Added, Object: definition("gadgets.example.org", 5)}, []string{"example.org gadgets 5 false"}},
		{"the status", watch.Event{Type: watch.Modified, Object: definition("widgets.example.com", 1)}, nil},
		{"the schema", watch.Event{Type: watch.Modified, Object: definition("widgets.example.com", 2)}, []string{"example.com widgets 2 true"}},
		{"in the next watch", watch.Event{Type: watch.Added, Object: definition("widgets.example.com", 2)}, nil},
		{"between two watches", watch.Event{Type: watch.Added, Object: definition("widgets.example.com", 4)}, []string{"example.com widgets 4 true"}},
		{"on its way out", watch.Event{Type: watch.Modified, Object: leaving}, nil},
		{"gone", watch.Event{Type: watch.Deleted, Object: leaving}, nil},
		{"an error", watch.Event{Type: watch.Error, Object: &metav1.Status{Code: 410}}, nil},
	} {
		changed = nil
		f.take(step.ev)
		if !slices.Equal(changed, step.want) {
			t.Errorf("%s: %q are told, want %q", step.name, changed, step.want)
		}
		select {
		case <-kick:
		default:
			t.Errorf("%s: the types are not looked at", step.name)
		}
	}
}

// TestFollowerOfOthers: how often an APIService was written says nothing of a schema.
func TestFollowerOfOthers(t *testing.T) {
	f := follower{of: definitions[1], kick: make(chan struct{}, 1), generations: map[types.UID]int64{}, defined: func(gr schema.GroupResource, _ int64, _ bool) { t.Errorf("%s is a custom type", gr) }}
	for generation := range int64(3) {
		f.take(watch.Event{Type: watch.Modified, Object: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "v1.example.com", UID: "u", Generation: generation}}})
	}
}
