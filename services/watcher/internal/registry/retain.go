package registry

import (
	"cmp"
	"slices"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Retain adds, to destinations that were compiled of documents, what is registered of those
// that are refused: a document that was changed and is wrong now means what it meant before,
// and so does one that refers to what is gone. Without its rules a destination would select
// less, and remove the rest from Git; without its remote it would be removed, and what waits
// for it on the bus. It ends with its document alone, or where that is another one by the same
// name, which points elsewhere: see [Standing]. all are the documents, refused or not, and unread
// those of which all has what could be read.
//
// Consent is never retained: a rule whose document is gone, or refers to another destination
// now, or that the destination does not admit any more, does not count; a recipient that the
// document does not name any more reads nothing new; what it says to be sensitive is; where it says
// that Secrets are not mirrored, they are not. What never was registered means nothing yet. Rules come in the
// order of their documents, as if none were wrong: the first one that selects an object decides
// what stands in Git of it. The cluster is the one of clusterID, whatever it was before.
func Retain(compiled, registered []event.Destination, refused, unread []v1alpha1.Refused, all *v1alpha1.Documents, clusterID string) []event.Destination {
	wrong := map[string]bool{}
	for _, r := range refused {
		wrong[r.Ref.String()] = true
	}
	never := neverSecrets(all)
	kept := slices.Clone(compiled)
	for _, was := range registered {
		d := find(all, was.Key)
		if d == nil {
			continue
		}
		itself := wrong[d.Ref().String()]
		places := placesOf(all, d)
		i := slices.IndexFunc(kept, func(d event.Destination) bool { return d.Key == was.Key })
		if i < 0 {
			if !itself || !stands(was, d, all, unread) {
				continue
			}
			i = len(kept)
			kept = append(kept, was)
			kept[i].First, kept[i].Rules = 0, nil // as it is written: see put
			kept[i].ClusterID = clusterID
			kept[i].Recipients = slices.DeleteFunc(slices.Clone(was.Recipients), func(key string) bool {
				return !slices.Contains(d.Spec.Encryption.Recipients, key)
			})
			kept[i].Sensitive = union(was.Sensitive, sensitive(d.Spec.Encryption.Types))
		}
		rules := slices.Clone(kept[i].Rules)
		for _, r := range was.Rules {
			if _, stands := places[r.Of]; stands && (wrong[r.Of] || itself) {
				if never[r.Of] {
					r = withoutSecrets(r)
				}
				rules = append(rules, r)
			}
		}
		slices.SortStableFunc(rules, func(a, b event.Rule) int { return places[a.Of] - places[b.Of] })
		kept[i].Rules = rules
	}
	return kept
}

// union are the types of both lists, with the fields of both.
func union(a, b []event.Sensitive) []event.Sensitive {
	all := slices.Clone(a)
	for _, s := range b {
		i := slices.IndexFunc(all, func(o event.Sensitive) bool { return o.Group == s.Group && o.Resource == s.Resource })
		if i < 0 {
			all = append(all, s)
			continue
		}
		all[i].Fields = slices.Compact(slices.Sorted(slices.Values(slices.Concat(all[i].Fields, s.Fields))))
	}
	return all
}

// neverSecrets names the documents with rules that say that Secrets are not mirrored.
func neverSecrets(all *v1alpha1.Documents) map[string]bool {
	never := map[string]bool{}
	for _, r := range all.WatchRules {
		never[r.Ref().String()] = r.Spec.MirrorSecrets == v1alpha1.MirrorSecretsNever
	}
	for _, r := range all.ClusterWatchRules {
		never[r.Ref().String()] = r.Spec.MirrorSecrets == v1alpha1.MirrorSecretsNever
	}
	return never
}

// Standing are the registered destinations but those whose documents point elsewhere, as far as
// that can be read: nobody says any more that the old place is to be written to.
func Standing(registered []event.Destination, all *v1alpha1.Documents, unread []v1alpha1.Refused) []event.Destination {
	return slices.DeleteFunc(slices.Clone(registered), func(was event.Destination) bool {
		d := find(all, was.Key)
		return d != nil && !stands(was, d, all, unread)
	})
}

// stands reports whether nothing that can be read of a destination's document, and of the remote
// that it names, is another place than the registered one.
func stands(was event.Destination, d *v1alpha1.GitDestination, all *v1alpha1.Documents, unread []v1alpha1.Refused) bool {
	reads := func(of v1alpha1.Ref, field string) bool {
		i := slices.IndexFunc(unread, func(r v1alpha1.Refused) bool { return r.Ref == of })
		return i < 0 || !slices.ContainsFunc(unread[i].Problems, func(p v1alpha1.Problem) bool { return p.Path == "spec" || p.Path == "spec."+field })
	}
	if folder := d.Spec.BaseFolder; reads(d.Ref(), "baseFolder") && folder != cmp.Or(was.BaseFolder, ".") {
		return false
	}
	if reads(d.Ref(), "branch") && d.Spec.Branch != was.Branch {
		return false
	}
	i := slices.IndexFunc(all.GitRemotes, func(r v1alpha1.GitRemote) bool {
		return r.Namespace == d.Namespace && r.Name == d.Spec.RemoteRef.Name
	})
	if i < 0 || !v1alpha1.ValidURL(all.GitRemotes[i].Spec.URL) { // it is gone, or wrong: it says of no place
		return true
	}
	return v1alpha1.CanonicalURL(all.GitRemotes[i].Spec.URL) == v1alpha1.CanonicalURL(was.URL)
}

// Held are the folders that destinations write to, in the order in which they were registered.
func Held(registered []event.Destination) (held []v1alpha1.Holder) {
	first := slices.SortedFunc(slices.Values(registered), func(a, b event.Destination) int { return cmp.Compare(a.First, b.First) })
	for _, d := range first {
		held = append(held, v1alpha1.Holder{Namespace: d.Key.Namespace, Name: d.Key.Name, URL: d.URL, Branch: d.Branch, BaseFolder: d.BaseFolder})
	}
	return held
}

// Missing is a document of what is registered that is not there, "" if none is.
func Missing(registered []event.Destination, all *v1alpha1.Documents) string {
	there := map[string]bool{"": true} // a version that did not name the rules' documents
	for _, d := range all.GitDestinations {
		there[d.Ref().String()] = true
	}
	for _, r := range all.WatchRules {
		there[r.Ref().String()] = true
	}
	for _, r := range all.ClusterWatchRules {
		there[r.Ref().String()] = true
	}
	for _, d := range registered {
		of := []string{v1alpha1.Ref{Kind: v1alpha1.KindGitDestination, Namespace: d.Key.Namespace, Name: d.Key.Name}.String()}
		for _, r := range d.Rules {
			of = append(of, r.Of)
		}
		if i := slices.IndexFunc(of, func(name string) bool { return !there[name] }); i >= 0 {
			return of[i]
		}
	}
	return ""
}

func find(all *v1alpha1.Documents, k event.DestinationKey) *v1alpha1.GitDestination {
	i := slices.IndexFunc(all.GitDestinations, func(d v1alpha1.GitDestination) bool { return d.Namespace == k.Namespace && d.Name == k.Name })
	if i < 0 {
		return nil
	}
	return &all.GitDestinations[i]
}

// placesOf numbers the documents with rules of a destination, in order, by their names; those
// that name another destination, or that it does not admit, are left out. One that names none
// is wrong, and may be any's.
func placesOf(all *v1alpha1.Documents, d *v1alpha1.GitDestination) map[string]int {
	names := func(ref v1alpha1.DestinationRef) bool {
		return ref.Name == "" || ref == v1alpha1.DestinationRef{Namespace: d.Namespace, Name: d.Name}
	}
	places := map[string]int{}
	for _, r := range all.WatchRules {
		if names(r.Spec.DestinationRef) && d.Admits(r.Namespace) {
			places[r.Ref().String()] = len(places)
		}
	}
	for _, r := range all.ClusterWatchRules {
		if names(r.Spec.DestinationRef) {
			places[r.Ref().String()] = len(places)
		}
	}
	return places
}
