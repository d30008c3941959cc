package registry

import (
	"slices"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Retain adds, to destinations that were compiled of documents, what is registered of those
// that are refused: a document that was changed and is wrong now means what it meant before.
// Without its rules a destination would select less, and remove the rest from Git. What never
// was registered means nothing yet, and of a destination whose remote is gone nothing is
// written any more: keep is whether a destination that is refused goes on as it is registered.
func Retain(compiled, registered []event.Destination, refused []v1alpha1.Refused, keep func(v1alpha1.Ref) bool) []event.Destination {
	wrong := map[string]bool{}
	for _, r := range refused {
		wrong[r.Ref.String()] = true
	}
	all := slices.Clone(compiled)
	for _, was := range registered {
		i := slices.IndexFunc(all, func(d event.Destination) bool { return d.Key == was.Key })
		ref := v1alpha1.Ref{Kind: v1alpha1.KindGitDestination, Namespace: was.Key.Namespace, Name: was.Key.Name}
		switch {
		case i >= 0:
			for _, r := range was.Rules {
				if wrong[r.Of] {
					all[i].Rules = append(slices.Clip(all[i].Rules), r)
				}
			}
		case wrong[ref.String()] && keep(ref):
			was.First = 0 // as it is written: see put
			all = append(all, was)
		}
	}
	return all
}
