// Package exclusion is the list of what is not mirrored unless a destination asks for it,
// with the reason for each. It is pure.
package exclusion

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Exclusion is one of the list: of whole types, which are then neither listed nor watched,
// or of objects by what is in them.
type Exclusion struct {
	Name string // by which a destination lifts it
	What string // is left out
	Why  string
	// Types are left out whole, as resource.group.
	Types []string

	holds func(of schema.GroupResource, o *unstructured.Unstructured) bool // of an object; nil: of types
}

// All is the list, sorted by name.
func All() []Exclusion { return slices.Clone(all) }

// Lifts reports whether there is an exclusion by a name.
func Lifts(name string) bool {
	return slices.ContainsFunc(all, func(e Exclusion) bool { return e.Name == name })
}

// Types names all types that are left out whole where some exclusions are lifted, sorted, as
// resource.group.
func Types(lifted []string) (types []string) {
	for _, e := range all {
		if !slices.Contains(lifted, e.Name) {
			types = append(types, e.Types...)
		}
	}
	slices.Sort(types)
	return types
}

// Object names the exclusions that hold for an object of a type that is not left out whole.
func Object(of schema.GroupResource, o *unstructured.Unstructured) (names []string) {
	for _, e := range all {
		if e.holds != nil && e.holds(of, o) {
			names = append(names, e.Name)
		}
	}
	return names
}

// Allows reports whether an object is mirrored for which exclusions hold, where some are
// lifted.
func Allows(holding, lifted []string) bool {
	return !slices.ContainsFunc(holding, func(name string) bool { return !slices.Contains(lifted, name) })
}
