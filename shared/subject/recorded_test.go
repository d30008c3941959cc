package subject

import "testing"

// TestEventsOf: it selects what lanes store of a type and in a namespace, and nothing else.
func TestEventsOf(t *testing.T) {
	deployment := EventChange(3, "prod", "apps", "deployments", "shop")
	node := EventChange(1, "east", "", "nodes", "")
	for _, tt := range []struct {
		group, resource, namespace string
		deployment, node           bool
	}{
		{"", "", "", true, true},
		{"", "", "shop", true, false},
		{"apps", "deployments", "", true, false},
		{"apps", "deployments", "shop", true, false},
		{"apps", "deployments", "sho", false, false},
		{"apps", "deployment", "", false, false},
		{"", "deployments", "", false, false},
		{"", "nodes", "", false, true},
	} {
		filter := EventsOf(tt.group, tt.resource, tt.namespace)
		if !match(AllEvents, filter) {
			t.Errorf("%q is not stored by %q", filter, AllEvents)
		}
		for s, want := range map[string]bool{deployment: tt.deployment, node: tt.node, EventFence(1, "east"): false} {
			if match(filter, s) != want {
				t.Errorf("%q selects %q: %t", filter, s, !want)
			}
		}
	}
}
