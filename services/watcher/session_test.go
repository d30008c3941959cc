package watcher

import (
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
