package watcher

import (
	"errors"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestNamespacesOf(t *testing.T) {
	deployments := discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, Kind: "Deployment", Namespaced: true}
	namespaces := discover.Type{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Kind: "Namespace"}
	rule := func(group string, in ...string) event.Rule {
		return event.Rule{Groups: []string{group}, Resources: []string{"*"}, Namespaces: in}
	}
	for _, tt := range []struct {
		name  string
		typ   discover.Type
		rules [][]event.Rule // of each destination
		want  []string
	}{
		{"no destination", deployments, nil, nil},
		{"no rule", deployments, [][]event.Rule{{}}, nil},
		{"another group", deployments, [][]event.Rule{{rule("batch")}}, nil},
		{"everywhere", deployments, [][]event.Rule{{rule("apps")}}, []string{""}},
		{"in some", deployments, [][]event.Rule{{rule("apps", "shop", "billing")}}, []string{"billing", "shop"}},
		{"in some of several rules", deployments, [][]event.Rule{{rule("apps", "shop")}, {rule("*", "shop"), rule("apps", "billing")}}, []string{"billing", "shop"}},
		{"in some, and everywhere for another", deployments, [][]event.Rule{{rule("apps", "shop")}, {rule("*")}}, []string{""}},
		{"cluster-scoped, everywhere", namespaces, [][]event.Rule{{rule("*")}}, []string{""}},
		{"cluster-scoped, narrowed", namespaces, [][]event.Rule{{rule("*", "shop")}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &session{}
			for _, rules := range tt.rules {
				s.destinations = append(s.destinations, event.Destination{Rules: rules})
			}
			if got := s.namespacesOf(tt.typ); !slices.Equal(got, tt.want) {
				t.Errorf("followed in %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLeaves: what rules select in other versions than the one that is followed,
// unless other rules select it in this one.
func TestLeaves(t *testing.T) {
	widgets := discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}, Kind: "Widget", Namespaced: true}
	rule := func(version string, in ...string) event.Rule {
		return event.Rule{Groups: []string{"example.com"}, Versions: []string{version}, Resources: []string{"widgets"}, Namespaces: in}
	}
	for _, tt := range []struct {
		name         string
		rules        []event.Rule
		want         bool
		whereCluster bool // of a cluster-scoped type
	}{
		{"no rule", nil, false, false},
		{"this version", []event.Rule{rule("v1")}, false, false},
		{"any version", []event.Rule{rule("*")}, false, false},
		{"another version", []event.Rule{rule("v1beta1")}, true, true},
		{"another version, in some", []event.Rule{rule("v1beta1", "shop")}, true, false},
		{"both", []event.Rule{rule("v1beta1"), rule("v1")}, false, false},
		{"this one in some", []event.Rule{rule("v1beta1"), rule("v1", "shop")}, true, true},
		{"this one in all of them", []event.Rule{rule("v1beta1", "shop", "billing"), rule("v1", "shop"), rule("*", "billing")}, false, false},
		{"this one in one of them", []event.Rule{rule("v1beta1", "shop", "billing"), rule("v1", "shop")}, true, false},
		{"another resource", []event.Rule{{Groups: []string{"*"}, Versions: []string{"v1beta1"}, Resources: []string{"gadgets"}}}, false, false},
	} {
		d := event.Destination{Key: event.DestinationKey{Cluster: "test"}, Rules: tt.rules}
		if got := leaves(d, widgets); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		cluster := widgets
		cluster.Namespaced = false
		if got := leaves(d, cluster); got != tt.whereCluster {
			t.Errorf("%s, cluster-scoped: %v", tt.name, got)
		}
	}
}

// TestNotServed: what is named as sensitive and is not there is said, unless nobody knows whether it is.
func TestNotServed(t *testing.T) {
	d := event.Destination{Sensitive: []event.Sensitive{{Resource: "configmap"}, {Group: "example.com", Resource: "vaults"}, {Group: "failing.example.com", Resource: "tokens"}}}
	found := discover.Found{
		Types: []discover.Type{
			{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}},
			{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "vaults"}},
		},
		Failed: map[schema.GroupVersion]error{{Group: "failing.example.com", Version: "v1"}: errors.New("it does not answer")},
	}
	if got := notServed(d, found); !slices.Equal(got, []string{"configmap"}) {
		t.Errorf("%q", got)
	}
}

// TestSwitches: a type goes on as it is followed until two looks in a row agree on another
// version, with all of its group there.
func TestSwitches(t *testing.T) {
	v := func(version string) discover.Type {
		return discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: version, Resource: "widgets"}, Kind: "Widget", Namespaced: true}
	}
	none := discover.Type{}
	for _, tt := range []struct {
		name    string
		before  discover.Type
		now     discover.Type
		failing bool
		want    bool
	}{
		{"as it is", v("v1"), v("v1"), false, false},
		{"as it is, while another version fails", none, v("v1"), true, false},
		{"another one at the first look", none, v("v2"), false, false},
		{"another one at the first look behind many", v("v1"), v("v2"), false, false},
		{"another one twice", v("v2"), v("v2"), false, true},
		{"two others", v("v2"), v("v3"), false, false},
		{"another one, while its own fails", v("v2"), v("v2"), true, false},
		{"the one it is again", v("v2"), v("v1"), false, false},
	} {
		if got := switches(v("v1"), tt.before, tt.now, tt.failing); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestFails: a type begins in another version than before unless that one fails.
func TestFails(t *testing.T) {
	now := discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: "v1beta1", Resource: "widgets"}}
	found := discover.Found{Failed: map[schema.GroupVersion]error{
		{Group: "example.com", Version: "v1"}:       errors.New("it does not answer"),
		{Group: "other.example.com", Version: "v2"}: errors.New("it does not answer"),
	}}
	for before, want := range map[string]bool{"": false, "v1beta1": false, "v1": true, "v2": false} {
		if got := fails(now, before, found); got != want {
			t.Errorf("followed in %q before: %v", before, got)
		}
	}
}
