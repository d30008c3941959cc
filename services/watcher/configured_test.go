package watcher

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestSamePlan: plans are the same whatever the order of their destinations, and when these were
// registered.
func TestSamePlan(t *testing.T) {
	of := func(name string, first uint64, rules ...event.Rule) event.Destination {
		return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: name}, First: first, Rules: rules}
	}
	r, s := event.Rule{Of: "WatchRule shop/a"}, event.Rule{Of: "WatchRule shop/b"}
	by := plan{destinations: []event.Destination{of("a", 1, r, s), of("b", 2)}}
	for _, tt := range []struct {
		name string
		now  []event.Destination
		same bool
	}{
		{"in another order", []event.Destination{of("b", 0), of("a", 0, r, s)}, true},
		{"one less", []event.Destination{of("a", 1, r, s)}, false},
		{"one more", []event.Destination{of("a", 1, r, s), of("b", 2), of("c", 3)}, false},
		{"another one", []event.Destination{of("a", 1, r, s), of("c", 2)}, false},
		{"rules in another order", []event.Destination{of("a", 1, s, r), of("b", 2)}, false},
	} {
		if got := by.same(plan{destinations: tt.now}); got != tt.same {
			t.Errorf("%s: the same: %v", tt.name, got)
		}
	}
}
