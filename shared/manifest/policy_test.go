package manifest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestPolicy: each does what it says and nothing else, to a copy.
func TestPolicy(t *testing.T) {
	type object = map[string]any
	in := object{
		"metadata": object{
			"name": "web", "uid": "u", "finalizers": []any{"example.com/clean"}, "ownerReferences": []any{object{"name": "o"}},
			"labels": object{"app": "web", "argocd.argoproj.io/instance": "shop"}, "annotations": object{"argocd.argoproj.io/tracking-id": "x", "a/b": "c", "~": "d"},
		},
		"spec": object{"replicas": int64(3), "ports": []any{object{"port": int64(80), "name": "http"}, object{"port": int64(81)}}, "only": object{"one": "x"}},
	}
	// by is what stands in Git by default, changed.
	by := func(change func(o, metadata, spec object)) object {
		o := runtime.DeepCopyJSON(in)
		metadata := o["metadata"].(object)
		delete(metadata, "uid")
		delete(metadata, "ownerReferences")
		delete(metadata["labels"].(object), "argocd.argoproj.io/instance")
		delete(metadata["annotations"].(object), "argocd.argoproj.io/tracking-id")
		change(o, metadata, o["spec"].(object))
		return o
	}
	for _, tt := range []struct {
		name   string
		policy Policy
		want   object
	}{
		{"default", Policy{}, by(func(_, _, _ object) {})},
		{"finalizers", Policy{DropFinalizers: true}, by(func(_, metadata, _ object) { delete(metadata, "finalizers") })},
		{"owners", Policy{KeepOwners: true}, by(func(_, metadata, _ object) { metadata["ownerReferences"] = []any{object{"name": "o"}} })},
		{"marks of tools", Policy{KeepTracking: true}, by(func(_, metadata, _ object) {
			metadata["labels"].(object)["argocd.argoproj.io/instance"] = "shop"
			metadata["annotations"].(object)["argocd.argoproj.io/tracking-id"] = "x"
		})},
		{"a field", Policy{Drop: []string{"/spec/replicas"}}, by(func(_, _, spec object) { delete(spec, "replicas") })},
		{"a top-level field", Policy{Drop: []string{"/spec"}}, by(func(o, _, _ object) { delete(o, "spec") })},
		{"names with / and ~", Policy{Drop: []string{"/metadata/annotations/a~1b", "/metadata/annotations/~0"}}, by(func(_, metadata, _ object) { delete(metadata, "annotations") })},
		{"a field of an item", Policy{Drop: []string{"/spec/ports/0/name"}}, by(func(_, _, spec object) { delete(spec["ports"].([]any)[0].(object), "name") })},
		{"an item", Policy{Drop: []string{"/spec/ports/0"}}, by(func(_, _, spec object) { spec["ports"] = spec["ports"].([]any)[1:] })},
		{"several items", Policy{Drop: []string{"/spec/ports/0", "/spec/ports/1", "/spec/ports/0"}}, by(func(_, _, spec object) { spec["ports"] = []any{} })},
		{"the last of a map", Policy{Drop: []string{"/spec/only/one"}}, by(func(_, _, spec object) { delete(spec, "only") })},
		{"what is not there", Policy{Drop: []string{"/spec/none", "/none/at/all", "/spec/ports/7", "/spec/ports/x/name", "/spec/replicas/deep", "/spec/ports/-1"}}, by(func(_, _, _ object) {})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := runtime.DeepCopyJSON(in)
			tt.policy.Drop = SortPointers(tt.policy.Drop)
			got, err := Sanitize(in, tt.policy)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(before, in); diff != "" {
				t.Errorf("input changed (-before +after):\n%s", diff)
			}
			again, err := Sanitize(got, tt.policy)
			if diff := cmp.Diff(got, again); (diff != "" || err != nil) && tt.name != "an item" && tt.name != "several items" { // each time the first
				t.Errorf("not idempotent (-once +twice):\n%s, %v", diff, err)
			}
		})
	}
}

func TestCheckPointer(t *testing.T) {
	for pointer, ok := range map[string]bool{
		"/spec/replicas": true, "/metadata/annotations/a~1b": true, "/spec/~0": true, "/metadata/labels": true, "/": true,
		"": false, "spec": false, "/spec/~": false, "/spec/~2": false, "/apiVersion": false, "/kind": false,
		"/metadata": false, "/metadata/name": false, "/metadata/namespace": false,
	} {
		if err := CheckPointer(pointer); (err == nil) != ok || err != nil && !errors.Is(err, ErrPointer) {
			t.Errorf("%q: %v", pointer, err)
		}
	}
}
