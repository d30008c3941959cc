package event

import "testing"

func TestSelectsType(t *testing.T) {
	type of struct{ group, version, resource string }
	configMaps, deployments := of{"", "v1", "configmaps"}, of{"apps", "v1", "deployments"}
	all := []string{"*"}
	everything := Rule{Groups: all, Resources: all}
	except := func(e Rule) Rule {
		r := everything
		r.Except = []Rule{e}
		return r
	}
	for _, tt := range []struct {
		name string
		rule Rule
		of   of
		want bool
	}{
		{"everything, core", everything, configMaps, true},
		{"everything, group", everything, deployments, true},
		{"nothing", Rule{}, configMaps, false},
		{"no group", Rule{Resources: all}, configMaps, false},
		{"no resource", Rule{Groups: all}, configMaps, false},
		{"core group is the empty string", Rule{Groups: []string{""}, Resources: all}, configMaps, true},
		{"core group is not apps", Rule{Groups: []string{""}, Resources: all}, deployments, false},
		{"apps is not the core group", Rule{Groups: []string{"apps"}, Resources: all}, configMaps, false},
		{"one of several groups", Rule{Groups: []string{"", "apps"}, Resources: all}, deployments, true},
		{"group is no prefix", Rule{Groups: []string{"app"}, Resources: all}, deployments, false},
		{"resource", Rule{Groups: all, Resources: []string{"deployments"}}, deployments, true},
		{"other resource", Rule{Groups: all, Resources: []string{"statefulsets"}}, deployments, false},
		{"wildcard among resources", Rule{Groups: all, Resources: []string{"jobs", "*"}}, deployments, true},
		{"wildcard within a name is none", Rule{Groups: all, Resources: []string{"deploy*"}}, deployments, false},
		{"version", Rule{Groups: all, Resources: all, Versions: []string{"v1"}}, deployments, true},
		{"wildcard version", Rule{Groups: all, Resources: all, Versions: all}, deployments, true},
		{"other version", Rule{Groups: all, Resources: all, Versions: []string{"v1beta1"}}, deployments, false},
		{"whatever namespaces", Rule{Groups: all, Resources: all, Namespaces: []string{"shop"}}, deployments, true},
		{"left out whole", except(Rule{Groups: []string{"apps"}, Resources: all}), deployments, false},
		{"others are left out", except(Rule{Groups: []string{"apps"}, Resources: all}), configMaps, true},
		{"left out in a namespace", except(Rule{Groups: all, Resources: all, Namespaces: []string{"shop"}}), deployments, true},
		{"left out by label", except(Rule{Groups: all, Resources: all, Labels: "a"}), deployments, true},
		{"left out by name", except(Rule{Groups: all, Resources: all, Names: all}), deployments, true},
		{"left out by owner", except(Rule{Groups: all, Resources: all, Owners: []string{"*/*"}}), deployments, true},
	} {
		if got := tt.rule.SelectsType(tt.of.group, tt.of.version, tt.of.resource); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
