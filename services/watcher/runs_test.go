package watcher

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
)

// TestLacks: an answer lacked what is missing and was not exact, until a run was
// asked for, or what it had is not to be had any more.
func TestLacks(t *testing.T) {
	worker := func(group, resource, namespace string) *running {
		return &running{typ: discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}}, namespace: namespace}
	}
	inA, inB, other := worker("", "configmaps", "a"), worker("", "configmaps", "b"), worker("apps", "deployments", "")
	had, late := worker("example.org", "gadgets", ""), worker("example.org", "gizmos", "")
	o := &debt{missing: []string{"*.example.org", "configmaps"}, held: map[*running]bool{inA: true, had: true}}
	check := func(when string, want ...*running) {
		t.Helper()
		lacking := map[*running]bool{}
		for _, r := range want {
			lacking[r] = true
		}
		for _, r := range []*running{inA, inB, other, had, late} {
			if got := o.lacks(r); got != lacking[r] {
				t.Errorf("%s: %s in %q is lacking: %v", when, r.typ.GroupResource(), r.namespace, got)
			}
		}
	}
	check("answered", inB, late)
	o.held[late] = true
	check("asked for one", inB)
	l := lane{part: 1}
	s := &session{owed: map[lane]*debt{l: o}}
	s.lost(l, []string{"gadgets.example.org", "deployments.apps"})
	check("two are lost", inB, had, other)
}
