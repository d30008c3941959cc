package selection

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

var (
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	pods         = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	leases       = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	clusterroles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
)

// everything is a rule, changed.
func everything(change func(r *event.Rule)) event.Rule {
	r := event.Rule{Groups: []string{"*"}, Resources: []string{"*"}}
	if change != nil {
		change(&r)
	}
	return r
}

func destination(name string, rules ...event.Rule) event.Destination {
	return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: name}, Rules: rules}
}

// object is web in the namespace shop, of team red, owned by an Application.
func object(change func(o *unstructured.Unstructured)) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{
		"name": "web-1", "namespace": "shop", "labels": map[string]any{"team": "red"},
		"ownerReferences": []any{map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "name": "shop", "uid": "u"}},
	}}}
	if change != nil {
		change(o)
	}
	return o
}

func controlled(o *unstructured.Unstructured) {
	o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true}}
}

func TestSelect(t *testing.T) {
	except := func(e event.Rule) func(*event.Rule) { return func(r *event.Rule) { r.Except = []event.Rule{e} } }
	for _, tt := range []struct {
		name string
		rule event.Rule
		of   schema.GroupVersionResource
		o    func(*unstructured.Unstructured)
		want bool
	}{
		{"everything", everything(nil), deployments, nil, true},
		{"another type", everything(func(r *event.Rule) { r.Resources = []string{"pods"} }), deployments, nil, false},
		{"another version", everything(func(r *event.Rule) { r.Versions = []string{"v1beta1"} }), deployments, nil, false},
		{"namespace", everything(func(r *event.Rule) { r.Namespaces = []string{"billing", "shop"} }), deployments, nil, true},
		{"another namespace", everything(func(r *event.Rule) { r.Namespaces = []string{"billing"} }), deployments, nil, false},
		{"no namespace", everything(func(r *event.Rule) { r.Namespaces = []string{"shop"} }), clusterroles, func(o *unstructured.Unstructured) { o.SetNamespace("") }, false},
		{"name", everything(func(r *event.Rule) { r.Names = []string{"api", "web-*"} }), deployments, nil, true},
		{"another name", everything(func(r *event.Rule) { r.Names = []string{"web"} }), deployments, nil, false},
		{"label", everything(func(r *event.Rule) { r.Labels = "team in (red,blue),!legacy" }), deployments, nil, true},
		{"another label", everything(func(r *event.Rule) { r.Labels = "team=blue" }), deployments, nil, false},
		{"owner", everything(func(r *event.Rule) { r.Owners = []string{"Application.argoproj.io/*"} }), deployments, nil, true},
		{"another owner", everything(func(r *event.Rule) { r.Owners = []string{"Application.argoproj.io/billing"} }), deployments, nil, false},
		{"no owner", everything(func(r *event.Rule) { r.Owners = []string{"*/*"} }), deployments, func(o *unstructured.Unstructured) { o.SetOwnerReferences(nil) }, false},
		{"owner in the core group", everything(func(r *event.Rule) { r.Owners = []string{"ConfigMap/c"} }), deployments, func(o *unstructured.Unstructured) {
			o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}}
		}, true},
		{"but this name", everything(except(everything(func(r *event.Rule) { r.Names = []string{"web-*"} }))), deployments, nil, false},
		{"but this name of others", everything(except(event.Rule{Groups: []string{""}, Resources: []string{"*"}, Names: []string{"web-*"}})), deployments, nil, true},
		{"but this label", everything(except(everything(func(r *event.Rule) { r.Labels = "team" }))), deployments, nil, false},
		{"but this owner", everything(except(everything(func(r *event.Rule) { r.Owners = []string{"Application*/*"} }))), deployments, nil, false},
		{"but this namespace", everything(except(everything(func(r *event.Rule) { r.Namespaces = []string{"shop"} }))), deployments, nil, false},
		{"excluded type", everything(nil), leases, nil, false},
		{"excluded object", everything(nil), pods, controlled, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New([]event.Destination{destination("live", tt.rule)})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Of(tt.of).Select(object(tt.o)); (len(got) == 1 && got[0].To == Only(0)) != tt.want || len(got) > 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestChoices: of each destination the first rule that selects counts, and those with one
// policy have one choice.
func TestChoices(t *testing.T) {
	keep := event.Policy{KeepOwners: true}
	red := everything(func(r *event.Rule) { r.Labels, r.Policy = "team=red", keep })
	blue := everything(func(r *event.Rule) { r.Labels, r.Policy = "team=blue", event.Policy{Drop: []string{"/spec"}} })
	s, err := New([]event.Destination{
		destination("plain", everything(nil)), destination("first", red, everything(nil)),
		destination("second", blue, everything(nil)), destination("kept", everything(func(r *event.Rule) { r.Policy = keep })), destination("none", blue),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[Set]manifest.Policy{}
	for _, c := range s.Of(deployments).Select(object(nil)) {
		got[c.To] = c.Policy
	}
	plain, kept := Only(0).With(Only(2)), Only(1).With(Only(3))
	if p, ok := got[plain]; len(got) != 2 || !ok || p.KeepOwners || !got[kept].KeepOwners {
		t.Errorf("%+v", got)
	}
	var names []string
	for _, k := range s.Keys(kept) {
		names = append(names, k.Name)
	}
	if !slices.Equal(names, []string{"first", "kept"}) || s.Place(event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "kept"}) != 3 || s.Place(event.DestinationKey{}) != -1 {
		t.Errorf("they are %q", names)
	}
}

// TestChoicesOfManagers: policies that ignore the same managers are one.
func TestChoicesOfManagers(t *testing.T) {
	ignoring := func(name string, managers ...string) event.Destination {
		return destination(name, everything(func(r *event.Rule) { r.Policy.IgnoreManagers = managers }))
	}
	s, err := New([]event.Destination{ignoring("none"), ignoring("two", "a", "b-*"), ignoring("one", "a"), ignoring("turned", "b-*", "a", "a")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[Set][]string{}
	for _, c := range s.Of(deployments).Select(object(nil)) {
		got[c.To] = c.Policy.IgnoreManagers
	}
	if len(got) != 3 || len(got[Only(0)]) != 0 || !slices.Equal(got[Only(1).With(Only(3))], []string{"a", "b-*"}) || !slices.Equal(got[Only(2)], []string{"a"}) {
		t.Errorf("%v", got)
	}
}

// TestLifted: an exclusion that one destination lifts holds for the others.
func TestLifted(t *testing.T) {
	lifting := destination("lifting", everything(nil))
	lifting.Without = []string{"controlled", "leases"}
	plain := destination("plain", everything(nil))
	s, err := New([]event.Destination{plain, lifting})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		of   schema.GroupVersionResource
		o    func(*unstructured.Unstructured)
		want bool
	}{{"type", leases, nil, true}, {"object", pods, controlled, true}} {
		got := s.Of(tt.of).Select(object(tt.o))
		if (len(got) == 1 && got[0].To == Only(1)) != tt.want || !tt.want && len(got) > 0 {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if tt.o == nil && (Follows(plain, tt.of, true, "") || Follows(lifting, tt.of, true, "") != tt.want) {
			t.Errorf("%s: who follows it is wrong", tt.name)
		}
	}
}

// TestSensitive: Secrets are for those that recipients are named for, who have them apart where
// they are others; another type is sensitive where a destination says so.
func TestSensitive(t *testing.T) {
	to := func(name string, recipients ...string) event.Destination {
		d := destination(name, everything(nil))
		d.Recipients = recipients
		return d
	}
	withheld := to("withheld")
	withheld.Withheld = event.WithheldNoRecipient
	more := to("more", "age1a")
	more.Sensitive = []event.Sensitive{{Group: "apps", Resource: "deployments", Fields: []string{"env"}}}
	all := []event.Destination{to("one", "age1a"), withheld, to("other", "age1a", "age1b"), more}
	s, err := New(all)
	if err != nil {
		t.Fatal(err)
	}
	show := func(of schema.GroupVersionResource) (shown []string) {
		for _, c := range s.Of(of).Select(object(nil)) {
			text := fmt.Sprint(slices.Collect(c.To.Places()))
			if c.Audience != nil {
				text += fmt.Sprint(" ", c.Audience.Recipients, c.Audience.Fields)
			}
			shown = append(shown, text)
		}
		return shown
	}
	if got := show(secrets); !slices.Equal(got, []string{"[0 3] [age1a] [annotations data stringData]", "[2] [age1a age1b] [annotations data stringData]"}) {
		t.Errorf("Secrets: %q", got)
	}
	if got := show(deployments); !slices.Equal(got, []string{"[0 1 2]", "[3] [age1a] [annotations env]"}) {
		t.Errorf("another type: %q", got)
	}
	if got := show(pods); !slices.Equal(got, []string{"[0 1 2 3]"}) {
		t.Errorf("one that is not sensitive: %q", got)
	}
	if got := s.Of(deployments).Sensitive(); got != Only(3) {
		t.Errorf("sensitive to %v", slices.Collect(got.Places()))
	}
	for place, d := range all {
		if Follows(d, secrets, true, "") != (place != 1) || LeftOut(d, secrets.GroupResource()) != (place == 1) || !LeftOut(d, leases.GroupResource()) {
			t.Errorf("%s: follows Secrets: %t", d.Key.Name, Follows(d, secrets, true, ""))
		}
	}
	more.Withheld = event.WithheldNoKeys
	if got := AllLeftOut(more); !slices.IsSorted(got) || !slices.Contains(got, "secrets") || !slices.Contains(got, "deployments.apps") {
		t.Errorf("left out: %q", got)
	}
}

// TestFollows: a type is watched where a rule may select some of it, and not where all of it
// is left out.
func TestFollows(t *testing.T) {
	shop := everything(func(r *event.Rule) { r.Namespaces = []string{"shop"} })
	podless := event.Rule{Groups: []string{""}, Resources: []string{"pods"}}
	for _, tt := range []struct {
		name       string
		rule       event.Rule
		of         schema.GroupVersionResource
		namespaced bool
		namespace  string
		want       bool
	}{
		{"everywhere", everything(nil), deployments, true, "", true},
		{"of no namespace", everything(nil), clusterroles, false, "", true},
		{"in one", shop, deployments, true, "shop", true},
		{"in any", shop, deployments, true, "", true},
		{"in another", shop, deployments, true, "billing", false},
		{"of no namespace, in one", shop, clusterroles, false, "", false},
		{"another type", podless, deployments, true, "", false},
		{"left out whole", everything(func(r *event.Rule) { r.Except = []event.Rule{podless} }), pods, true, "", false},
		{"left out in a part", everything(func(r *event.Rule) { e := podless; e.Labels = "a"; r.Except = []event.Rule{e} }), pods, true, "", true},
		{"others are left out", everything(func(r *event.Rule) { r.Except = []event.Rule{podless} }), deployments, true, "", true},
	} {
		if got := Follows(destination("d", tt.rule), tt.of, tt.namespaced, tt.namespace); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// TestPossible: whoever may have had an object, which never changes its name, is among those
// that are to know that it is gone.
func TestPossible(t *testing.T) {
	s, err := New([]event.Destination{
		destination("all", everything(nil)),
		destination("red", everything(func(r *event.Rule) { r.Labels = "team=red" })),
		destination("billing", everything(func(r *event.Rule) { r.Namespaces = []string{"billing"} })),
		destination("api", everything(func(r *event.Rule) { r.Names = []string{"api-*"} })),
		destination("pods", event.Rule{Groups: []string{""}, Resources: []string{"pods"}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(s.Of(deployments).Possible(object(nil)).Places()); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("%v", got)
	}
	if got := s.Of(pods).Possible(object(controlled)); got != "" {
		t.Errorf("of one that is excluded it is %v", slices.Collect(got.Places()))
	}
}

// TestNew: what cannot be read is said, with whose it is.
func TestNew(t *testing.T) {
	for _, r := range []event.Rule{
		everything(func(r *event.Rule) { r.Labels = "team=in=red" }),
		everything(func(r *event.Rule) { r.Names = []string{"[web"} }),
		everything(func(r *event.Rule) { r.Owners = []string{"[web"} }),
		everything(func(r *event.Rule) { r.Except = []event.Rule{{Names: []string{"[web"}}} }),
	} {
		if _, err := New([]event.Destination{destination("live", everything(nil), r)}); err == nil || !strings.Contains(err.Error(), "rule 2 of destination prod/gitops/live") {
			t.Errorf("error %v", err)
		}
	}
}
