package event

import "slices"

// Rule selects objects. "*" stands for any value of the first three; a selector that is
// empty selects all. What it means is for the watcher alone to say, which sees whole objects.
type Rule struct {
	Groups    []string `json:"groups"`
	Versions  []string `json:"versions,omitempty"` // empty: any
	Resources []string `json:"resources"`
	// Namespaces limits the rule; empty selects every namespace and the
	// cluster-scoped objects too.
	Namespaces []string `json:"namespaces,omitempty"`
	Labels     string   `json:"labels,omitempty"` // a label selector, as kubectl's -l takes it
	Names      []string `json:"names,omitempty"`  // patterns (path.Match), one of which the name has to match
	Owners     []string `json:"owners,omitempty"` // patterns of Kind.group/name, one of which an owner has to match
	Except     []Rule   `json:"except,omitempty"` // what one of these selects is not selected
	Policy     Policy   `json:"policy,omitzero"`  // of what is selected
	Of         string   `json:"of,omitempty"`     // the document that it stands in: WatchRule shop/apps
}

// Policy is what stands in Git of an object, beyond what is removed of every object. The
// zero value is the default.
type Policy struct {
	DropFinalizers bool     `json:"dropFinalizers,omitempty"`
	KeepOwners     bool     `json:"keepOwners,omitempty"`   // ownerReferences
	KeepTracking   bool     `json:"keepTracking,omitempty"` // marks of GitOps tools
	Drop           []string `json:"drop,omitempty"`         // JSON pointers (RFC 6901)
	// IgnoreManagers are patterns of field managers, in which * stands for any characters and ?
	// for any one: what they alone own is not.
	IgnoreManagers []string `json:"ignoreManagers,omitempty"`
}

// SelectsType reports whether the rule selects objects of a type, in whatever
// namespaces.
func (r Rule) SelectsType(group, version, resource string) bool {
	return matches(r.Groups, group) && matches(r.Resources, resource) &&
		(len(r.Versions) == 0 || matches(r.Versions, version)) &&
		!slices.ContainsFunc(r.Except, func(e Rule) bool { return e.isWhole() && e.SelectsType(group, version, resource) })
}

// isWhole reports whether the rule selects all objects of its types.
func (r Rule) isWhole() bool {
	return len(r.Namespaces) == 0 && r.Labels == "" && len(r.Names) == 0 && len(r.Owners) == 0
}

func matches(allowed []string, v string) bool {
	return slices.Contains(allowed, "*") || slices.Contains(allowed, v)
}
