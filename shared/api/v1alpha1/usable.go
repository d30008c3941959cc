package v1alpha1

import (
	"cmp"
	"slices"
)

// Ref names a document.
type Ref struct{ Kind, Namespace, Name string }

// String is the name by which messages call it, such as "WatchRule shop/apps".
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Refused is a document that cannot be worked with, and why.
type Refused struct {
	Ref
	Problems Problems
}

// Usable is what of the documents can be worked with, and what cannot, sorted by kind and
// name. The documents of a cluster come from many people: one that is wrong stands in nobody
// else's way. Of two folders that overlap, the document that comes first has its own. Defaults have
// to be set.
func (d *Documents) Usable() (*Documents, []Refused) {
	usable := &Documents{
		GitRemotes: slices.Clone(d.GitRemotes), GitDestinations: slices.Clone(d.GitDestinations),
		WatchRules: slices.Clone(d.WatchRules), ClusterWatchRules: slices.Clone(d.ClusterWatchRules),
	}
	var all []Refused
	for { // what refers to a document that is refused is refused, too
		c := &checker{}
		if c.each(usable); len(c.found) == 0 { // what is wrong by itself has no folder
			c.overlaps(usable)
			c.references(usable)
		}
		found := slices.DeleteFunc(c.found, func(p Problem) bool { return p.kind == "" }) // of the documents as a whole
		if len(found) == 0 {
			slices.SortFunc(all, func(a, b Refused) int {
				return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
			})
			return usable, all
		}
		wrong := map[string]map[int]Problems{}
		for _, p := range found {
			if wrong[p.kind] == nil {
				wrong[p.kind] = map[int]Problems{}
			}
			wrong[p.kind][p.index] = append(wrong[p.kind][p.index], p)
		}
		usable.GitRemotes = without(usable.GitRemotes, wrong[KindGitRemote], &all, func(o *GitRemote) Ref { return Ref{KindGitRemote, o.Namespace, o.Name} })
		usable.GitDestinations = without(usable.GitDestinations, wrong[KindGitDestination], &all, func(o *GitDestination) Ref { return Ref{KindGitDestination, o.Namespace, o.Name} })
		usable.WatchRules = without(usable.WatchRules, wrong[KindWatchRule], &all, func(o *WatchRule) Ref { return Ref{KindWatchRule, o.Namespace, o.Name} })
		usable.ClusterWatchRules = without(usable.ClusterWatchRules, wrong[KindClusterWatchRule], &all, func(o *ClusterWatchRule) Ref { return Ref{KindClusterWatchRule, "", o.Name} })
	}
}

// without are the documents that nothing is wrong with; the others are added to refused.
func without[T any](documents []T, wrong map[int]Problems, refused *[]Refused, ref func(*T) Ref) (kept []T) {
	for i := range documents {
		if problems := wrong[i]; problems != nil {
			*refused = append(*refused, Refused{ref(&documents[i]), problems})
			continue
		}
		kept = append(kept, documents[i])
	}
	return kept
}
