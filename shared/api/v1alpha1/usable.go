package v1alpha1

import (
	"cmp"
	"maps"
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

// Holder is a destination that writes to a folder already.
//
// +kubebuilder:object:generate=false
type Holder struct {
	Namespace, Name, URL, Branch, BaseFolder string
}

// Usable is what of the documents can be worked with, and what cannot, sorted by kind and
// name. The documents of a cluster come from many people: one that is wrong stands in nobody
// else's way, and what is said of it names no object of a namespace that its author may have no
// right to see. Defaults have to be set.
//
// Those in unread are refused from the start: of them the documents have what could be read.
// Of folders that overlap, the one of whoever comes first in held counts, wrong or not; where
// nobody has it yet, that of the document that comes first: of a cluster's, by namespace and name.
func (d *Documents) Usable(unread []Refused, held []Holder) (*Documents, []Refused) {
	usable := &Documents{
		GitRemotes: slices.Clone(d.GitRemotes), GitDestinations: slices.Clone(d.GitDestinations),
		WatchRules: slices.Clone(d.WatchRules), ClusterWatchRules: slices.Clone(d.ClusterWatchRules),
	}
	refused := make(map[Ref]Problems)
	for _, r := range unread {
		refused[r.Ref] = r.Problems
	}
	for { // what refers to a document that is refused is refused, too
		usable.drop(refused)
		c := &checker{shared: true, all: d, refused: refused, held: held}
		if c.each(usable); len(c.found) == 0 { // what is wrong by itself has no folder
			c.overlaps(usable)
			c.references(usable)
		}
		found := make(map[Ref]Problems)
		for _, p := range c.found {
			ref := usable.ref(p)
			found[ref] = append(found[ref], p)
		}
		if len(found) == 0 {
			break
		}
		maps.Copy(refused, found)
	}
	var all []Refused
	for ref, problems := range refused {
		all = append(all, Refused{ref, problems})
	}
	slices.SortFunc(all, func(a, b Refused) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return usable, all
}

// ref is the document that a problem is of.
func (d *Documents) ref(of Problem) Ref {
	switch i := of.index; of.kind {
	case KindGitRemote:
		return d.GitRemotes[i].Ref()
	case KindGitDestination:
		return d.GitDestinations[i].Ref()
	case KindWatchRule:
		return d.WatchRules[i].Ref()
	default:
		return d.ClusterWatchRules[i].Ref()
	}
}

// drop removes documents.
func (d *Documents) drop(wrong map[Ref]Problems) {
	d.GitRemotes = slices.DeleteFunc(d.GitRemotes, func(o GitRemote) bool { return wrong[o.Ref()] != nil })
	d.GitDestinations = slices.DeleteFunc(d.GitDestinations, func(o GitDestination) bool { return wrong[o.Ref()] != nil })
	d.WatchRules = slices.DeleteFunc(d.WatchRules, func(o WatchRule) bool { return wrong[o.Ref()] != nil })
	d.ClusterWatchRules = slices.DeleteFunc(d.ClusterWatchRules, func(o ClusterWatchRule) bool { return wrong[o.Ref()] != nil })
}

// Ref names the document.
func (r *GitRemote) Ref() Ref { return Ref{KindGitRemote, r.Namespace, r.Name} }

// Ref names the document.
func (d *GitDestination) Ref() Ref { return Ref{KindGitDestination, d.Namespace, d.Name} }

// Ref names the document.
func (r *WatchRule) Ref() Ref { return Ref{KindWatchRule, r.Namespace, r.Name} }

// Ref names the document.
func (r *ClusterWatchRule) Ref() Ref { return Ref{KindClusterWatchRule, "", r.Name} }
