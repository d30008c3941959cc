// Package unmatched finds what rules name and nothing is: types that the API server does not
// serve, and patterns that no object matches. Neither is an error, since both may come to be,
// and both are what a misspelling looks like.
package unmatched

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Remark is that a part of a document selects nothing.
type Remark struct {
	Path   string // in the document, such as spec.rules[0].resources[1]
	Reason string // one word, CamelCase
	Text   string
}

// The reasons.
const (
	NotServed      = "NotServed"      // by the API server
	LeftOut        = "LeftOut"        // what is served is not what the rule selects
	NothingMatches = "NothingMatches" // of what is served
)

// Types are the remarks on the rules of destinations by what is served, by the rules' documents.
// While a group does not answer, what was said before of a rule that may select of it stays.
func Types(destinations []event.Destination, found discover.Found, before map[string][]Remark) map[string][]Remark {
	all := map[string][]Remark{}
	for _, d := range destinations {
		for n, r := range numbered(d.Rules) {
			path := fmt.Sprintf("spec.rules[%d]", n.place)
			if fails(r, found) {
				for _, said := range before[r.Of] {
					if strings.HasPrefix(said.Path, path+".") {
						all[r.Of] = append(all[r.Of], said)
					}
				}
				continue
			}
			all[r.Of] = append(all[r.Of], typesOf(path, r, d, found)...)
		}
	}
	return all
}

// place is where a rule stands: its place in its destination, and in its document.
type place struct{ index, place int }

// numbered are rules with their places: those of a document stand in its order.
func numbered(rules []event.Rule) func(yield func(place, event.Rule) bool) {
	return func(yield func(place, event.Rule) bool) {
		next := map[string]int{}
		for i, r := range rules {
			if !yield(place{i, next[r.Of]}, r) {
				return
			}
			next[r.Of]++
		}
	}
}

// answers reports whether a rule may select types of a group.
func answers(r event.Rule, group string) bool {
	return slices.Contains(r.Groups, "*") || slices.Contains(r.Groups, group)
}

// fails reports whether a group that a rule may select of does not answer.
func fails(r event.Rule, found discover.Found) bool {
	for gv := range found.Failed {
		if answers(r, gv.Group) {
			return true
		}
	}
	return false
}

func typesOf(path string, r event.Rule, d event.Destination, found discover.Found) (remarks []Remark) {
	say := func(list string, i int, reason, format string, args ...any) {
		remarks = append(remarks, Remark{fmt.Sprintf("%s.%s[%d]", path, list, i), reason, fmt.Sprintf(format, args...)})
	}
	served := map[string]bool{}
	for _, t := range found.Types {
		served[t.Group] = true
	}
	for _, t := range found.Others {
		served[t.Group] = true
	}
	unknown := 0
	for i, group := range r.Groups {
		if group != "*" && !served[group] {
			unknown++
			say("apiGroups", i, NotServed, "the API server does not serve the group %q; correct it, or install what serves it", group)
		}
	}
	if unknown == len(r.Groups) {
		return remarks
	}
	for i, resource := range r.Resources {
		if resource == "*" {
			continue
		}
		var types []discover.Type
		for _, t := range found.Types {
			if answers(r, t.Group) && t.Resource == resource {
				types = append(types, t)
			}
		}
		if len(types) == 0 {
			if slices.ContainsFunc(found.Others, func(o schema.GroupResource) bool { return answers(r, o.Group) && o.Resource == resource }) {
				say("resources", i, LeftOut, "%q cannot be listed and watched, and so not be mirrored; leave it out", resource)
				continue
			}
			say("resources", i, NotServed, "the API server does not serve %q in these apiGroups; correct it (kubectl api-resources shows what there is), or install what serves it", resource)
			continue
		}
		if text := leftOut(types, r, d); text != "" {
			say("resources", i, LeftOut, "%q %s", resource, text)
		}
	}
	return remarks
}

// leftOut is why a rule selects none of types by which it names a resource, "" if it does.
func leftOut(types []discover.Type, r event.Rule, d event.Destination) string {
	sensitive := slices.ContainsFunc(types, func(t discover.Type) bool { _, is := d.Encrypts(t.Group, t.Resource); return is })
	types = slices.DeleteFunc(types, func(t discover.Type) bool { return selection.LeftOut(d, t.GroupResource()) })
	switch {
	case len(types) == 0 && sensitive && d.Withheld != "":
		return "is sensitive: " + d.Withheld.Message()
	case len(types) == 0:
		return "is left out by default; kubescribe explain exclusions says why, and what a destination can lift"
	}
	if len(r.Namespaces) > 0 {
		types = slices.DeleteFunc(types, func(t discover.Type) bool { return !t.Namespaced })
	}
	if len(types) == 0 {
		return "is in no namespace; a ClusterWatchRule without namespaces selects it"
	}
	if len(r.Versions) == 0 || slices.Contains(r.Versions, "*") {
		return ""
	}
	var versions []string
	for _, t := range types {
		if slices.Contains(r.Versions, t.Version) {
			return ""
		}
		versions = append(versions, t.Version)
	}
	return "is mirrored in the version that the API server prefers; write " + strings.Join(versions, " or ") + " in apiVersions, or leave them out"
}
