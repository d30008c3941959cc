// Package discover finds the types that an API server serves and that can be
// watched.
package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// Type is one resource in the version that the server prefers.
type Type struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// Found is one look at what the server offers.
type Found struct {
	Types  []Type                        // sorted by group and resource
	Others []schema.GroupResource        // served, and not to be listed and watched
	Failed map[schema.GroupVersion]error // groups that could not be asked: their types are unknown, not gone
}

// Types asks the server. A group that does not answer, an aggregated API that
// is down say, is no error: it stands in Failed.
func Types(ctx context.Context, d discovery.DiscoveryInterfaceWithContext) (Found, error) {
	lists, err := discovery.ServerPreferredResourcesWithContext(ctx, d)
	f := Found{}
	if err != nil {
		var ok bool
		if f.Failed, ok = discovery.GroupDiscoveryFailedErrorGroups(err); !ok {
			return Found{}, fmt.Errorf("asking which types the API server serves: %w", err)
		}
	}
	if len(lists) == 0 {
		return Found{}, errors.Join(errors.New("the API server named no types"), err)
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return Found{}, fmt.Errorf("asking which types the API server serves: %w", err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
				f.Others = append(f.Others, schema.GroupResource{Group: gv.Group, Resource: r.Name})
				continue
			}
			f.Types = append(f.Types, Type{gv.WithResource(r.Name), r.Kind, r.Namespaced})
		}
	}
	slices.SortFunc(f.Types, func(a, b Type) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return f, nil
}
