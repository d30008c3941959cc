package documents

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// read is all documents of a kind, in the order of their namespaces and names, and those that
// cannot be read, or not wholly. Of rules the order decides: it must not depend on when they were
// made, since who replaces one makes it again.
func read[T any](from map[string]document, into *[]T) (unread []v1alpha1.Refused) {
	for _, o := range slices.SortedFunc(maps.Values(from), byName) {
		document, problems := decode[T](o.Unstructured)
		*into = append(*into, document)
		if len(problems) > 0 {
			ref := v1alpha1.Ref{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
			for i := range problems {
				problems[i].Object = ref.String()
			}
			unread = append(unread, v1alpha1.Refused{Ref: ref, Problems: problems})
		}
	}
	return unread
}

func byName(a, b document) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// unreadable is what is wrong with a field of another shape. What stands there is not repeated:
// it may be anything.
const unreadable = "is not what this version of kubescribe reads there; correct it, and see that the custom resource definitions are those of this version: kubectl apply -f deploy/crds"

// decode reads an object without its status. Where that cannot be, definitions of another
// version let something else through: it is what can be read of it, field by field, so that
// what it refers to is known all the same.
func decode[T any](u *unstructured.Unstructured) (document T, problems v1alpha1.Problems) {
	object := func(spec any) map[string]any {
		o := maps.Clone(u.Object)
		delete(o, "status")
		o["spec"] = spec
		return o
	}
	reads := func(spec any, into *T) bool {
		return runtime.DefaultUnstructuredConverter.FromUnstructured(object(spec), into) == nil
	}
	spec := u.Object["spec"]
	if spec != nil && reads(spec, &document) {
		return document, nil
	}
	fields, ok := spec.(map[string]any)
	if !ok {
		problems = append(problems, v1alpha1.Problem{Path: "spec", Text: unreadable})
	}
	legible := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !reads(map[string]any{name: fields[name]}, new(T)) {
			problems = append(problems, v1alpha1.Problem{Path: "spec." + name, Text: unreadable})
			continue
		}
		legible[name] = fields[name]
	}
	document = *new(T) // of what was read before it failed nothing is certain
	reads(legible, &document)
	return document, problems
}
