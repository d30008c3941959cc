package manifest

import (
	"errors"
	"maps"
	"slices"
)

// ErrIgnored says that nothing of an object is to stand in Git: what of it would is owned by
// ignored managers, or by nobody.
var ErrIgnored = errors.New("no manager owns anything of it but those that are ignored")

// owners tells who owns a value and what is in it, by the managed fields of its object.
type owners struct {
	ignored, others claims
	elsewhere       bool // others own what may have another path in the version that the object is in
}

// ownersOf reads an object's managed fields, of whatever subresource, but for its status.
// Those by another version of the API are taken as they stand: most fields have one path in
// all versions.
func ownersOf(obj, metadata map[string]any, ignored []string) (o owners) {
	entries, _ := metadata["managedFields"].([]any)
	for _, entry := range entries {
		entry, _ := entry.(map[string]any)
		manager, _ := entry["manager"].(string)
		subresource, _ := entry["subresource"].(string)
		fields, _ := entry["fieldsV1"].(map[string]any)
		fields = maps.Clone(fields)
		delete(fields, "f:status")
		delete(fields, ".")
		switch _, of := fields["f:metadata"]; {
		case len(fields) == 0:
		case IgnoresManager(ignored, manager, subresource):
			o.ignored = append(o.ignored, fields)
		default:
			o.others = append(o.others, fields)
			o.elsewhere = o.elsewhere || entry["apiVersion"] != obj["apiVersion"] && (!of || len(fields) > 1)
		}
	}
	return o
}

func (o owners) below(step string) owners {
	return owners{ignored: o.ignored.below(step), others: o.others.below(step)}
}

// strip is an object without what ignored managers alone own of it. It stays the object that
// it is: apiVersion, kind, name and namespace have no owners, whatever somebody claims.
func (o owners) strip(obj map[string]any) map[string]any {
	out := make(map[string]any, len(obj))
	for key, value := range obj {
		if left, ok := o.below("f:" + key).left(value); ok {
			out[key] = left
		}
	}
	restore(out, obj, "apiVersion", "kind")
	if metadata, ok := obj["metadata"].(map[string]any); ok {
		left, ok := out["metadata"].(map[string]any)
		if !ok {
			left = map[string]any{}
			out["metadata"] = left
		}
		restore(left, metadata, "name", "namespace")
	}
	return out
}

// left is what is left of a value without what ignored managers alone own; false: nothing
// is. A value goes as a whole where they own it and nobody else owns anything in it: what
// the server has filled in there goes with it. What held nothing else goes, too.
func (o owners) left(value any) (any, bool) {
	switch {
	case len(o.ignored) == 0:
		return value, true
	case o.ignored.whole() && len(o.others) == 0:
		return nil, false
	}
	switch v := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for key, child := range v {
			if left, ok := o.below("f:" + key).left(child); ok {
				kept[key] = left
			}
		}
		return kept, len(kept) > 0 || len(v) == 0 || o.others.whole()
	case []any:
		steps := stepsOf(slices.Concat(o.ignored, o.others))
		kept := make([]any, 0, len(v))
		for i, item := range v {
			var of owners
			names, key := steps.to(i, item)
			for _, name := range names {
				b := o.below(name)
				of.ignored, of.others = append(of.ignored, b.ignored...), append(of.others, b.others...)
			}
			left, ok := of.left(item)
			if !ok {
				continue
			}
			if m, ok := left.(map[string]any); ok && len(key) > 0 {
				restore(m, item.(map[string]any), key...) // an item is known by these
			}
			kept = append(kept, left)
		}
		return kept, len(kept) > 0 || len(v) == 0 || o.others.whole()
	}
	return value, true
}

// restore puts back what a map had, to a copy of which something is missing.
func restore(to, from map[string]any, keys ...string) {
	for _, key := range keys {
		_, has := to[key]
		if value, had := from[key]; had && !has {
			to[key] = value
		}
	}
}

// claims are what managers own of a value, of each the part of its fieldsV1 that is about
// the value: none is about what neither the manager nor anything in it owns.
type claims []map[string]any

// whole reports whether one of them owns the value itself.
func (c claims) whole() bool {
	return slices.ContainsFunc(c, func(fields map[string]any) bool {
		_, itself := fields["."]
		return itself || len(fields) == 0
	})
}

func (c claims) below(step string) (b claims) {
	for _, fields := range c {
		if f, ok := fields[step].(map[string]any); ok {
			b = append(b, f)
		}
	}
	return b
}

// own reports whether any of what is owned stands in an object.
func (c claims) own(obj map[string]any) bool {
	for key, value := range obj {
		if c.below("f:" + key).in(value) {
			return true
		}
	}
	return false
}

// in reports whether any of what is owned of a value, or in it, is there.
func (c claims) in(value any) bool {
	if len(c) == 0 || c.whole() {
		return len(c) > 0
	}
	switch v := value.(type) {
	case map[string]any:
		return c.own(v)
	case []any:
		steps := stepsOf(c)
		if steps.places && len(v) > 0 { // which others may have left by now
			return true
		}
		for i, item := range v {
			names, _ := steps.to(i, item)
			if slices.ContainsFunc(names, func(name string) bool { return c.below(name).in(item) }) {
				return true
			}
		}
	}
	return false
}
