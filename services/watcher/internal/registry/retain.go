package registry

import (
	"cmp"
	"slices"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Retain adds, to destinations that were compiled of documents, what is registered of those
// that are refused: a document that was changed and is wrong now means what it meant before.
// Without its rules a destination would select less, and remove the rest from Git. all are the
// documents, refused or not.
//
// Consent is never retained: a rule whose document is gone, or refers to another destination
// now, or that the destination does not admit any more, does not count; a recipient that the
// document does not name any more reads nothing new; what it says to be sensitive is; where the document says that Secrets are
// not mirrored, they are not. What never was
// registered means nothing yet, and of a destination whose remote is gone nothing is written
// any more. Rules come in the order of their documents, as if none were wrong: the first one
// that selects an object decides what stands in Git of it.
func Retain(compiled, registered []event.Destination, refused []v1alpha1.Refused, all *v1alpha1.Documents) []event.Destination {
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
		places := placesOf(all, d)
		i := slices.IndexFunc(kept, func(d event.Destination) bool { return d.Key == was.Key })
		if i < 0 {
			if !wrong[refOf(d).String()] || !hasRemote(all, d) {
				continue
			}
			i = len(kept)
			kept = append(kept, was)
			kept[i].First, kept[i].Rules = 0, nil // as it is written: see put
			kept[i].Recipients = slices.DeleteFunc(slices.Clone(was.Recipients), func(key string) bool {
				return !slices.Contains(d.Spec.Encryption.Recipients, key)
			})
			kept[i].Sensitive = union(was.Sensitive, sensitive(d.Spec.Encryption.Types))
		}
		rules := slices.Clone(kept[i].Rules)
		for _, r := range was.Rules {
			if _, stands := places[r.Of]; stands && (wrong[r.Of] || wrong[refOf(d).String()]) {
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
		never[v1alpha1.Ref{Kind: v1alpha1.KindWatchRule, Namespace: r.Namespace, Name: r.Name}.String()] = r.Spec.MirrorSecrets == v1alpha1.MirrorSecretsNever
	}
	for _, r := range all.ClusterWatchRules {
		never[v1alpha1.Ref{Kind: v1alpha1.KindClusterWatchRule, Name: r.Name}.String()] = r.Spec.MirrorSecrets == v1alpha1.MirrorSecretsNever
	}
	return never
}

// Held are the folders that destinations write to, in the order in which they were registered.
func Held(registered []event.Destination) (held []v1alpha1.Holder) {
	first := slices.SortedFunc(slices.Values(registered), func(a, b event.Destination) int { return cmp.Compare(a.First, b.First) })
	for _, d := range first {
		held = append(held, v1alpha1.Holder{Namespace: d.Key.Namespace, Name: d.Key.Name, URL: d.URL, Branch: d.Branch, BaseFolder: d.BaseFolder})
	}
	return held
}

func find(all *v1alpha1.Documents, k event.DestinationKey) *v1alpha1.GitDestination {
	i := slices.IndexFunc(all.GitDestinations, func(d v1alpha1.GitDestination) bool { return d.Namespace == k.Namespace && d.Name == k.Name })
	if i < 0 {
		return nil
	}
	return &all.GitDestinations[i]
}

func refOf(d *v1alpha1.GitDestination) v1alpha1.Ref {
	return v1alpha1.Ref{Kind: v1alpha1.KindGitDestination, Namespace: d.Namespace, Name: d.Name}
}

// hasRemote reports whether a destination's remote is there, wrong or not.
func hasRemote(all *v1alpha1.Documents, d *v1alpha1.GitDestination) bool {
	return slices.ContainsFunc(all.GitRemotes, func(r v1alpha1.GitRemote) bool {
		return r.Namespace == d.Namespace && r.Name == d.Spec.RemoteRef.Name
	})
}

// placesOf numbers the documents with rules of a destination, in order, by their names; those
// that name another destination, or that it does not admit, are left out.
func placesOf(all *v1alpha1.Documents, d *v1alpha1.GitDestination) map[string]int {
	to, places := v1alpha1.DestinationRef{Namespace: d.Namespace, Name: d.Name}, map[string]int{}
	for _, r := range all.WatchRules {
		if r.Spec.DestinationRef == to && d.Admits(r.Namespace) {
			places[v1alpha1.Ref{Kind: v1alpha1.KindWatchRule, Namespace: r.Namespace, Name: r.Name}.String()] = len(places)
		}
	}
	for _, r := range all.ClusterWatchRules {
		if r.Spec.DestinationRef == to {
			places[v1alpha1.Ref{Kind: v1alpha1.KindClusterWatchRule, Name: r.Name}.String()] = len(places)
		}
	}
	return places
}
