package event

import "slices"

// Selects reports whether any rule of the destination selects an object of a
// cluster.
func (d Destination) Selects(cluster string, o Object) bool {
	return d.Key.Cluster == cluster && slices.ContainsFunc(d.Rules, func(r Rule) bool { return r.Selects(o) })
}

// Selects reports whether the rule selects an object.
func (r Rule) Selects(o Object) bool {
	return r.SelectsType(o.Group, o.APIVersion, o.Resource) &&
		(len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, o.Namespace))
}

// SelectsType reports whether the rule selects objects of a type, in whatever
// namespaces.
func (r Rule) SelectsType(group, version, resource string) bool {
	return matches(r.Groups, group) && matches(r.Resources, resource) &&
		(len(r.Versions) == 0 || matches(r.Versions, version))
}

func matches(allowed []string, v string) bool {
	return slices.Contains(allowed, "*") || slices.Contains(allowed, v)
}
