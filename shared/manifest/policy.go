package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Policy is what stands in Git of an object where people differ. The zero value is the
// default: finalizers stay, and owners and the marks of GitOps tools go.
type Policy struct {
	DropFinalizers bool
	KeepOwners     bool
	KeepTracking   bool
	Drop           []string // JSON pointers (RFC 6901) to what goes, too, as SortPointers has them; see CheckPointer
	IgnoreManagers []string // patterns of field managers, see IgnoresManager: what they alone own goes
}

// ErrPointer says that a JSON pointer names nothing that may be dropped.
var ErrPointer = errors.New("not a JSON pointer to what may be left out")

// identity is what a manifest is not one without.
var identity = []string{"/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"}

// CheckPointer refuses, with an ErrPointer that says why, what is no JSON pointer (RFC 6901),
// and what points to a field by which an object is known.
func CheckPointer(pointer string) error {
	switch {
	case !strings.HasPrefix(pointer, "/"):
		return fmt.Errorf("%w: it does not begin with /", ErrPointer)
	case slices.Contains(identity, pointer):
		return fmt.Errorf("%w: an object is known by that", ErrPointer)
	}
	for rest := pointer; ; {
		_, after, ok := strings.Cut(rest, "~")
		if !ok {
			return nil
		}
		if !strings.HasPrefix(after, "0") && !strings.HasPrefix(after, "1") {
			return fmt.Errorf("%w: a ~ is written ~0, and a / within a name ~1", ErrPointer)
		}
		rest = after
	}
}

// SortPointers puts pointers into an order in which one after the other can be dropped: items
// of a list from its end.
func SortPointers(pointers []string) []string {
	sorted := slices.Clone(pointers)
	slices.SortStableFunc(sorted, func(a, b string) int { return comparePointers(b, a) })
	return slices.Compact(sorted)
}

// comparePointers compares step by step, and numbers as numbers.
func comparePointers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "/"), strings.Split(b, "/"), func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(m, n)
		}
		return cmp.Compare(x, y)
	})
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// apply changes an object whose top level and metadata may be written to.
func (p Policy) apply(out map[string]any) {
	if metadata, ok := out["metadata"].(map[string]any); ok && p.DropFinalizers {
		delete(metadata, "finalizers")
	}
	for _, pointer := range p.Drop {
		steps := strings.Split(pointer, "/")[1:]
		for i := range steps {
			steps[i] = unescapePointer.Replace(steps[i])
		}
		drop(out, steps)
	}
}

// drop removes what a path leads to, if that is there, and of a map that held nothing else
// the map, too: it says nothing any more. The parent must be writable; what is below it is
// copied.
func drop(parent map[string]any, path []string) {
	child, ok := parent[path[0]]
	switch {
	case !ok:
	case len(path) == 1:
		delete(parent, path[0])
	default:
		if kept, changed := without(child, path[1:]); changed {
			parent[path[0]] = kept
			if m, ok := kept.(map[string]any); ok && len(m) == 0 {
				delete(parent, path[0])
			}
		}
	}
}

// without is a value without what a path leads to.
func without(value any, path []string) (kept any, changed bool) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v[path[0]]; !ok {
			return value, false
		}
		v = maps.Clone(v)
		drop(v, path)
		return v, true
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return value, false
		}
		if len(path) == 1 {
			return slices.Delete(slices.Clone(v), i, i+1), true
		}
		item, changed := without(v[i], path[1:])
		if changed {
			v = slices.Clone(v)
			v[i] = item
		}
		return v, changed
	}
	return value, false
}
