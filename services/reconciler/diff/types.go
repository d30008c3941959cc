package diff

import (
	"errors"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/manifest"
)

// types is a set of types as answers name them: resource.group, resource alone in
// the core group, *.group for all of a group.
type types map[string]struct{}

func typesOf(names ...[]string) types {
	t := types{}
	for _, list := range names {
		for _, name := range list {
			t[name] = struct{}{}
		}
	}
	return t
}

func (t types) has(group, resource string) bool {
	name := resource
	if group != "" {
		name += "." + group
	}
	_, one := t[name]
	_, all := t["*."+group]
	return one || all
}

// typeOf is the type of the object whose file has a path, if the path tells it.
func typeOf(path string) (group, resource string, told bool) {
	id, err := manifest.ParsePath(path)
	if err != nil && !errors.Is(err, manifest.ErrShortened) {
		return "", "", false
	}
	// A group that was shortened is empty, and not the core group.
	shortened := id.Group == "" && strings.Count(path, "/") == 3
	return id.Group, id.Resource, id.Resource != "" && !shortened
}

// sorted is the names in order, each once; nil for none.
func sorted(names []string) []string {
	all := slices.Clone(names)
	slices.Sort(all)
	return slices.Compact(all)
}
