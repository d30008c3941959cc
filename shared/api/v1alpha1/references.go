package v1alpha1

import (
	"path"
	"slices"
	"strings"
)

// overlaps refuses destinations that would write into each other's folder. Folders
// are compared without case, as some checkouts do.
func (c *checker) overlaps(d *Documents) {
	type place struct{ remote, branch, folder string }
	urls := make(map[id]string)
	for i := range d.GitRemotes {
		urls[idOf(&d.GitRemotes[i].ObjectMeta)] = CanonicalURL(d.GitRemotes[i].Spec.URL)
	}
	placeOf := func(o *GitDestination) (place, bool) {
		url := urls[id{o.Namespace, o.Spec.RemoteRef.Name}]
		sound := url != "" && o.Name != "" && baseFolderProblem(o.Spec.BaseFolder) == ""
		return place{url, o.Spec.Branch, strings.ToLower(o.Spec.BaseFolder)}, sound
	}
	first := make(map[place]*GitDestination)
	seen := make(map[id]bool)
	var others []int
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		p, sound := placeOf(o)
		if !sound || seen[idOf(&o.ObjectMeta)] {
			continue
		}
		seen[idOf(&o.ObjectMeta)] = true
		others = append(others, i)
		if first[p] == nil {
			first[p] = o
		}
	}
	for _, i := range others {
		o := &d.GitDestinations[i]
		p, _ := placeOf(o)
		c.at(KindGitDestination, i, &o.ObjectMeta)
		if other := first[p]; other != o {
			what := "is the folder of %s"
			if o.Spec.BaseFolder != other.Spec.BaseFolder {
				what = "differs only in case from the folder of %s"
			}
			c.overlap(what, other)
			continue
		}
		for p.folder != rootFolder {
			p.folder = path.Dir(p.folder)
			if other := first[p]; other != nil {
				what := "lies inside the folder of %s"
				if p.folder == rootFolder {
					what += ", which is the root of the repository"
				}
				c.overlap(what, other)
				break
			}
		}
	}
}

func (c *checker) overlap(what string, other *GitDestination) {
	c.add("spec.baseFolder", what+", on the same remote and branch; give each a folder outside the other's",
		objectName(KindGitDestination, other.Namespace, other.Name))
}

// references finds those to nothing, and to what does not admit them. It is silent about what
// a nameless document, or a reference without a name, could be. used are the destinations that
// something refers to, if that is certain.
func (c *checker) references(d *Documents) (used map[id]bool, certain bool) {
	remotes, destinations := make([]id, len(d.GitRemotes)), make([]id, len(d.GitDestinations))
	for i := range d.GitRemotes {
		remotes[i] = idOf(&d.GitRemotes[i].ObjectMeta)
	}
	for i := range d.GitDestinations {
		destinations[i] = idOf(&d.GitDestinations[i].ObjectMeta)
	}
	findRemote, findDestination := finder(KindGitRemote, remotes), finder(KindGitDestination, destinations)

	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		c.at(KindGitDestination, i, &o.ObjectMeta)
		if problem := findRemote(id{o.Namespace, o.Spec.RemoteRef.Name}); problem != "" {
			c.add("spec.remoteRef.name", "%s", problem)
		}
	}
	used, certain = make(map[id]bool), true
	use := func(ref DestinationRef) {
		to := id{ref.Namespace, ref.Name}
		used[to] = true
		certain = certain && ref.Name != "" && ref.Namespace != ""
		if problem := findDestination(to); problem != "" {
			c.add("spec.destinationRef.name", "%s", problem)
		}
	}
	for i := range d.WatchRules {
		o := &d.WatchRules[i]
		ref := o.Spec.DestinationRef
		c.at(KindWatchRule, i, &o.ObjectMeta)
		use(ref)
		for j := range d.GitDestinations {
			if to := &d.GitDestinations[j]; idOf(&to.ObjectMeta) == (id{ref.Namespace, ref.Name}) && !to.Admits(o.Namespace) {
				c.add("spec.destinationRef", "names a destination that does not admit WatchRules of the namespace %s; add it to spec.allowedNamespaces there, or use one of its own namespace", o.Namespace)
			}
		}
	}
	for i := range d.ClusterWatchRules {
		o := &d.ClusterWatchRules[i]
		c.at(KindClusterWatchRule, i, &o.ObjectMeta)
		use(o.Spec.DestinationRef)
	}
	return used, certain
}

// unused finds destinations that nothing refers to.
func (c *checker) unused(d *Documents, used map[id]bool, certain bool) {
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		if certain && o.Name != "" && !used[idOf(&o.ObjectMeta)] {
			c.at(KindGitDestination, i, &o.ObjectMeta)
			c.add("", "selects nothing, because no rule refers to it; add a WatchRule or ClusterWatchRule, or remove it")
		}
	}
	if len(d.GitDestinations) == 0 {
		c.found = append(c.found, Problem{Text: "has no GitDestination, so nothing would be written; add one"})
	}
}

// Admits reports whether WatchRules of a namespace may use the destination.
func (d *GitDestination) Admits(namespace string) bool {
	return namespace == d.Namespace || slices.ContainsFunc(d.Spec.AllowedNamespaces, func(pattern string) bool {
		ok, _ := path.Match(pattern, namespace) // a malformed one admits nobody
		return ok
	})
}

// finder returns a function that says what is wrong with a reference to one of ids.
func finder(kind string, ids []id) func(id) string {
	known := make(map[id]bool, len(ids))
	names := make([]string, len(ids))
	for i, x := range ids {
		known[x] = true
		names[i] = x.namespace + "/" + x.name
	}
	nameless := slices.ContainsFunc(ids, func(x id) bool { return x.name == "" })
	return func(x id) string {
		if known[x] || nameless || x.name == "" || x.namespace == "" {
			return ""
		}
		wanted := objectName(kind, x.namespace, x.name)
		if wanted == kind {
			wanted = "this " + kind
		}
		near := nearest(x.namespace+"/"+x.name, names)
		if near == "" || !printable.MatchString(near) {
			return wanted + " does not exist; add that document or correct the reference"
		}
		return wanted + " does not exist; did you mean " + near + "?"
	}
}
