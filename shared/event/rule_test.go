package event

import "testing"

func TestRuleSelects(t *testing.T) {
	configMap := Object{APIVersion: "v1", Resource: "configmaps", Namespace: "shop", Name: "web"}
	deployment := Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Namespace: "shop", Name: "web"}
	clusterRole := Object{Group: "rbac.authorization.k8s.io", APIVersion: "v1", Resource: "clusterroles", Name: "admin"}
	namespace := Object{APIVersion: "v1", Resource: "namespaces", Name: "shop"}
	all := []string{"*"}
	tests := []struct {
		name string
		rule Rule
		o    Object
		want bool
	}{
		{"everything, core", Rule{Groups: all, Resources: all}, configMap, true},
		{"everything, group", Rule{Groups: all, Resources: all}, deployment, true},
		{"everything, cluster-scoped", Rule{Groups: all, Resources: all}, clusterRole, true},
		{"nothing", Rule{}, configMap, false},
		{"no group", Rule{Resources: all}, configMap, false},
		{"no resource", Rule{Groups: all}, configMap, false},
		{"core group is the empty string", Rule{Groups: []string{""}, Resources: all}, configMap, true},
		{"core group is not apps", Rule{Groups: []string{""}, Resources: all}, deployment, false},
		{"apps is not the core group", Rule{Groups: []string{"apps"}, Resources: all}, configMap, false},
		{"one of several groups", Rule{Groups: []string{"", "apps"}, Resources: all}, deployment, true},
		{"group is no prefix", Rule{Groups: []string{"app"}, Resources: all}, deployment, false},
		{"resource", Rule{Groups: all, Resources: []string{"deployments"}}, deployment, true},
		{"other resource", Rule{Groups: all, Resources: []string{"statefulsets"}}, deployment, false},
		{"wildcard among resources", Rule{Groups: all, Resources: []string{"jobs", "*"}}, deployment, true},
		{"wildcard within a name is none", Rule{Groups: all, Resources: []string{"deploy*"}}, deployment, false},
		{"any version", Rule{Groups: all, Resources: all, Versions: nil}, deployment, true},
		{"version", Rule{Groups: all, Resources: all, Versions: []string{"v1"}}, deployment, true},
		{"wildcard version", Rule{Groups: all, Resources: all, Versions: all}, deployment, true},
		{"other version", Rule{Groups: all, Resources: all, Versions: []string{"v1beta1"}}, deployment, false},
		{"namespace", Rule{Groups: all, Resources: all, Namespaces: []string{"shop"}}, configMap, true},
		{"one of several namespaces", Rule{Groups: all, Resources: all, Namespaces: []string{"billing", "shop"}}, configMap, true},
		{"other namespace", Rule{Groups: all, Resources: all, Namespaces: []string{"billing"}}, configMap, false},
		{"wildcard is no namespace", Rule{Groups: all, Resources: all, Namespaces: all}, configMap, false},
		{"cluster-scoped, limited to namespaces", Rule{Groups: all, Resources: all, Namespaces: []string{"shop"}}, clusterRole, false},
		{"a namespace is not in itself", Rule{Groups: all, Resources: all, Namespaces: []string{"shop"}}, namespace, false},
		{"a namespace, without limit", Rule{Groups: []string{""}, Resources: []string{"namespaces"}}, namespace, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rule.Selects(tt.o); got != tt.want {
				t.Errorf("%+v selects %s: %v", tt.rule, tt.o, got)
			}
			// What selects an object selects its type, or it would not be watched.
			if tt.want && !tt.rule.SelectsType(tt.o.Group, tt.o.APIVersion, tt.o.Resource) {
				t.Errorf("%+v does not select the type of %s", tt.rule, tt.o)
			}
			d := Destination{Key: DestinationKey{Cluster: "prod"}, Rules: []Rule{{Groups: []string{"none"}}, tt.rule}}
			if got := d.Selects("prod", tt.o); got != tt.want {
				t.Errorf("a destination with the rule selects it: %v", got)
			}
			if d.Selects("test", tt.o) {
				t.Error("a destination selects an object of another cluster")
			}
		})
	}
}

func TestObject(t *testing.T) {
	for _, tt := range []struct {
		o         Object
		name, key string
	}{
		{Object{APIVersion: "v1", Resource: "configmaps", Namespace: "shop", Name: "web"}, "configmaps shop/web", "/configmaps/shop/web"},
		{Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Namespace: "shop", Name: "web"}, "deployments.apps shop/web", "apps/deployments/shop/web"},
		{Object{Group: "apps", APIVersion: "v2", Resource: "deployments", Namespace: "shop", Name: "web"}, "deployments.apps shop/web", "apps/deployments/shop/web"},
		{Object{APIVersion: "v1", Resource: "nodes", Name: "web"}, "nodes web", "/nodes//web"},
	} {
		if got := tt.o.String(); got != tt.name {
			t.Errorf("%+v is written %q", tt.o, got)
		}
		if got := tt.o.Key(); got != tt.key {
			t.Errorf("%+v has the key %q", tt.o, got)
		}
	}
}
