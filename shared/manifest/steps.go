package manifest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
)

// steps are the ways that fieldsV1 names items of a list: k:{"name":"x"} by fields of theirs,
// v:"x" by their value, i:3 by their place. By what of an item says that it is meant.
type steps struct {
	names  map[string][]string
	keys   [][]string // the fields that items are known by, most first
	values bool       // some are named by their value
	places bool       // or their place
}

// stepsOf reads those in claims on a list. One that cannot be read names nothing.
func stepsOf(c claims) steps {
	s := steps{names: map[string][]string{}}
	add := func(means string, ok bool, name string) {
		if ok && !slices.Contains(s.names[means], name) {
			s.names[means] = append(s.names[means], name)
		}
	}
	for _, fields := range c {
		for name := range fields {
			kind, text, _ := strings.Cut(name, ":")
			var value any
			if kind != "i" && json.Unmarshal([]byte(text), &value) != nil {
				continue
			}
			switch kind {
			case "i":
				s.places = true
				add("i"+text, true, name)
			case "v":
				s.values = true
				means, ok := meaning("v", value)
				add(means, ok, name)
			case "k":
				key, ok := value.(map[string]any)
				if !ok || len(key) == 0 {
					continue
				}
				of := slices.Sorted(maps.Keys(key))
				if !slices.ContainsFunc(s.keys, func(k []string) bool { return slices.Equal(k, of) }) {
					s.keys = append(s.keys, of)
				}
				means, ok := meaning("k", key)
				add(means, ok, name)
			}
		}
	}
	slices.SortFunc(s.keys, func(a, b []string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), slices.Compare(a, b))
	})
	return s
}

// to are the names of one item of the list, and the fields that it is known by, if any.
func (s steps) to(i int, item any) (names, key []string) {
	names = slices.Clone(s.names["i"+strconv.Itoa(i)])
	if s.values {
		if means, ok := meaning("v", item); ok {
			names = append(names, s.names[means]...)
		}
	}
	fields, _ := item.(map[string]any)
	for _, key := range s.keys {
		of := make(map[string]any, len(key))
		for _, field := range key {
			if value, ok := fields[field]; ok {
				of[field] = value
			}
		}
		if len(of) < len(key) {
			continue
		}
		if means, ok := meaning("k", of); ok && len(s.names[means]) > 0 {
			return append(names, s.names[means]...), key
		}
	}
	return names, nil
}

// meaning is one text for all that is equal.
func meaning(kind string, value any) (string, bool) {
	text, err := json.Marshal(value)
	return kind + string(text), err == nil
}
