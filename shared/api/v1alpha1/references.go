package v1alpha1

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// place is a folder of a branch. Folders are compared without case, as some checkouts do.
type place struct{ remote, branch, folder string }

func placeOf(url, branch, folder string) place {
	return place{CanonicalURL(url), branch, strings.ToLower(cmp.Or(folder, rootFolder))}
}

// above are the folders that a place lies in, the nearest one first.
func (p place) above() (all []place) {
	for p.folder != rootFolder {
		p.folder = path.Dir(p.folder)
		all = append(all, p)
	}
	return all
}

// claim is a destination's, of a place.
type claim struct {
	place
	id
	index  int // of the document; -1: it is refused, and goes on writing there
	folder string
}

// claims are those that count, in the order in which they do: first of whoever writes there
// already, then in that of the documents.
func (c *checker) claims(d *Documents) (all []claim) {
	urls := make(map[id]string)
	for i := range d.GitRemotes {
		urls[idOf(&d.GitRemotes[i].ObjectMeta)] = d.GitRemotes[i].Spec.URL
	}
	sound := make(map[id]claim)
	var order []id
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		of, url := idOf(&o.ObjectMeta), urls[id{o.Namespace, o.Spec.RemoteRef.Name}]
		if _, again := sound[of]; again || CanonicalURL(url) == "" || o.Name == "" || baseFolderProblem(o.Spec.BaseFolder) != "" {
			continue
		}
		sound[of] = claim{placeOf(url, o.Spec.Branch, o.Spec.BaseFolder), of, i, o.Spec.BaseFolder}
		order = append(order, of)
	}
	for _, h := range c.held {
		of, p := id{h.Namespace, h.Name}, placeOf(h.URL, h.Branch, h.BaseFolder)
		if mine, ok := sound[of]; ok && mine.place == p {
			all = append(all, mine)
			delete(sound, of)
		} else if c.refused[Ref{KindGitDestination, h.Namespace, h.Name}] != nil {
			all = append(all, claim{p, of, -1, cmp.Or(h.BaseFolder, rootFolder)})
		}
	}
	for _, of := range order {
		if mine, ok := sound[of]; ok {
			all = append(all, mine)
		}
	}
	return all
}

// overlaps refuses destinations that would write into the folder of another one.
func (c *checker) overlaps(d *Documents) {
	taken, around := make(map[place]claim), make(map[place]claim)
	for _, mine := range c.claims(d) {
		if what, other := overlap(mine, taken, around); what != "" && mine.index >= 0 {
			c.at(KindGitDestination, mine.index, &d.GitDestinations[mine.index].ObjectMeta)
			whose := objectName(KindGitDestination, other.namespace, other.name)
			if c.shared && other.namespace != mine.namespace {
				whose = "a GitDestination of another namespace"
			}
			c.add("spec.baseFolder", what+", on the same remote and branch; give each a folder outside the other's", whose)
			continue
		}
		if _, ok := taken[mine.place]; !ok {
			taken[mine.place] = mine
		}
		for _, p := range mine.above() {
			if _, ok := around[p]; !ok {
				around[p] = mine
			}
		}
	}
}

// overlap says how a claim overlaps with those before it, and with which; "" if it does not.
// around are the folders that those lie in.
func overlap(mine claim, taken, around map[place]claim) (what string, other claim) {
	if other, ok := taken[mine.place]; ok {
		if mine.folder != other.folder {
			return "differs only in case from the folder of %s", other
		}
		return "is the folder of %s", other
	}
	for _, p := range mine.above() {
		if other, ok := taken[p]; ok && p.folder == rootFolder {
			return "lies inside the folder of %s, which is the root of the repository", other
		} else if ok {
			return "lies inside the folder of %s", other
		}
	}
	if other, ok := around[mine.place]; ok {
		return "contains the folder of %s", other
	}
	return "", claim{}
}

// references finds those to nothing, and to what does not admit them. It is silent about what
// a nameless document, or a reference without a name, could be. used are the destinations that
// something refers to, if that is certain.
func (c *checker) references(d *Documents) (used map[id]bool, certain bool) {
	remotes, destinations := c.referees(KindGitRemote), c.referees(KindGitDestination)
	for i := range d.GitRemotes {
		remotes.add(idOf(&d.GitRemotes[i].ObjectMeta))
	}
	admits := make(map[id]*GitDestination)
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		destinations.add(idOf(&o.ObjectMeta))
		admits[idOf(&o.ObjectMeta)] = o
	}
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		c.at(KindGitDestination, i, &o.ObjectMeta)
		if problem := remotes.problem(id{o.Namespace, o.Spec.RemoteRef.Name}); problem != "" {
			c.add("spec.remoteRef.name", "%s", problem)
		}
	}
	used, certain = make(map[id]bool), true
	use := func(ref DestinationRef) id {
		to := id{ref.Namespace, ref.Name}
		used[to] = true
		certain = certain && ref.Name != "" && ref.Namespace != ""
		return to
	}
	for i := range d.WatchRules {
		o := &d.WatchRules[i]
		c.at(KindWatchRule, i, &o.ObjectMeta)
		to := use(o.Spec.DestinationRef)
		if c.shared && to.namespace != o.Namespace {
			c.abroad(o.Namespace, to)
			continue
		}
		if problem := destinations.problem(to); problem != "" {
			c.add("spec.destinationRef.name", "%s", problem)
		}
		if at := admits[to]; at != nil && !at.Admits(o.Namespace) {
			c.add("spec.destinationRef", "names a destination that does not admit WatchRules of the namespace %s; add it to spec.allowedNamespaces there, or use one of its own namespace", o.Namespace)
		}
	}
	for i := range d.ClusterWatchRules {
		o := &d.ClusterWatchRules[i]
		c.at(KindClusterWatchRule, i, &o.ObjectMeta)
		if problem := destinations.problem(use(o.Spec.DestinationRef)); problem != "" {
			c.add("spec.destinationRef.name", "%s", problem)
		}
	}
	return used, certain
}

// abroad checks a WatchRule's reference to a destination of another namespace, of which its
// author may know no more than that they are admitted: neither what there is, nor what is
// wrong with it.
func (c *checker) abroad(namespace string, to id) {
	i := slices.IndexFunc(c.all.GitDestinations, func(o GitDestination) bool { return idOf(&o.ObjectMeta) == to })
	wanted := objectName(KindGitDestination, to.namespace, to.name)
	switch {
	case i < 0 || !c.all.GitDestinations[i].Admits(namespace):
		c.add("spec.destinationRef", "%s does not exist, or does not admit WatchRules of the namespace %s; correct the reference, have the namespace added to spec.allowedNamespaces there, or use a destination of its own namespace", wanted, namespace)
	case c.refused[Ref{KindGitDestination, to.namespace, to.name}] != nil:
		c.add("spec.destinationRef.name", "%s is refused, and its status says why; that has to be corrected first", wanted)
	}
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

// referees are the documents of a kind that others refer to.
type referees struct {
	kind     string
	known    map[id]bool
	names    map[string][]string // by namespace; in a file, which one person writes, all by ""
	nameless bool
	shared   bool
	refused  map[Ref]Problems
}

func (c *checker) referees(kind string) *referees {
	return &referees{kind: kind, known: make(map[id]bool), names: make(map[string][]string), shared: c.shared, refused: c.refused}
}

func (r *referees) add(x id) {
	r.known[x] = true
	r.nameless = r.nameless || x.name == ""
	r.names[r.within(x)] = append(r.names[r.within(x)], x.namespace+"/"+x.name)
}

// within is which documents may be named to whoever refers to x: a document of another
// namespace may be one that the author has no right to see.
func (r *referees) within(x id) string {
	if r.shared {
		return x.namespace
	}
	return ""
}

// problem says what is wrong with a reference to one of them.
func (r *referees) problem(x id) string {
	if r.known[x] || r.nameless || x.name == "" || x.namespace == "" {
		return ""
	}
	wanted := objectName(r.kind, x.namespace, x.name)
	if wanted == r.kind {
		wanted = "this " + r.kind
	}
	if why := r.refused[Ref{r.kind, x.namespace, x.name}]; why != nil {
		return wanted + " is refused: " + why.gist() + "; correct that first"
	}
	near := nearest(x.namespace+"/"+x.name, r.names[r.within(x)])
	if near == "" || !printable.MatchString(near) {
		return wanted + " does not exist; add that document or correct the reference"
	}
	return wanted + " does not exist; did you mean " + near + "?"
}
