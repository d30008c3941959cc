package diff

import (
	"errors"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// types is a set of types as answers name them: resource.group, resource alone in
// the core group, *.group for all of a group; "resource.group in namespace" for a type in
// one namespace. "resource.group other than version" is taken for the type: no path tells
// the version.
type types map[string]struct{}

func typesOf(names ...[]string) types {
	t := types{}
	for _, list := range names {
		for _, name := range list {
			name, _, _ = strings.Cut(name, event.OtherThan)
			t[name] = struct{}{}
		}
	}
	return t
}

func (t types) has(namespace, group, resource string) bool {
	name := resource
	if group != "" {
		name += "." + group
	}
	_, one := t[name]
	_, all := t["*."+group]
	_, there := t[name+event.InNamespace+namespace]
	return one || all || there
}

// typeOf is the type and the namespace of the object whose file has a path, if the path
// tells the type.
func typeOf(path string) (namespace, group, resource string, told bool) {
	id, err := manifest.ParsePath(path)
	if err != nil && !errors.Is(err, manifest.ErrShortened) {
		return "", "", "", false
	}
	// A group that was shortened is empty, and not the core group.
	shortened := id.Group == "" && strings.Count(path, "/") == 3
	return id.Namespace, id.Group, id.Resource, id.Resource != "" && !shortened
}

// sorted is the names in order, each once; nil for none.
func sorted(names []string) []string {
	all := slices.Clone(names)
	slices.Sort(all)
	return slices.Compact(all)
}
