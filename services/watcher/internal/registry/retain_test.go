package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestRetain: a document that was changed and is wrong now goes on as it is registered; one
// that is gone does not.
func TestRetain(t *testing.T) {
	rule := func(of, name string) event.Rule { return event.Rule{Of: of, Names: []string{name}} }
	live := func(rules ...event.Rule) event.Destination {
		return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"}, Rules: rules}
	}
	registered := live(rule("WatchRule shop/a", "before"), rule("WatchRule shop/b", "before"))
	registered.First = 7
	kept := registered
	kept.First = 0
	refuse := func(kind, name string) []v1alpha1.Refused {
		return []v1alpha1.Refused{{Ref: v1alpha1.Ref{Kind: kind, Namespace: "shop", Name: name}}}
	}
	for _, tt := range []struct {
		name     string
		compiled []event.Destination
		refused  []v1alpha1.Refused
		keep     bool
		want     []event.Destination
	}{
		{"nothing is wrong", []event.Destination{live(rule("WatchRule shop/a", "now"))}, nil, true, []event.Destination{live(rule("WatchRule shop/a", "now"))}},
		{"a rule", []event.Destination{live(rule("WatchRule shop/a", "now"))}, refuse(v1alpha1.KindWatchRule, "b"), true, []event.Destination{live(rule("WatchRule shop/a", "now"), rule("WatchRule shop/b", "before"))}},
		{"a rule that never was right", []event.Destination{live()}, refuse(v1alpha1.KindWatchRule, "c"), true, []event.Destination{live()}},
		{"a rule of the same name and another kind", []event.Destination{live()}, refuse(v1alpha1.KindClusterWatchRule, "a"), true, []event.Destination{live()}},
		{"a destination", nil, refuse(v1alpha1.KindGitDestination, "live"), true, []event.Destination{kept}},
		{"a destination without a remote", nil, refuse(v1alpha1.KindGitDestination, "live"), false, nil},
		{"a destination that is gone", nil, nil, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Retain(tt.compiled, []event.Destination{registered}, tt.refused, func(v1alpha1.Ref) bool { return tt.keep })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
